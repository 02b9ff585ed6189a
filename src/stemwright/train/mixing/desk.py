"""The mixing desk: equalisers, compressors, saturation, chorus, delay, reverb, panning and the bus that ends it all."""

import math
from dataclasses import dataclass

import numba
import numpy as np
import scipy.fft
import scipy.signal

RATE = 44100
CEILING = 0.97


@numba.njit(cache=True, fastmath=True)
def _biquads(x, sections):  # type: ignore[no-untyped-def]
    """Runs stereo `x` [n, 2] through biquads [k, 5] (b0 b1 b2 a1 a2), transposed direct form II, in place."""
    for k in range(sections.shape[0]):
        b0, b1, b2, a1, a2 = sections[k, 0], sections[k, 1], sections[k, 2], sections[k, 3], sections[k, 4]
        for c in range(2):
            s1, s2 = 0.0, 0.0
            for i in range(x.shape[0]):
                v = float(x[i, c])
                y = b0 * v + s1
                s1 = b1 * v - a1 * y + s2 + 1e-20
                s2 = b2 * v - a2 * y
                x[i, c] = y


def biquad(kind: str, hz: float, *, gain_db: float = 0.0, q: float = 0.707) -> tuple[float, float, float, float, float]:
    """One filter's coefficients after R. Bristow-Johnson's cookbook: lowpass, highpass, peak, lowshelf, highshelf."""
    w = 2 * math.pi * min(hz, 0.47 * RATE) / RATE
    cos, alpha, a = math.cos(w), math.sin(w) / (2 * q), 10 ** (gain_db / 40)
    if kind == "lowpass":
        b, d = ((1 - cos) / 2, 1 - cos, (1 - cos) / 2), (1 + alpha, -2 * cos, 1 - alpha)
    elif kind == "highpass":
        b, d = ((1 + cos) / 2, -1 - cos, (1 + cos) / 2), (1 + alpha, -2 * cos, 1 - alpha)
    elif kind == "peak":
        b, d = (1 + alpha * a, -2 * cos, 1 - alpha * a), (1 + alpha / a, -2 * cos, 1 - alpha / a)
    else:
        sign = 1.0 if kind == "lowshelf" else -1.0
        root = 2 * math.sqrt(a) * alpha
        b = (a * (a + 1 - sign * (a - 1) * cos + root), sign * 2 * a * (a - 1 - sign * (a + 1) * cos),
             a * (a + 1 - sign * (a - 1) * cos - root))  # fmt: skip
        d = (a + 1 + sign * (a - 1) * cos + root, -sign * 2 * (a - 1 + sign * (a + 1) * cos),
             a + 1 + sign * (a - 1) * cos - root)  # fmt: skip
    return b[0] / d[0], b[1] / d[0], b[2] / d[0], d[1] / d[0], d[2] / d[0]


def equalise(x: np.ndarray, bands: list[tuple[float, float, float, float, float]]) -> np.ndarray:
    """A filtered copy of stereo `x` [n, 2]."""
    y = np.array(x, np.float32)
    if bands:
        _biquads(y, np.array(bands))
    return y


@numba.njit(cache=True, fastmath=True)
def _compress(x, key, threshold, ratio, attack, release):  # type: ignore[no-untyped-def]
    """Feed-forward compressor in place: peak of `key` [n, 2] drives the gain of `x` [n, 2]; knee of 6 dB."""
    rise, fall, gain_db, factor = math.exp(-1.0 / (attack * RATE)), math.exp(-1.0 / (release * RATE)), 0.0, 1.0
    for i in range(0, x.shape[0], 8):
        last = min(i + 8, x.shape[0])
        peak = 1e-7
        for j in range(i, last):
            peak = max(peak, abs(key[j, 0]), abs(key[j, 1]))
        over = 20.0 * math.log10(peak) - threshold
        wanted = 0.0
        if over > 3.0:
            wanted = over * (1.0 / ratio - 1.0)
        elif over > -3.0:
            wanted = (1.0 / ratio - 1.0) * (over + 3.0) ** 2 / 12.0
        speed = rise if wanted < gain_db else fall
        gain_db = wanted + speed**8 * (gain_db - wanted)
        target = 10.0 ** (gain_db / 20.0)
        for j in range(i, last):
            mixed = factor + (target - factor) * (j - i + 1) / 8.0
            x[j, 0] *= mixed
            x[j, 1] *= mixed
        factor = target


