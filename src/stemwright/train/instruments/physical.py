"""Instruments as vibrating things: plucked and struck strings, blown reeds, flutes and bowed strings, and mallets.

Digital waveguides after Karplus and Strong (1983), Jaffe and Smith (1983) and Smith's "Physical Audio Signal
Processing"; every song draws its own instrument.
"""

import math
from collections.abc import Sequence

import numba
import numpy as np

from stemwright.train.composing.score import Note
from stemwright.train.mixing.desk import biquad, equalise

RATE = 44100


@numba.njit(cache=True, fastmath=True)
def _pluck(out, begin, hz, held, noise, knobs, gains):  # type: ignore[no-untyped-def]
    """One plucked string added to `out` [n, 2]. `knobs`: brightness 0-1, decay (s to -60 dB), pick place 0-0.5,
    pick softness 0-1, dispersion 0-0.9, release (s), pitch bend of a hard pluck (semitones)."""
    bright, decay, place, soft, stiff, release = knobs[0], knobs[1], knobs[2], knobs[3], knobs[4], knobs[5]
    damp = 0.5 * (1.0 - bright)
    group = 2.0 * math.atan2(
        damp * math.sin(2 * math.pi * hz / RATE), 1 - damp + damp * math.cos(2 * math.pi * hz / RATE)
    )
    period = RATE / hz - group / (2 * math.pi * hz / RATE) / 2.0
    w = 2 * math.pi * hz / RATE
    if stiff > 0.0:  # delay of the two dispersing all-passes at the fundamental
        period -= 2.0 * (w + 2.0 * math.atan2(-stiff * math.sin(w), 1.0 - stiff * math.cos(w)) * -1.0) / w
    whole = int(period - 0.3)
    if whole < 3:
        return
    part = period - whole
    tune = (1.0 - part) / (1.0 + part)
    loss = 10.0 ** (-3.0 / (hz * decay))
    let_go = 10.0 ** (-3.0 / (hz * release))
    line = np.zeros(whole)
    pick = max(1, int(place * whole))
    last = 0.0
    for i in range(whole):  # the pluck: noise, softened, and combed by where the string is picked
        last = soft * last + (1.0 - soft) * noise[i % len(noise)]
        line[i] += last
        line[(i + pick) % whole] -= 0.9 * last
    top = 1e-9
    for i in range(whole):
        top = max(top, abs(line[i]))
    at, before, ap_in, ap_out = 0, 0.0, 0.0, 0.0
    d1i, d1o, d2i, d2o = 0.0, 0.0, 0.0, 0.0
    total = min(held + int(2.0 * release * RATE), out.shape[0] - begin, int(2.0 * decay * RATE))
    for i in range(total):
        y = line[at]
        low = (1.0 - damp) * y + damp * before
        before = y
        if stiff > 0.0:
            v = -stiff * low + d1i + stiff * d1o
            d1i, d1o = low, v
            u = -stiff * v + d2i + stiff * d2o
            d2i, d2o = v, u
            low = u
        tuned = tune * low + ap_in - tune * ap_out
        ap_in, ap_out = low, tuned
        line[at] = tuned * (loss if i < held else let_go)
        at = (at + 1) % whole
        out[begin + i, 0] += gains[0] * y / top
        out[begin + i, 1] += gains[1] * y / top


BODIES = {"guitar": (100, 200, 380, 700), "bass": (60, 110, 220), "harp": (160, 320, 640), "solid": (), "box": (250,
    480, 900, 1400),
          "piano": (90, 220, 500, 1100)}  # fmt: skip


