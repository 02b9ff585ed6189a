"""Keyboards of our own: tines and reeds before a pickup, tonewheels with a turning speaker, and a clavinet's struck,
damped strings."""

from collections.abc import Sequence

import numba
import numpy as np

from stemwright.train.composing.score import Note
from stemwright.train.instruments.basses import hz_of
from stemwright.train.mixing.desk import biquad, equalise, saturate

RATE = 44100
# Semitones of the nine drawbars above the key (16, 5 1/3, 8, 4, 2 2/3, 2, 1 3/5, 1 1/3, 1 foot).
DRAWBARS = (-12, 7, 0, 12, 19, 24, 28, 31, 36)


def play_electric_piano(rng: np.random.Generator, notes: Sequence[Note], samples: int) -> np.ndarray:
    """Tines or reeds that swing before a pickup, whose field bends the sine, float32 [samples, 2]."""
    reed = rng.random() < 0.4
    centre, reach = rng.uniform(0.05, 0.5), rng.uniform(0.3, 1.1)
    bell, bell_ratio = (0.0, 1.0) if reed else (rng.uniform(0.02, 0.35), rng.uniform(4.5, 8.5))
    ring, bell_ring = rng.uniform(0.6, 3.5), rng.uniform(0.06, 0.5)
    release, curve = rng.uniform(0.02, 0.12), rng.uniform(0.6, 1.8)
    out = np.zeros(samples)
    for note in notes:
        begin = round(note.start_seconds * RATE)
        count = min(int((note.seconds + 6 * release) * RATE), samples - begin)
        if count <= 0:
            continue
        t, hz, touch = np.arange(count) / RATE, hz_of(note.pitch + rng.normal(0, 0.02)), note.velocity / 127
        swing = reach * touch**curve * np.exp(-t / (ring * (220 / hz) ** 0.4)) * np.sin(2 * np.pi * hz * t)
        swing += (
            bell * touch ** (2 * curve) * np.exp(-t / bell_ring) * np.sin(2 * np.pi * min(hz * bell_ratio, 15000) * t)
        )
        field = 1 / (1 + np.abs(swing - centre)) if reed else 1 / (1 + (1.5 * (swing - centre)) ** 2)
        damped = np.exp(-np.maximum(0, t - note.seconds) / release)
        out[begin : begin + count] += (field - field[0]) * damped * np.minimum(1, t / 0.001)
    sound = equalise(np.repeat(out[:, None], 2, 1), [biquad("highpass", 40), *_tone(rng)])
    return _trembling(rng, 0.4 * sound)


def _tone(rng: np.random.Generator) -> list:
    """The preamplifier's knobs."""
    return [biquad("lowshelf", 200, gain_db=rng.normal(0, 4)), biquad("highshelf", 2500, gain_db=rng.normal(0, 5)),
            biquad("lowpass", rng.uniform(3000, 12000))]  # fmt: skip


