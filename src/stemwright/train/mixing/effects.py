"""Insert effects by family: what an engineer would reach for, drawn anew for every part."""

import math

import numba
import numpy as np
import scipy.fft

from stemwright.train.mixing.amps import amplify
from stemwright.train.mixing.desk import RATE, biquad, compress, echo, equalise, moving_delay, place, saturate

# How often a family gets an effect; `*` is everyone else.
ODDS: dict[str, dict[str, float]] = {
    "compress": {"bass": 0.8, "drums": 0.5, "percussion": 0.4, "guitar": 0.4, "vocals": 1.0, "*": 0.25},
    "saturate": {"drums": 0.3, "bass": 0.4, "synth": 0.3, "keyboard": 0.2, "fx": 0.2, "*": 0.1},
    "chorus": {"guitar": 0.22, "synth": 0.3, "keyboard": 0.2, "strings": 0.12, "bass": 0.08, "*": 0.04},
    "phaser": {"guitar": 0.08, "driven guitar": 0.1, "keyboard": 0.15, "synth": 0.12, "*": 0.02},
    "tremolo": {"guitar": 0.08, "keyboard": 0.15, "synth": 0.1, "fx": 0.1, "*": 0.01},
    "gate": {"synth": 0.08, "strings": 0.03, "fx": 0.05, "*": 0.0},
    "crush": {"drums": 0.05, "synth": 0.06, "fx": 0.1, "keyboard": 0.03, "percussion": 0.04, "*": 0.0},
    "echo": {"vocals": 0.3, "guitar": 0.25, "driven guitar": 0.2, "synth": 0.35, "fx": 0.3, "*": 0.08},
    "haas": {"guitar": 0.15, "synth": 0.15, "keyboard": 0.1, "strings": 0.08, "brass": 0.05, "*": 0.02},
    "wow": {"keyboard": 0.1, "guitar": 0.04, "strings": 0.05, "synth": 0.05, "*": 0.01},
    "room": {"drums": 0.6, "percussion": 0.4, "driven guitar": 0.2, "*": 0.06},
}


GROUND_HZ = 220.0
ABOVE_GROUND_DB, MOST_GROUNDED_DB = (-14.0, 1.0), 30.0

AMPLIFIED_DB = {"driven guitar": (14, 46), "high gain": (34, 60)}

# What an engineer reaches for when the song is to be pleasant rather than instructive.
GENTLE = ("compress", "chorus", "room")


def insert(rng: np.random.Generator, sound: np.ndarray, chain: str, *, gentle: bool = False) -> np.ndarray:
    """The sound [n, 2] (about -20 dBFS) through the effects of its family; `sung` has had its own already."""
    if chain == "sung":
        return sound
    if chain in AMPLIFIED_DB:
        sound = amplify(rng, sound, gain_db=AMPLIFIED_DB[chain])
    elif not gentle and ((chain == "guitar" and rng.random() < 0.3) or (chain == "bass" and rng.random() < 0.25)):
        sound = amplify(rng, sound, gain_db=(0, 16))
    sound = equalise(sound, _tone(rng, chain))
    for name, effect in EFFECTS.items():
        if rng.random() < ODDS[name].get(chain, ODDS[name]["*"]) and (name in GENTLE or not gentle):
            sound = effect(rng, sound)
    return sound


def _tone(rng: np.random.Generator, chain: str) -> list[tuple[float, float, float, float, float]]:
    bands = []
    floor = {"bass": 25, "drums": 25, "synth": 40, "fx": 30}.get(chain, 80)
    if rng.random() < 0.6:
        bands.append(biquad("highpass", floor * float(rng.uniform(0.7, 2.2))))
    bands += [
        biquad("peak", float(hz), gain_db=float(rng.normal(0, 3.5)), q=float(rng.uniform(0.4, 2.5)))
        for hz in 10 ** rng.uniform(2, 3.9, int(rng.integers(1, 4)))
    ]
    if rng.random() < 0.5:
        bands.append(biquad("lowshelf", float(rng.uniform(80, 300)), gain_db=float(rng.normal(0, 3))))
    if rng.random() < 0.6:
        bands.append(biquad("highshelf", float(rng.uniform(2500, 9000)), gain_db=float(rng.normal(0, 4))))
    if rng.random() < 0.1:
        bands.append(biquad("lowpass", float(rng.uniform(2500, 12000))))
    return bands