def play_plucked(
    rng: np.random.Generator,
    notes: Sequence[Note],
    samples: int,
    *,
    body: str = "guitar",
    decay: tuple[float, float] = (1.5, 6),
) -> np.ndarray:
    """The notes on a string instrument drawn for the song, float32 [samples, 2]."""
    out = np.zeros((samples, 2))
    bright, place, soft = rng.uniform(0.2, 0.97), rng.uniform(0.06, 0.45), rng.uniform(0.0, 0.85)
    stiff = rng.uniform(0.1, 0.6) if rng.random() < 0.3 else 0.0
    seconds, release = rng.uniform(*decay), rng.uniform(0.05, 0.3)
    for note in notes:
        begin = round(note.start_seconds * RATE)
        if begin >= samples:
            continue
        hz = 440 * 2 ** ((note.pitch - 69 + rng.normal(0, 0.03)) / 12)
        touch = note.velocity / 127
        knobs = np.array([
            np.clip(bright + 0.15 * (touch - 0.7), 0, 1), max(0.15, seconds * (150 / hz) ** 0.45),
                np.clip(place + rng.normal(0, 0.02), 0.03, 0.5),
            np.clip(soft - 0.4 * (touch - 0.7), 0, 0.95), stiff, release, 0.0,
        ])  # fmt: skip
        pan = np.clip((note.pitch - 60) / 60, -0.3, 0.3)
        gains = np.array([1 - pan, 1 + pan]) * touch**1.5
        _pluck(out, begin, hz, int(note.seconds * RATE), rng.standard_normal(2048), knobs, gains)
    resonances = [
        biquad("peak", hz * rng.uniform(0.8, 1.25), gain_db=rng.uniform(1, 8), q=rng.uniform(1, 5))
        for hz in BODIES[body]
    ]
    return equalise(0.3 * out, [biquad("highpass", 30), *resonances])


@numba.njit(cache=True, fastmath=True)
def _tap(line: np.ndarray, place: float) -> float:
    """What a delay line holds at a place between its samples."""
    place %= len(line)
    k = int(place)
    part = place - k
    return line[k] * (1.0 - part) + line[(k + 1) % len(line)] * part


@numba.njit(cache=True, fastmath=True)
def _clip(x: float) -> float:
    return min(max(x, -1.0), 1.0)


@numba.njit(cache=True, fastmath=True)
def _step(kind, bore, side, place, state):  # type: ignore[no-untyped-def]
    """One sample of the air or string; `place`: write position, length, split, jet; `state`: breath, reflected wave,
    two of a filter that blocks 0 Hz, stiffness of reed or bow. Returns what is heard."""
    at, split, jet = int(place[0]), place[2], place[3]
    pressure, low, reed = state[0], state[1], state[4]
    if kind == 0:
        inner = -0.95 * low - pressure
        bore[at] = pressure + inner * _clip(0.7 - reed * 0.33 * inner)
        return bore[at]
    if kind == 1:
        back = -0.95 * low
        heard = back - _tap(side, at - split)
        side[at] = back
        inner = pressure - heard
        bore[at] = pressure - inner * _clip(0.7 + reed * 0.35 * inner) - back
        return heard
    if kind == 2:
        state[3] = low - state[2] + 0.995 * state[3]
        state[2] = low
        side[at] = pressure - 0.5 * state[3]
        z = _tap(side, at - jet)
        bore[at] = _clip(z * (z * z - 1.0)) + 0.5 * state[3]
        return bore[at]
    neck, bridge = -_tap(side, at - split), -0.95 * low
    slide = 0.25 * pressure - (neck + bridge)
    grip = min((abs(slide * (5.0 - 4.0 * reed)) + 0.75) ** -4, 0.98)
    bore[at], side[at] = neck + slide * grip, bridge + slide * grip
    return bridge