def _trembling(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """The stereo tremolo of a suitcase, in two of five songs."""
    if rng.random() < 0.6:
        return sound
    t, depth = np.arange(len(sound)) / RATE, rng.uniform(0.1, 0.8)
    swing = np.sin(2 * np.pi * rng.uniform(2, 8) * t)
    return (sound * np.stack([1 + depth * swing, 1 - depth * swing], 1) / (1 + depth)).astype(np.float32)


def play_tonewheels(rng: np.random.Generator, notes: Sequence[Note], samples: int) -> np.ndarray:
    """Drawbars over sines, a click, percussion, an overdriven valve and a speaker that turns, float32 [samples, 2]."""
    bars = rng.uniform(0, 1, 9) ** 2 * (rng.random(9) < 0.6)
    bars[[0, 2]] = np.maximum(bars[[0, 2]], rng.uniform(0.2, 1, 2))
    click, percussion, partial = rng.uniform(0, 0.15), rng.choice([0, rng.uniform(0.3, 1.5)]), int(rng.choice([3, 4]))
    out = np.zeros(samples)
    for note in notes:
        begin = round(note.start_seconds * RATE)
        count = min(int((note.seconds + 0.03) * RATE), samples - begin)
        if count <= 0:
            continue
        t = np.arange(count) / RATE
        gate = np.minimum(1, t / 0.003) * np.clip((note.seconds + 0.012 - t) / 0.012, 0, 1)
        tone = np.zeros(count)
        for i, (bar, shift) in enumerate(zip(bars, DRAWBARS, strict=True)):
            level = bar + (percussion * np.exp(-t / 0.15) if i == partial else 0)
            hz = hz_of(note.pitch + shift)
            tone += level * np.sin(2 * np.pi * (hz if hz < 6000 else hz / 2) * t + i)
        tone += click * rng.standard_normal(count) * np.exp(-t / 0.002)
        out[begin : begin + count] += tone * gate
    sound = 0.1 * np.repeat(out[:, None], 2, 1).astype(np.float32)
    if rng.random() < 0.5:
        sound = saturate(sound, float(rng.uniform(4, 20)), bias=0.1)
    return turn(sound, float(rng.uniform(0.6, 7.5)), float(rng.uniform(0.1, 0.7))) if rng.random() < 0.75 else sound


@numba.njit(cache=True, fastmath=True)
def _turn(x, rate, depth):  # type: ignore[no-untyped-def]
    """Two microphones at a horn that turns: its way to them swings (pitch) and so does its loudness."""
    y, size = np.zeros((len(x), 2), np.float32), 256
    line = np.zeros(size)
    for i in range(len(x)):
        line[i % size] = x[i]
        for c in range(2):
            swing = np.sin(2 * np.pi * rate * i / RATE + c * 1.9)
            at = i - (40.0 + 30.0 * depth * swing)
            k = int(np.floor(at))
            part = at - k
            heard = line[k % size] * (1 - part) + line[(k + 1) % size] * part if k >= 0 else 0.0
            y[i, c] = heard * (1.0 - 0.5 * depth * (1 + swing) / 2)
    return y


def turn(sound: np.ndarray, rate_hz: float, depth: float) -> np.ndarray:
    """The sound [n, 2] through a turning speaker; the bass stays where it is."""
    low = equalise(sound, [biquad("lowpass", 800)])
    return low + _turn((sound - low).mean(1), rate_hz, depth)


def play_clavinet(rng: np.random.Generator, notes: Sequence[Note], samples: int) -> np.ndarray:
    """Strings struck against an anvil under two pickups, damped by wool at once, float32 [samples, 2]."""
    pickups, phase, place = rng.uniform(0.08, 0.4, 2), rng.choice([-1.0, 0.0, 1.0]), rng.uniform(0.03, 0.15)
    ring, dull, curve = rng.uniform(0.4, 2.5), rng.uniform(0.25, 0.9), rng.uniform(0.4, 1.4)
    out = np.zeros(samples)
    for note in notes:
        begin, hz = round(note.start_seconds * RATE), hz_of(note.pitch)
        count = min(int((note.seconds + 0.06) * RATE), samples - begin)
        if count <= 0:
            continue
        t, k = np.arange(count) / RATE, np.arange(1, int(np.clip(9000 / hz, 2, 36)) + 1)
        stretched = k * hz * np.sqrt(1 + 2e-4 * k**2)
        heard = np.sin(np.pi * k * pickups[0]) + phase * np.sin(np.pi * k * pickups[1])
        levels = np.sin(np.pi * k * place) * heard * k ** -(1.3 * dull + 0.5 * (1 - note.velocity / 127))
        tones = np.zeros(count)
        for f, level in zip(stretched, levels, strict=True):
            tones += level * np.exp(-t * (1 + f / 3000) / ring) * np.sin(2 * np.pi * f * t)
        tones *= (note.velocity / 127) ** curve * np.exp(-np.maximum(0, t - note.seconds) / 0.008)
        out[begin : begin + count] += tones
    bands = [
        biquad("highpass", rng.uniform(50, 400)),
        biquad("peak", rng.uniform(900, 4000), gain_db=rng.uniform(0, 8)),
    ]
    return equalise(0.2 * np.repeat(out[:, None], 2, 1), bands)