def compress(
    x: np.ndarray,
    *,
    threshold_db: float,
    ratio: float,
    attack_s: float,
    release_s: float,
    key: np.ndarray | None = None,
) -> np.ndarray:
    """A compressed copy of stereo `x`; with `key` another sound presses it down (side-chain)."""
    y = np.array(x, np.float32)
    _compress(y, x if key is None else key, threshold_db, ratio, attack_s, release_s)
    return y


@numba.njit(cache=True, fastmath=True)
def moving_delay(x, knobs):  # type: ignore[no-untyped-def]
    """Chorus and flanger: a delay line whose length swings, left and right out of step.

    `knobs`: delay, depth (s), rate (Hz), phase, feedback, mix.
    """
    size = 8192
    delay, depth, rate, phase, feedback, mix = knobs[0], knobs[1], knobs[2], knobs[3], knobs[4], knobs[5]
    y = np.empty_like(x)
    for c in range(2):
        line, place = np.zeros(size, np.float32), 0
        for i in range(x.shape[0]):
            swing = math.sin(2 * math.pi * rate * i / RATE + phase + c * 1.6)
            tap = place - (delay + depth * swing) * RATE
            if tap < 0.0:
                tap += size
            first = int(tap)
            part = tap - first
            wet = line[first % size] * (1.0 - part) + line[(first + 1) % size] * part
            line[place] = x[i, c] + feedback * wet
            place = (place + 1) % size
            y[i, c] = x[i, c] * (1.0 - 0.5 * mix) + mix * wet
    return y


@numba.njit(cache=True, fastmath=True)
def echo(x, knobs):  # type: ignore[no-untyped-def]
    """Echoes that darken. `knobs`: delay (s), feedback, brightness 0-1, mix, 1 to bounce between left and right."""
    delay, feedback, damping, mix, cross = int(knobs[0] * RATE), knobs[1], knobs[2], knobs[3], knobs[4] > 0.5
    line = np.zeros((delay, 2), np.float32)
    y = np.empty_like(x)
    low = np.zeros(2)
    place = 0
    for i in range(x.shape[0]):
        for c in range(2):
            wet = line[place, c]
            low[c] += damping * (wet - low[c])
            y[i, c] = x[i, c] + mix * wet
        for c in range(2):
            line[place, c] = x[i, c] + feedback * (low[1 - c] if cross else low[c])
        place = (place + 1) % delay
    return y


def saturate(x: np.ndarray, drive_db: float, *, bias: float = 0.0) -> np.ndarray:
    """Tape or valve warmth: tanh with an offset for even harmonics; the level stays about where it was."""
    drive = 10 ** (drive_db / 20)
    level = float(np.sqrt(np.mean(x**2))) + 1e-9
    y = np.tanh(drive * x + bias) - math.tanh(bias)
    return (y * (level / (float(np.sqrt(np.mean(y**2))) + 1e-9))).astype(np.float32)