def ground(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """A bass [n, 2] that carries its song: what is above GROUND_HZ is turned down to at most a drawn share of it.

    Amplifiers, open filters and strings near the bridge leave basses with hardly a fundamental, which no engineer
    lets through: in finished songs most of a bass lies below GROUND_HZ (decision 0047).
    """
    power = np.sum(np.abs(np.asarray(scipy.fft.rfft(sound, scipy.fft.next_fast_len(len(sound)), axis=0))) ** 2, 1)
    split = round(GROUND_HZ / RATE * 2 * (len(power) - 1))
    below, above = float(power[:split].sum()), float(power[split:].sum())
    excess_db = 10 * math.log10((above + 1e-12) / (below + 1e-12)) - rng.uniform(*ABOVE_GROUND_DB)
    if excess_db <= 0:
        return sound
    half = biquad("highshelf", 1.4 * GROUND_HZ, gain_db=-min(excess_db, MOST_GROUNDED_DB) / 2, q=0.6)
    return equalise(sound, [half, half])


def _compress(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    pressed = compress(sound, threshold_db=float(rng.uniform(-30, -14)), ratio=float(rng.uniform(1.5, 8)),
                       attack_s=float(rng.uniform(0.001, 0.03)), release_s=float(rng.uniform(0.05, 0.3)))  # fmt: skip
    blend = float(rng.uniform(0.3, 0.8)) if rng.random() < 0.25 else 1.0
    return blend * pressed + (1 - blend) * sound


def _saturate(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    return saturate(sound, float(rng.uniform(2, 22)), bias=float(rng.uniform(0, 0.3)))


def _chorus(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    return moving_delay(sound, np.array([rng.uniform(0.003, 0.025), rng.uniform(0.0005, 0.0028), rng.uniform(0.1, 3),
        rng.uniform(0, 6),
                                         rng.uniform(0, 0.6), rng.uniform(0.3, 0.9)]))  # fmt: skip


def _echo(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    settings = np.array(
        [
            rng.uniform(0.06, 0.6),
            rng.uniform(0.1, 0.6),
            rng.uniform(0.15, 0.9),
            rng.uniform(0.08, 0.4),
            rng.random() < 0.4,
        ]
    )
    return echo(sound, settings)


@numba.njit(cache=True, fastmath=True)
def _phase(x, low, high, rate, feedback):  # type: ignore[no-untyped-def]
    """Six all-pass filters that sweep together, mixed with the dry sound."""
    y, state = np.empty_like(x), np.zeros((2, 6, 2))
    a, back = 0.0, np.zeros(2)
    for i in range(x.shape[0]):
        if i % 32 == 0:
            hz = low * (high / low) ** (0.5 + 0.5 * math.sin(2 * math.pi * rate * i / 44100))
            g = math.tan(math.pi * hz / 44100)
            a = (g - 1.0) / (g + 1.0)
        for c in range(2):
            v = x[i, c] + feedback * back[c]
            for k in range(6):
                out = a * v + state[c, k, 0] - a * state[c, k, 1]
                state[c, k, 0], state[c, k, 1] = v, out
                v = out
            back[c] = v
            y[i, c] = 0.6 * (x[i, c] + v)
    return y


def _phaser(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    low = float(rng.uniform(150, 500))
    return _phase(sound, low, low * float(rng.uniform(3, 12)), float(rng.uniform(0.1, 2)), float(rng.uniform(0, 0.6)))


def _tremolo(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    t, rate, depth = np.arange(len(sound)) / RATE, rng.uniform(2, 9), rng.uniform(0.2, 0.8)
    out_of_step = np.pi if rng.random() < 0.4 else 0.0
    swings = [1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * rate * t + phase)) for phase in (0.0, out_of_step)]
    return sound * np.stack(swings, 1).astype(np.float32)


def _gate(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """The chopped pads of trance: a pattern of sixteen opens and shuts."""
    step = int(rng.uniform(0.09, 0.2) * RATE)
    pattern = (rng.random(16) < 0.6).astype(np.float32)
    pattern[0] = 1.0
    gate = np.repeat(np.tile(pattern, len(sound) // (16 * step) + 1), step)[: len(sound)]
    smooth = np.convolve(gate, np.ones(200, np.float32) / 200, "same")
    return sound * smooth[:, None]


def _crush(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    hold, bits = int(rng.integers(1, 7)), float(rng.uniform(4, 10))
    held = np.repeat(sound[::hold], hold, 0)[: len(sound)]
    top = float(np.abs(held).max()) + 1e-9
    return (np.round(held / top * 2**bits) / 2**bits * top).astype(np.float32)


def _haas(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """Wide by delay: one ear hears the sound some milliseconds later."""
    late, side = int(rng.uniform(0.004, 0.03) * RATE), int(rng.integers(2))
    wide = sound.copy()
    wide[late:, side] = sound[:-late, side]
    return wide


def _wow(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """A worn tape: pitch that drifts and flutters."""
    t = np.arange(len(sound)) / RATE
    drift = rng.uniform(0.0005, 0.003) * np.sin(2 * np.pi * rng.uniform(0.3, 1.2) * t) + rng.uniform(
        0, 0.0003
    ) * np.sin(2 * np.pi * rng.uniform(5, 12) * t)
    at = np.clip(np.arange(len(sound)) + drift * RATE, 0, len(sound) - 1)
    return np.stack([np.interp(at, np.arange(len(sound)), sound[:, c]) for c in (0, 1)], 1).astype(np.float32)


def _room(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """A small room of the family's own: a few early echoes and a short tail, sometimes cut off by a gate."""
    import scipy.signal

    seconds = float(rng.uniform(0.08, 0.5))
    t = np.arange(int(seconds * RATE)) / RATE
    shape = np.ones(len(t)) if rng.random() < 0.12 else np.exp(-6 * t / seconds)
    response = rng.standard_normal((len(t), 2)) * shape[:, None]
    response = equalise(
        response, [biquad("lowpass", float(rng.uniform(2500, 12000))), biquad("highpass", float(rng.uniform(60, 300)))]
    )
    response /= np.sqrt((response**2).sum(0)) + 1e-9
    wet = np.stack([scipy.signal.oaconvolve(sound[:, c], response[:, c])[: len(sound)] for c in (0, 1)], 1)
    return place(sound + np.float32(rng.uniform(0.1, 0.7)) * wet.astype(np.float32), 0.0, float(rng.uniform(0.6, 1.2)))


EFFECTS = {"compress": _compress, "saturate": _saturate, "wow": _wow, "chorus": _chorus, "phaser": _phaser,
    "tremolo": _tremolo,
           "gate": _gate, "crush": _crush, "echo": _echo, "haas": _haas, "room": _room}  # fmt: skip
