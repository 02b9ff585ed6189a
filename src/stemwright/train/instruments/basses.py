"""Basses of our own: strings that are fingered, picked, slapped or muted over pickups and wood, and one-voice
synthesizers: sub with glide, reese, frequency modulation, folded and pulse waves."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numba
import numpy as np

from stemwright.train.composing.score import Note
from stemwright.train.mixing.desk import biquad, equalise, moving_delay

RATE = 44100


@numba.njit(cache=True, fastmath=True)
def _string(out, hz, held, knobs, noise):  # type: ignore[no-untyped-def]
    """Writes one plucked string to `out` [n]: a waveguide with two pickups. `knobs`: brightness 0-1, decay (s to
    -60 dB), place of the finger 0-0.5, roundness of the finger (part of the period), noise of the attack, place of the
    one and the other pickup 0-0.5, the other's level, release (s), height of the frets (0: none), magnetic 0-1."""
    damp, decay, release = 0.5 * (1.0 - knobs[0]), knobs[1], knobs[8]
    w = 2 * math.pi * hz / RATE
    delay = math.atan2(damp * math.sin(w), 1.0 - damp + damp * math.cos(w)) / w
    period = RATE / hz - delay
    whole = int(period - 0.3)
    tune = (1.0 - (period - whole)) / (1.0 + (period - whole))
    loss, let_go = 10.0 ** (-3.0 / (hz * decay)), 10.0 ** (-3.0 / (hz * release))
    line, peak = np.zeros(whole), max(2.0, knobs[2] * whole)
    for i in range(whole):  # a string drawn aside at one place
        line[i] = i / peak if i < peak else (whole - i) / (whole - peak)
        line[i] = line[i] - 0.5 + knobs[4] * noise[i % len(noise)]
    for _ in range(3):  # rounded by the finger's width
        width = max(1, int(knobs[3] * whole))
        total = 0.0
        old = line.copy()
        for j in range(width):
            total += old[j]
        for i in range(whole):
            line[i] = total / width
            total += old[(i + width) % whole] - old[i]
    one, other = int(knobs[5] * whole), int(knobs[6] * whole)
    at, before, ap_in, ap_out, last, frets = 0, 0.0, 0.0, 0.0, 0.0, knobs[9]
    for i in range(out.shape[0]):
        y = line[at]
        if frets > 0.0 and y > frets:
            y = frets + 0.2 * (y - frets)
        low = (1.0 - damp) * y + damp * before
        before = y
        tuned = tune * low + ap_in - tune * ap_out
        ap_in, ap_out = low, tuned
        line[at] = tuned * (loss if i < held else let_go)
        heard = y - line[(at + one) % whole] + knobs[7] * (y - line[(at + other) % whole])
        out[i] = knobs[10] * (heard - last) * whole * 0.05 + (1.0 - knobs[10]) * heard
        last = heard
        at = (at + 1) % whole


# How a hand plays: brightness, decay (s), place, roundness, noise of the attack, height of the frets.
Bounds = tuple[float, float]
HANDS: dict[str, tuple[Bounds, Bounds, Bounds, Bounds, Bounds, Bounds]] = {
    "fingered": ((0.55, 0.97), (3, 14), (0.1, 0.35), (0.03, 0.14), (0, 0.06), (0, 0)),
    "picked": ((0.75, 0.99), (3, 14), (0.05, 0.25), (0.004, 0.04), (0.05, 0.3), (0, 0)),
    "slapped": ((0.85, 0.995), (3, 12), (0.03, 0.12), (0.002, 0.025), (0.1, 0.5), (0.15, 0.45)),
    "muted": ((0.3, 0.8), (0.25, 0.9), (0.08, 0.35), (0.04, 0.16), (0, 0.1), (0, 0)),
    "upright": ((0.35, 0.85), (1, 4), (0.2, 0.45), (0.06, 0.2), (0, 0.05), (0, 0.6)),
}