def loudness_db(x: np.ndarray) -> float:
    """RMS of the frames of 50 ms that are not nearly silent, in dBFS; -120 for silence."""
    size = RATE // 20
    frames = x[: len(x) // size * size].reshape(-1, size * 2)
    if not len(frames):
        return -120.0
    power = np.einsum("ij,ij->i", frames, frames, dtype=np.float64) / frames.shape[1]
    top = power.max()
    return 10 * math.log10(power[power > top * 0.0025].mean() + 1e-12) if top > 1e-10 else -120.0


def to_level(x: np.ndarray, target_db: float) -> np.ndarray:
    """The sound at a loudness in dBFS; silence stays silence."""
    level = loudness_db(x)
    return x * np.float32(10 ** ((target_db - level) / 20)) if level > -90 else np.zeros_like(x)


def place(x: np.ndarray, pan: float, width: float) -> np.ndarray:
    """Pans stereo `x` (-1 left, 1 right, constant power) with its side signal scaled by `width`."""
    mid, side = (x[:, 0] + x[:, 1]) / 2, (x[:, 0] - x[:, 1]) / 2 * width
    angle = (np.clip(pan, -1, 1) + 1) * math.pi / 4
    left, right = math.cos(angle) * math.sqrt(2), math.sin(angle) * math.sqrt(2)
    return np.stack([(mid + side) * left, (mid - side) * right], 1).astype(np.float32)


@dataclass
class Room:
    """A reverb that all stems of a song share: one impulse response, transformed once."""

    spectrum: np.ndarray
    size: int
    samples: int

    def wet(self, x: np.ndarray) -> np.ndarray:
        """The reverberation of stereo `x` [samples, 2]."""
        transformed = np.asarray(scipy.fft.rfft(x, self.size, axis=0))
        transformed *= self.spectrum
        return np.asarray(scipy.fft.irfft(transformed, self.size, axis=0))[: self.samples]


def build_room(rng: np.random.Generator, samples: int) -> Room:
    """Draws a room, hall, plate or spring: early reflections, then noise whose highs die sooner."""
    seconds = float(np.exp(rng.uniform(math.log(0.25), math.log(4.5))))
    length = int(min(seconds * 1.3, 4.0) * RATE)
    t = np.arange(length) / RATE
    response = np.zeros((length, 2), np.float32)
    edges = (0, 400, 1600, 5000, 20000)
    for low, high, speed in zip(
        edges, edges[1:], (rng.uniform(0.8, 1.3), 1.0, rng.uniform(0.5, 1.0), rng.uniform(0.25, 0.8)), strict=False
    ):
        noise = rng.standard_normal((length, 2)).astype(np.float32)
        bands = [biquad("lowpass", high)] + ([biquad("highpass", low)] if low else [])
        response += equalise(noise, bands) * np.exp(-6.9 * t / (seconds * speed))[:, None].astype(np.float32)
    delay = int(rng.uniform(0.0, 0.06) * RATE)
    response = np.roll(response, delay, 0)
    response[:delay] = 0
    for _ in range(int(rng.integers(3, 12))):
        at = int(rng.uniform(0.003, 0.06) * RATE)
        response[min(at, length - 1)] += rng.uniform(-1, 1, 2) * rng.uniform(1, 6)
    response /= np.sqrt((response**2).sum(0).mean())
    size = int(scipy.fft.next_fast_len(samples + length, real=True) or 0)
    return Room(np.asarray(scipy.fft.rfft(response, size, axis=0)), size, samples)


@numba.njit(cache=True, fastmath=True)
def _limit_curve(peak, ceiling, hold, release):  # type: ignore[no-untyped-def]
    """Gain per sample that keeps `peak` [n] under the ceiling: looks `hold` samples ahead, recovers slowly."""
    n = len(peak)
    wanted = np.empty(n, np.float32)
    need = 1.0
    back = math.exp(-1.0 / (release * RATE))
    for i in range(n):
        now = ceiling / peak[i] if peak[i] > ceiling else 1.0
        need = now if now < need else 1.0 - (1.0 - need) * back
        wanted[i] = need
    for i in range(n - 2, -1, -1):  # ramp down before the peak, so that no gain step clicks
        ramp = wanted[i + 1] + 1.0 / hold
        wanted[i] = min(wanted[i], ramp)
    return wanted


def master(
    stems: dict[str, np.ndarray], *, loudness_dbfs: float, glue: float = 0.0, ceiling: float = CEILING
) -> dict[str, np.ndarray]:
    """Bus compressor and limiter as ONE gain curve for all stems, so that they still sum to the mix.

    `glue` in 0-1 is how hard the bus compressor works. No stem and no mix exceeds the ceiling.
    """
    if not stems:
        return {}
    mix = np.asarray(np.sum(list(stems.values()), 0), np.float32)
    gain = np.full(len(mix), 10 ** ((loudness_dbfs - loudness_db(mix)) / 20), np.float32)
    if glue > 0:
        loud = mix * gain[:, None]
        pressed = np.ones_like(loud)
        _compress(pressed, loud, -8.0 - 14 * glue, 1.5 + 2.5 * glue, 0.01, 0.15)
        makeup = 10 ** ((loudness_dbfs - loudness_db(loud * pressed)) / 20)
        gain = gain * pressed[:, 0] * np.float32(makeup)
    gain = gain * _limit_curve(np.abs(mix).max(1) * gain, ceiling, 200.0, 0.08)
    mastered = {name: stem * gain[:, None] for name, stem in stems.items()}
    return under_ceiling(mastered, mix * gain[:, None], ceiling)


def under_ceiling(stems: dict[str, np.ndarray], mix: np.ndarray, ceiling: float = CEILING) -> dict[str, np.ndarray]:
    """Stems [n, 2], all turned down alike where one of them, or their mix, exceeds the ceiling."""
    top = max(float(np.abs(sound).max(initial=0)) for sound in [*stems.values(), mix])
    factor = min(1.0, ceiling / max(top, 1e-9))
    return {name: np.ascontiguousarray(stem * factor, np.float32) for name, stem in stems.items()}