@numba.njit(cache=True, fastmath=True)
def _blow(out, begin, note, kind, knobs, noise):  # type: ignore[no-untyped-def]
    """Adds one blown or bowed note to `out` [n]; `note`: Hz, samples held, gain.

    `kind`: 0 reed and cylinder (clarinet), 1 reed and cone (saxophone, oboe), 2 jet (flute), 3 bow on a string.
    `knobs`:
    breath 0-1, breath noise, attack (s), release (s), vibrato depth, its rate (Hz), stiffness of the reed, brightness
    0-1, place on the bore or string, correction of the pitch (ratio).
    """
    held, mild = int(note[1]), 0.55 - 0.45 * knobs[7]
    length = RATE / (note[0] * knobs[9]) * (0.5 if kind == 0 else 1.0) - (1.0 + 0.5 * (1.0 - knobs[7]))
    size = 4096
    bore, side = np.zeros(size), np.zeros(size)
    length = min(max(length, 4.0), size - 4.0)
    split = max(2.0, length * knobs[8])
    jet = length * (0.3 + 0.2 * knobs[8])
    reach = length if kind in (0, 2) else length - split
    place, state = np.array([0.0, length, split, jet]), np.array([0.0, 0.0, 0.0, 0.0, knobs[6]])
    level, fall = 0.0, math.exp(-1.0 / (knobs[3] * RATE))
    for i in range(min(held + int(5 * knobs[3] * RATE), out.shape[0] - begin)):
        t, at = i / RATE, i % size
        level = min(1.0, t / knobs[2]) if i < held else level * fall
        shake = 1.0 + knobs[4] * min(1.0, 2.0 * t) * math.sin(2 * math.pi * knobs[5] * t)
        state[0] = level * knobs[0] * shake * (1.0 + knobs[1] * noise[(at * 7 + i) % len(noise)])
        state[1] = (1.0 - mild) * _tap(bore, at - reach) + mild * state[1]
        place[0] = at
        heard = _step(kind, bore, side, place, state)
        if abs(heard) > 4.0:
            heard = 4.0 if heard > 0 else -4.0
            bore[at] = 0.0
        out[begin + i] += note[2] * heard


KINDS = {"clarinet": 0, "cone": 1, "flute": 2, "bow": 3}


def _instrument(rng: np.random.Generator, kind: str) -> np.ndarray:
    breath = {"clarinet": (0.75, 1.0), "cone": (0.7, 1.0), "flute": (0.9, 1.25), "bow": (0.5, 1.0)}[kind]
    air = {"clarinet": 0.05, "cone": 0.08, "flute": 0.18, "bow": 0.02}[kind]
    return np.array([
        rng.uniform(*breath), air * rng.uniform(0.3, 1.6), rng.uniform(0.015, 0.09), rng.uniform(0.02, 0.08),
            rng.uniform(0, 0.12),
        rng.uniform(4.2, 6.6), rng.uniform(0.6, 1.1), rng.uniform(0.3, 0.95), rng.uniform(0.08, 0.35), 1.0,
    ])  # fmt: skip


def play_blown(rng: np.random.Generator, notes: Sequence[Note], samples: int, kind: str) -> np.ndarray:
    """The notes on a wind instrument or bowed string drawn for the song, float32 [samples, 2].

    The bore's own end corrections are measured on a few trial notes and taken out, so that it plays in tune.
    """
    knobs, noise = _instrument(rng, kind), rng.standard_normal(20011)
    corrections = _tune(kind, knobs, noise, notes)
    out = np.zeros(samples)
    if corrections is None:
        return np.zeros((samples, 2), np.float32)
    for note in notes:
        begin = round(note.start_seconds * RATE)
        if begin >= samples:
            continue
        own = knobs.copy()
        own[0] *= 0.85 + 0.15 * note.velocity / 100
        own[9] = float(np.interp(note.pitch, *corrections))
        own[2] = min(own[2] * rng.uniform(0.7, 1.4), 0.4 * note.seconds + 0.01)
        hz = 440 * 2 ** ((note.pitch - 69 + rng.normal(0, 0.04)) / 12)
        played = np.array([hz, note.seconds * RATE, (note.velocity / 127) ** 1.3])
        _blow(out, begin, played, KINDS[kind], own, noise)
    mono = np.repeat(out[:, None], 2, 1).astype(np.float32)
    return equalise(
        0.3 * mono, [biquad("highpass", 60), biquad("peak", rng.uniform(500, 3000), gain_db=rng.normal(0, 4), q=1.0)]
    )