def play_string_bass(rng: np.random.Generator, notes: Sequence[Note], samples: int, hand: str) -> np.ndarray:
    """The notes on a bass guitar or upright drawn for the song, played as HANDS say; float32 [samples, 2]."""
    own = np.array([rng.uniform(*bounds) for bounds in HANDS[hand]])
    pickups = np.sort(rng.uniform(0.04, 0.3, 2))
    magnetic, other = (0.0, 0.0) if hand == "upright" else (rng.uniform(0, 1), rng.choice([0.0, rng.uniform(0, 1)]))
    release, curve, noise = rng.uniform(0.02, 0.25), rng.uniform(0.5, 1.6), rng.standard_normal(1024)
    out = np.zeros(samples)
    for note in notes:
        begin, held = round(note.start_seconds * RATE), int(note.seconds * RATE)
        if begin >= samples:
            continue
        touch = note.velocity / 127
        bright = np.clip(own[0] + 0.12 * (touch - 0.7) + rng.normal(0, 0.01), 0.05, 0.998)
        place = np.clip(own[2] + rng.normal(0, 0.01), 0.02, 0.48)
        attack = own[4] * touch * rng.uniform(0.5, 1.5)
        seconds, round_by = own[1] * (41.2 / hz_of(note.pitch)) ** 0.4, own[3] * (1.3 - 0.5 * touch)
        knobs = np.array([bright, seconds, place, round_by, attack, *pickups, other, release, own[5], magnetic])
        ringing = np.zeros(min(held + int(2.5 * release * RATE) + 200, samples - begin))
        _string(ringing, hz_of(note.pitch + rng.normal(0, 0.03)), held, knobs, np.roll(noise, int(rng.integers(1024))))
        ringing[-150:] *= np.linspace(1, 0, len(ringing[-150:]))
        out[begin : begin + len(ringing)] += ringing * (touch**curve / (np.abs(ringing).max() + 1e-9))
    return equalise(0.4 * np.repeat(out[:, None], 2, 1), _wood(rng) if hand == "upright" else _wires(rng))


def hz_of(pitch: float) -> float:
    """Frequency of a MIDI pitch."""
    return 440 * 2 ** ((pitch - 69) / 12)


def _wood(rng: np.random.Generator) -> list:
    places = (rng.uniform(60, 75), rng.uniform(95, 130), rng.uniform(180, 260), rng.uniform(400, 900))
    ribs = [biquad("peak", hz, gain_db=rng.uniform(0, 8), q=rng.uniform(1, 4)) for hz in places]
    return [biquad("highpass", 32), *ribs, biquad("lowpass", rng.uniform(1200, 7000))]


def _wires(rng: np.random.Generator) -> list:
    """The resonance of pickup and cable, and the tone knob."""
    bands = [biquad("highpass", 25), biquad("lowpass", rng.uniform(1800, 8000), q=rng.uniform(0.6, 2.2))]
    return [*bands, biquad("lowpass", rng.uniform(250, 2500))] if rng.random() < 0.35 else bands


@dataclass(frozen=True)
class Line:
    """A part as one voice hears it, sample by sample: pitch (Hz), seconds since the note began, velocity 0-1, gate."""

    hz: np.ndarray
    age: np.ndarray
    touch: np.ndarray
    gate: np.ndarray

    @property
    def phase(self) -> np.ndarray:
        """Turns of the oscillator so far."""
        return np.cumsum(self.hz) / RATE


def one_voice(notes: Sequence[Note], samples: int, *, glide_seconds: float, knobs: Sequence[float]) -> Line:
    """Each note ends the last one. `knobs` of the gate: attack, decay (s), sustain 0-1, release (s)."""
    attack, decay, sustain, release = knobs
    semitones, age, touch, gate = np.full(samples, 36.0), np.zeros(samples), np.zeros(samples), np.zeros(samples)
    ordered = sorted(notes)
    ends = [note.start_seconds for note in ordered[1:]] + [samples / RATE]
    for note, end in zip(ordered, ends, strict=True):
        begin, last = round(note.start_seconds * RATE), min(round(end * RATE), samples)
        if last <= begin:
            continue
        t = np.arange(last - begin) / RATE
        semitones[begin:] = note.pitch
        age[begin:last], touch[begin:last] = t, note.velocity / 127
        shape = np.minimum(1, t / attack) * (sustain + (1 - sustain) * np.exp(-t / decay))
        gate[begin:last] = shape * np.exp(-np.maximum(0, t - note.seconds) / release)
    gate = _smooth(gate, int(0.003 * RATE))
    if glide_seconds > 0:
        semitones = _smooth(_smooth(semitones, int(glide_seconds * RATE)), int(glide_seconds * RATE))
    return Line(440 * 2 ** ((semitones - 69) / 12), age, touch, gate)


def _smooth(x: np.ndarray, width: int) -> np.ndarray:
    """A moving average of the past `width` samples."""
    if width < 2:
        return x
    summed = np.cumsum(np.concatenate([np.full(width, x[0]), x]))
    return (summed[width:] - summed[:-width]) / width


