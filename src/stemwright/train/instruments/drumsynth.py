"""Drums made from scratch: electronic machines, and skins and metal as sums of decaying modes."""

from collections.abc import Callable, Sequence

import numpy as np

from stemwright.train.composing.score import Note
from stemwright.train.mixing.desk import biquad, equalise

RATE = 44100
# Ratios of a circular membrane's modes (zeros of Bessel functions) to its lowest.
MEMBRANE = np.array([1.0, 1.594, 2.136, 2.296, 2.653, 2.918, 3.156, 3.501, 3.6, 4.06])


def play_drums(rng: np.random.Generator, notes: Sequence[Note], samples: int) -> np.ndarray:
    """General MIDI drum keys on a kit drawn for the song, float32 [samples, 2]; every hit differs a little."""
    out = np.zeros((samples + 2 * RATE, 2), np.float32)
    kit: dict[int, tuple[list[np.ndarray], float]] = {}
    natural = float(rng.random() < 0.4)
    for note in notes:
        key, begin = round(note.pitch), round(note.start_seconds * RATE)
        if key not in kit:
            kit[key] = (
                [_strike(rng, key, natural) for _ in range(1 + 2 * int(natural))],
                0.0 if key < 41 else rng.uniform(-0.6, 0.6),
            )
        hits, pan = kit[key]
        hit = hits[rng.integers(len(hits))] * (note.velocity / 110) ** 1.6
        count = min(len(hit), len(out) - begin)
        angle = (pan + 1) * np.pi / 4
        if count > 0:
            out[begin : begin + count, 0] += hit[:count] * np.float32(np.cos(angle))
            out[begin : begin + count, 1] += hit[:count] * np.float32(np.sin(angle))
    return 0.5 * out[:samples]


def _strike(rng: np.random.Generator, key: int, natural: float) -> np.ndarray:
    for keys, maker in MAKERS:
        if key in keys:
            sound = maker(rng, key, natural)
            return (sound / (np.abs(sound).max() + 1e-9)).astype(np.float32)
    sound = _membrane(rng, key, natural)
    return (sound / (np.abs(sound).max() + 1e-9)).astype(np.float32)


def _time(seconds: float) -> np.ndarray:
    return np.arange(int(seconds * RATE)) / RATE


def _noise(rng: np.random.Generator, t: np.ndarray, bands: list) -> np.ndarray:
    return equalise(np.repeat(rng.standard_normal((len(t), 1)), 2, 1), bands)[:, 0]


def _modes(rng: np.random.Generator, t: np.ndarray, ratios: np.ndarray, base: tuple[float, float]) -> np.ndarray:
    """Sum of decaying sines above `base` = (Hz, seconds of the lowest); higher modes are weaker and shorter."""
    hz, decay = base
    out = np.zeros(len(t))
    for i, ratio in enumerate(ratios):
        f = hz * ratio * (1 + rng.normal(0, 0.01))
        if f < 18000:
            out += (
                rng.uniform(0.3, 1)
                / (1 + i) ** 0.7
                * np.sin(2 * np.pi * f * t + rng.uniform(0, 6))
                * np.exp(-t / (decay / (1 + 0.5 * i)))
            )
    return out


def _kick(rng: np.random.Generator, key: int, natural: float) -> np.ndarray:  # noqa: ARG001
    t = _time(0.9)
    drop = rng.uniform(60, 400) * np.exp(-t / rng.uniform(0.006, 0.05)) * (0.4 if natural else 1)
    body = np.sin(2 * np.pi * np.cumsum(rng.uniform(38, 68) + drop) / RATE) * np.exp(
        -t / rng.uniform(0.06, 0.18 if natural else 0.45)
    )
    click = _noise(rng, t, [biquad("highpass", rng.uniform(800, 4000))]) * np.exp(-t / rng.uniform(0.001, 0.008))
    out = body + rng.uniform(0.03, 0.5) * click
    if natural:
        out += rng.uniform(0.05, 0.3) * _modes(rng, t, MEMBRANE, (rng.uniform(55, 90), rng.uniform(0.05, 0.15)))
    return np.tanh(out * rng.uniform(0.8, 4))


def _snare(rng: np.random.Generator, key: int, natural: float) -> np.ndarray:  # noqa: ARG001
    t = _time(0.7)
    wires = _noise(
        rng,
        t,
        [
            biquad("highpass", rng.uniform(400, 2500)),
            biquad("peak", rng.uniform(2000, 7000), gain_db=rng.uniform(0, 8)),
        ],
    )
    wires *= np.exp(-t / rng.uniform(0.04, 0.22))
    head = _modes(
        rng, t, MEMBRANE if natural else np.array([1, 1.83]), (rng.uniform(140, 280), rng.uniform(0.03, 0.16))
    )
    return np.tanh((rng.uniform(0.3, 1.2) * wires + rng.uniform(0.3, 1.0) * head) * rng.uniform(0.7, 2.5))


def _clap(rng: np.random.Generator, key: int, natural: float) -> np.ndarray:  # noqa: ARG001
    t = _time(0.5)
    noise = _noise(
        rng, t, [biquad("highpass", rng.uniform(500, 1000)), biquad("peak", rng.uniform(900, 2200), gain_db=9, q=1.5)]
    )
    hands = int(rng.integers(2, 6))
    starts = np.cumsum(rng.uniform(0.005, 0.016, hands)) - 0.005
    burst = sum((np.where(t >= s, np.exp(-(t - s) / 0.006), 0) for s in starts), np.zeros(len(t)))
    return noise * (burst + 0.7 * np.where(t >= starts[-1], np.exp(-(t - starts[-1]) / rng.uniform(0.03, 0.14)), 0))