def _tune(
    kind: str, knobs: np.ndarray, noise: np.ndarray, notes: Sequence[Note]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Pitches and the ratios that correct them; None when the instrument will not speak in tune."""
    if not notes:
        return None
    low, high = min(n.pitch for n in notes), max(n.pitch for n in notes)
    pitches = np.unique(np.linspace(low, high, 2 + int((high - low) // 3)))
    ratios, spoke = [], 0
    for pitch in pitches:
        hz, trial, found = 440 * 2 ** ((pitch - 69) / 12), knobs.copy(), 0.0
        trial[4] = 0.0
        for _ in range(3):
            sound = np.zeros(int(0.4 * RATE))
            _blow(sound, 0, np.array([hz, len(sound), 1.0]), KINDS[kind], trial, noise)
            found = pitch_of(sound[int(0.2 * RATE) :], hz)
            if found:
                trial[9] *= hz / found
        spoke += bool(found) and abs(1200 * math.log2(found / hz)) < 25
        ratios.append(trial[9])
    return (pitches, np.array(ratios)) if spoke >= 0.9 * len(pitches) else None


def pitch_of(sound: np.ndarray, near_hz: float) -> float:
    """The fundamental within a fourth of `near_hz` by autocorrelation, in Hz; 0 when there is no clear one."""
    n = len(sound)
    spectrum = np.abs(np.fft.rfft(sound - sound.mean(), 2 * n)) ** 2
    correlation = np.fft.irfft(spectrum)[:n] / (np.arange(n, 0, -1) + 1e-9)
    low, high = int(RATE / near_hz / 1.33), int(RATE / near_hz * 1.33) + 2
    if high >= n - 1 or correlation[0] < 1e-7:
        return 0.0
    k = low + int(np.argmax(correlation[low:high]))
    if correlation[k] < 0.5 * correlation[0] or k in (low, high - 1):
        return 0.0
    a, b, c = correlation[k - 1 : k + 2]
    return RATE / (k + 0.5 * (a - c) / (a - 2 * b + c + 1e-12))


MALLETS = {
    "wood": (np.array([1, 3.93, 9.54, 17.3]), 0.35), "metal": (np.array([1, 3.98, 10.7, 19.8]), 2.2),
    "bar": (np.array([1, 2.756, 5.404, 8.933]), 1.6),
    "bell": (np.array([0.5, 1, 1.19, 1.56, 2, 2.51, 2.66, 3.01, 4.1]), 2.5), "tine": (np.array([1, 6.27, 17.55, 2.0]),
    1.6),
    "glass": (np.array([1, 2.32, 4.25, 6.63, 9.38]), 1.0),
}  # fmt: skip


def play_mallets(rng: np.random.Generator, notes: Sequence[Note], samples: int) -> np.ndarray:
    """The notes on struck bars, bells or tines drawn for the song, float32 [samples, 2]."""
    ratios, decay = MALLETS[str(rng.choice(list(MALLETS)))]
    ratios = ratios * np.exp(rng.normal(0, 0.01, len(ratios)))
    levels = rng.uniform(0.2, 1, len(ratios)) / (1 + np.arange(len(ratios))) ** rng.uniform(0.3, 1.5)
    seconds = decay * rng.uniform(0.5, 1.6)
    out, cache = np.zeros((samples, 2), np.float32), {}
    for note in notes:
        begin = round(note.start_seconds * RATE)
        hard = round(note.velocity / 32)
        if begin >= samples:
            continue
        if (note.pitch, hard) not in cache:
            t = np.arange(int(min(4.5 * seconds, 3.0) * RATE)) / RATE
            hz = 440 * 2 ** ((note.pitch - 69) / 12)
            touch = 0.4 + 0.15 * hard
            tones = [a * touch**i * np.sin(2 * np.pi * hz * r * t) * np.exp(-t / (seconds / (1 + 0.6 * i)))
                     for i, (r, a) in enumerate(zip(ratios, levels, strict=True)) if hz * r < 19000]  # fmt: skip
            cache[note.pitch, hard] = np.sum(tones, 0).astype(np.float32)
        strike = cache[note.pitch, hard] * np.float32((note.velocity / 110) ** 1.5)
        count = min(len(strike), samples - begin)
        pan = np.clip((note.pitch - 66) / 40, -0.5, 0.5)
        out[begin : begin + count, 0] += strike[:count] * (1 - pan)
        out[begin : begin + count, 1] += strike[:count] * (1 + pan)
    return 0.3 * out