def _sub(rng: np.random.Generator, line: Line) -> np.ndarray:
    drop = rng.uniform(0.5, 4) * np.exp(-line.age / rng.uniform(0.006, 0.05)) * (line.gate > 1e-4)
    phase = 2 * np.pi * np.cumsum(line.hz * (1 + drop)) / RATE
    body = np.sin(phase) + rng.uniform(0, 0.3) * np.sin(2 * phase)
    click = rng.standard_normal(len(phase)) * np.exp(-line.age / rng.uniform(0.001, 0.006)) * rng.uniform(0, 0.2)
    drive = rng.uniform(0.3, 6)
    return np.tanh(drive * (body + click)) / np.tanh(drive)


def _reese(rng: np.random.Generator, line: Line) -> np.ndarray:
    phase, out = line.phase, np.zeros(len(line.hz))
    for _ in range(int(rng.integers(2, 5))):
        turned = (phase * 2 ** (rng.normal(0, 14) / 1200) + rng.random()) % 1.0
        out += 2 * turned - 1
    return np.tanh(rng.uniform(0.3, 1.5) * out)


def _modulated(rng: np.random.Generator, line: Line) -> np.ndarray:
    """Two modulators over one carrier after Chowning (1973), as the electric basses of the eighties."""
    phase, out = 2 * np.pi * line.phase, np.zeros(len(line.hz))
    for ratio in rng.choice([0.5, 1, 1, 2, 3, 4, 5, 7], int(rng.integers(1, 3))):
        index = rng.uniform(0.2, 4) * (0.15 + np.exp(-line.age / np.exp(rng.uniform(-4, -0.5)))) * line.touch**1.5
        out += index * np.sin(ratio * phase)
    return np.sin(phase + out) + rng.uniform(0, 0.4) * np.sin(2 * phase)


def _folded(rng: np.random.Generator, line: Line) -> np.ndarray:
    fold = rng.uniform(0.3, 1) + rng.uniform(0.5, 4) * np.exp(-line.age / rng.uniform(0.05, 0.8)) * line.touch
    return np.sin(0.5 * np.pi * fold * np.sin(2 * np.pi * line.phase) + rng.uniform(0, 0.6))


def _pulse(rng: np.random.Generator, line: Line) -> np.ndarray:
    """A pulse whose width swings, with the octave below."""
    t = np.arange(len(line.hz)) / RATE
    width = rng.uniform(0.15, 0.5) + rng.uniform(0, 0.12) * np.sin(2 * np.pi * rng.uniform(0.1, 4) * t)
    phase = line.phase
    pulse = (phase % 1 - (phase + width) % 1) * 2
    return pulse + rng.uniform(0, 1) * np.sin(np.pi * phase)


VOICES: dict[str, Callable[[np.random.Generator, Line], np.ndarray]] = {
    "sub": _sub, "reese": _reese, "modulated": _modulated, "folded": _folded, "pulse": _pulse,
}  # fmt: skip
OPEN = ("reese", "pulse", "folded")


def play_synth_bass(rng: np.random.Generator, notes: Sequence[Note], samples: int, kind: str) -> np.ndarray:
    """The notes on a one-voice synthesizer of VOICES drawn for the song, float32 [samples, 2]."""
    long = kind in ("sub", "reese")
    decay, sustain = rng.uniform(0.2, 3.0 if long else 1.0), rng.choice([0.0, rng.uniform(0.1, 0.6), 1.0])
    knobs = (rng.uniform(0.001, 0.012), decay, 1.0 if kind == "reese" else sustain, rng.uniform(0.015, 0.12))
    glide = rng.uniform(0.01, 0.08) if rng.random() < 0.4 else 0.0
    line = one_voice(notes, samples, glide_seconds=glide, knobs=knobs)
    mono = VOICES[kind](rng, line) * line.gate * line.touch ** rng.uniform(0.3, 1.2)
    sound = np.repeat(mono[:, None], 2, 1).astype(np.float32)
    bands = [biquad("highpass", 22)]
    if kind in OPEN or rng.random() < 0.3:
        bands.append(biquad("lowpass", math.exp(rng.uniform(math.log(180), math.log(4500))), q=rng.uniform(0.5, 3)))
    sound = equalise(0.3 * sound, bands)
    if rng.random() < (0.7 if kind == "reese" else 0.15):
        sound = moving_delay(sound, np.array([rng.uniform(0.002, 0.012), rng.uniform(0.0005, 0.002),
            rng.uniform(0.1, 2), 0.0, rng.uniform(0, 0.6), rng.uniform(0.3, 0.9)]))  # fmt: skip
    return sound