def _cymbal(rng: np.random.Generator, key: int, natural: float) -> np.ndarray:
    seconds = {42: rng.uniform(0.012, 0.06), 44: 0.035, 46: rng.uniform(0.12, 0.4), 51: rng.uniform(0.3, 0.9), 53: 0.6}
    decay = seconds.get(key, rng.uniform(0.4, 1.1))
    t = _time(min(decay * 5 + 0.05, 2.0))
    ratios = np.sort(rng.uniform(1, 9, 40)) if natural else np.array([2, 3, 4.16, 5.43, 6.79, 8.21])
    base = rng.uniform(280, 620)
    if natural:
        metal = _modes(rng, t, ratios, (base, decay * 2))
    else:
        metal = sum((np.sign(np.sin(2 * np.pi * base * r * t + r)) for r in ratios), np.zeros(len(t))) / 6
    wash = _noise(rng, t, [biquad("highpass", rng.uniform(4000, 8000))])
    mixed = equalise(np.repeat((metal * rng.uniform(0.2, 1) + wash * rng.uniform(0.2, 1))[:, None], 2, 1),
                     [biquad("highpass", rng.uniform(3500, 8000)), biquad("peak", rng.uniform(7000, 12000),
                         gain_db=rng.normal(0, 4))])  # fmt: skip
    ping = (
        rng.uniform(0.1, 0.6) * np.sin(2 * np.pi * rng.uniform(2500, 5500) * t) * np.exp(-t / 0.08)
        if key in (51, 53)
        else 0.0
    )
    return (mixed[:, 0] + ping) * np.exp(-t / decay)


def _membrane(rng: np.random.Generator, key: int, natural: float) -> np.ndarray:
    """Toms, congas, bongos, djembes: the higher the key of its group, the higher the pitch."""
    hz = {41: 70, 43: 85, 45: 105, 47: 125, 48: 150, 50: 180, 60: 400, 61: 300, 62: 260, 63: 230, 64: 170}.get(key, 250)
    t = _time(0.9)
    decay = rng.uniform(0.08, 0.3) * (0.5 if key >= 60 else 1)
    bend = 1 + rng.uniform(0, 0.5) * np.exp(-t / 0.03)
    tone = np.sin(2 * np.pi * np.cumsum(hz * rng.uniform(0.85, 1.2) * bend) / RATE) * np.exp(-t / decay)
    skin = _modes(rng, t, MEMBRANE[1:], (hz * rng.uniform(0.9, 1.1), decay * 0.5)) if natural or key >= 60 else 0.0
    slap = _noise(rng, t, [biquad("highpass", 600)]) * np.exp(-t / 0.006)
    return tone + rng.uniform(0.1, 0.6) * skin + rng.uniform(0.05, 0.5) * slap


def _shaken(rng: np.random.Generator, key: int, natural: float) -> np.ndarray:  # noqa: ARG001
    t = _time(0.25)
    rise = np.minimum(1, t / rng.uniform(0.002, 0.04))
    noise = _noise(
        rng,
        t,
        [
            biquad("highpass", rng.uniform(2500, 7000)),
            biquad("peak", rng.uniform(4000, 11000), gain_db=rng.uniform(0, 10), q=2),
        ],
    )
    jingles = 0.0
    if key == 54:
        jingles = rng.uniform(0.5, 2) * _modes(
            rng, t, np.sort(rng.uniform(1, 2.2, 12)), (rng.uniform(4500, 7000), rng.uniform(0.05, 0.2))
        )
    return noise * rise * np.exp(-t / rng.uniform(0.015, 0.08)) + jingles


def _bar(rng: np.random.Generator, key: int, natural: float) -> np.ndarray:  # noqa: ARG001
    """Wood and metal that is struck: claves, blocks, cowbells, agogos, triangles, rim shots."""
    hz = {37: 900, 56: 560, 67: 900, 68: 650, 75: 2400, 76: 1100, 77: 780, 80: 4200, 81: 4200}.get(key, 1000)
    metal = key in (56, 67, 68, 80, 81)
    decay = {80: 0.1, 81: 1.2}.get(key, rng.uniform(0.08, 0.35) if metal else rng.uniform(0.01, 0.05))
    t = _time(min(decay * 6 + 0.05, 2.0))
    ratios = np.array([1, 1.48, 2.57, 3.41, 4.9, 6.3]) if metal else np.array([1, 2.71, 5.15])
    return _modes(rng, t, ratios, (hz * rng.uniform(0.8, 1.25), decay)) + 0.2 * _noise(rng, t, []) * np.exp(-t / 0.002)


Maker = Callable[[np.random.Generator, int, float], np.ndarray]
MAKERS: tuple[tuple[tuple[int, ...], Maker], ...] = (
    ((35, 36), _kick), ((38, 40), _snare), ((39,), _clap), ((42, 44, 46, 49, 51, 52, 53, 55, 57, 59), _cymbal),
    ((54, 58, 69, 70, 73, 74, 82), _shaken), ((37, 56, 67, 68, 75, 76, 77, 80, 81), _bar),
)  # fmt: skip
