"""Instruments as sums of harmonics: brass that brightens as it swells, flutes with breath, bowed sections, organs,
wavetables that morph, and pads of broadened harmonics (PADsynth, P. N. Octavian)."""

import math
from collections.abc import Sequence

import numba
import numpy as np

from stemwright.train.composing.score import Note

RATE = 44100


@numba.njit(cache=True, fastmath=True)
def _harmonics(out, begin, note, spectra, knobs, noise):  # type: ignore[no-untyped-def]
    """One note of one player added to `out` [n, 2]; `note`: Hz, samples held, gain left and right; `spectra` [2, k] are
    the amplitudes between which the tone morphs.

    `knobs`: attack, decay, sustain, release (s), brightness of a loud tone, vibrato (semitones), its rate (Hz), tremolo
    0-1, breath 0-1, breath's smoothing 0-1, scoop from below (semitones), its length (s), morph rate (Hz), morph 0-1.
    """
    attack, decay, sustain, release = knobs[0], knobs[1], knobs[2], knobs[3]
    hz, held = note[0], int(note[1])
    count = spectra.shape[1]
    total = min(held + int(4.0 * release * RATE), out.shape[0] - begin)
    fall = math.exp(-1.0 / (release * RATE))
    amplitude = np.zeros(count)
    theta, level, step, air, shade = 0.0, 0.0, 0.0, 0.0, 1.0
    for i in range(total):
        t = i / RATE
        if i < held:
            rise = min(1.0, t / attack)
            level = rise * (2.0 - rise) * (sustain + (1.0 - sustain) * math.exp(-t / decay))
        else:
            level *= fall
        if i % 32 == 0:
            late = min(1.0, max(0.0, (t - 0.12) * 3.0))
            swing = math.sin(2 * math.pi * knobs[6] * t)
            bend = knobs[5] * late * swing - knobs[10] * math.exp(-t / knobs[11])
            step = 2 * math.pi * hz * 2.0 ** (bend / 12.0) / RATE
            shade = 1.0 + knobs[7] * late * swing
            morph = knobs[13] * (0.5 - 0.5 * math.cos(2 * math.pi * knobs[12] * t))
            dark = max(level * shade, 1e-4) ** (knobs[4] * 0.25)
            tilt = 1.0
            for k in range(count):
                amplitude[k] = tilt * (spectra[0, k] + morph * (spectra[1, k] - spectra[0, k]))
                tilt *= dark
        theta += step
        if theta > 2 * math.pi:
            theta -= 2 * math.pi
        double, before, now, y = 2.0 * math.cos(theta), 0.0, math.sin(theta), 0.0
        for k in range(count):
            y += amplitude[k] * now
            before, now = now, double * now - before
        air += (1.0 - knobs[9]) * (noise[(begin + i) % len(noise)] - air)
        y = level * shade * (y + 0.3 * knobs[8] * air)
        out[begin + i, 0] += note[2] * y
        out[begin + i, 1] += note[3] * y


def _formants(rng: np.random.Generator, hz: np.ndarray, centres: Sequence[float], depth_db: float) -> np.ndarray:
    """Gain of an instrument's fixed resonances at each harmonic."""
    octaves = np.log2(np.maximum(hz, 20))
    gain = np.zeros(len(hz))
    for centre in centres:
        gain += depth_db * np.exp(-(((octaves - math.log2(centre)) / rng.uniform(0.35, 0.7)) ** 2))
    return 10 ** (gain / 20)


# Bounds of the knobs of `_harmonics` (from "attack" to "scoop" in its order), for a kind of instrument.
KNOBS: dict[str, tuple[tuple[float, float], ...]] = {
    "brass": ((0.02, 0.09), (0.3, 0.3), (0.7, 1), (0.03, 0.1), (1, 3.5), (0, 0.25), (4.5, 6.5), (0, 0.1), (0, 0.06),
              (0.5, 0.5), (0, 1.5)),
    "flute": ((0.03, 0.1), (0.5, 0.5), (0.8, 1), (0.04, 0.12), (0.3, 1), (0, 0.2), (4.2, 6), (0.05, 0.35), (0.1, 0.6),
              (0.2, 0.8), (0, 0.4)),
    "reed": ((0.02, 0.07), (0.5, 0.5), (0.8, 1), (0.03, 0.1), (0.4, 1.5), (0, 0.25), (4.5, 6.2), (0, 0.15), (0, 0.12),
             (0.4, 0.4), (0, 0.7)),
    "sax": ((0.015, 0.07), (0.4, 0.4), (0.75, 1), (0.03, 0.1), (0.8, 2.5), (0.05, 0.35), (4.5, 6), (0, 0.15),
            (0.03, 0.25), (0.5, 0.5), (0.2, 2)),
    "strings": ((0.05, 0.3), (0.5, 0.5), (0.8, 1), (0.08, 0.3), (0.2, 1), (0.05, 0.35), (4.8, 6.8), (0, 0.15),
                (0.02, 0.15), (0.3, 0.3), (0, 0.3)),
    "organ": ((0.003, 0.012), (0.3, 0.3), (1, 1), (0.01, 0.04), (0, 0), (0, 0.12), (0.7, 7), (0, 0.35), (0, 0),
              (0.5, 0.5), (0, 0)),
    "accordion": ((0.02, 0.06), (0.3, 0.3), (1, 1), (0.03, 0.06), (0.2, 0.2), (0, 0), (5, 5), (0, 0.1), (0.02, 0.02),
                  (0.5, 0.5), (0, 0)),
    "wavetable": ((0.002, 0.3), (0.1, 3), (0.2, 1), (0.03, 0.4), (0, 1.5), (0, 0.15), (4, 7), (0, 0.3), (0, 0),
                  (0.5, 0.5), (0, 0)),
}  # fmt: skip
# Bounds (Hz) of where an instrument's fixed resonances lie, and of how steeply its harmonics fall.
RESONANCES: dict[str, tuple[tuple[float, float], ...]] = {
    "brass": ((350, 1900),), "flute": ((500, 1500),), "reed": ((800, 1500), (2200, 3500)),
    "sax": ((500, 900), (1200, 2200)), "strings": ((200, 5000),) * 5, "organ": (), "accordion": ((600, 1800),),
    "wavetable": ((200, 8000),) * 3,
}  # fmt: skip
SLOPES = {"brass": (0.5, 1.1), "flute": (1.8, 3), "reed": (0.7, 1.3), "sax": (0.6, 1.1), "strings": (0.7, 1.2),
          "organ": (0, 0), "accordion": (0.4, 0.9), "wavetable": (0.3, 1.5)}  # fmt: skip


class Voice:
    """An instrument drawn for one song: its knobs, and the spectrum of each of its notes."""

    def __init__(self, rng: np.random.Generator, kind: str) -> None:
        self.kind, self.seed = kind, int(rng.integers(1 << 30))
        morph = rng.uniform(0, 1) if kind == "wavetable" else 0.3 * (kind == "strings")
        own = [rng.uniform(*bounds) for bounds in KNOBS[kind]]
        self.knobs = np.array([*own, rng.uniform(0.02, 0.05), np.exp(rng.uniform(-2.3, 2.3)), morph])
        self.centres = [math.exp(rng.uniform(math.log(low), math.log(high))) for low, high in RESONANCES[kind]]
        self.slope = rng.uniform(*SLOPES[kind])
        self.odd = rng.uniform(0.02, 0.5) if kind in ("reed", "accordion") and rng.random() < 0.5 else 1.0
        self.shape = rng.uniform(0.2, 1.0, (2, 64))

    def spectra(self, hz: float) -> np.ndarray:
        """Amplitudes [2, k] of the harmonics of a note below 16 kHz."""
        rng = np.random.default_rng(self.seed)
        count = int(np.clip(16000 / hz, 1, {"flute": 10, "organ": 16}.get(self.kind, 40)))
        k = np.arange(1, count + 1)
        if self.kind == "organ":  # harmonics of the sixteen-foot pipe, an octave below the note
            bars = np.zeros(16)
            bars[[0, 1, 2, 3, 5, 7, 9, 11, 15]] = self.shape[0, :9] * (self.shape[1, :9] > 0.45)
            bars[1] = max(bars[1], 0.4)
            spectrum = np.stack([bars[:count], bars[:count]])
        else:
            base = (
                k**-self.slope
                * np.where(k % 2 == 0, self.odd, 1.0)
                * _formants(rng, k * hz, self.centres, rng.uniform(4, 14))
            )
            rough = self.shape[:, :count] ** (2.0 if self.kind == "wavetable" else 0.35)
            spectrum = base * rough
        return spectrum / np.sqrt((spectrum**2).sum(1, keepdims=True) + 1e-9)


def play_harmonics(
    rng: np.random.Generator, notes: Sequence[Note], samples: int, kind: str, *, players: int = 1
) -> np.ndarray:
    """The notes on an instrument of one of Voice's kinds, float32 [samples, 2]; several players make a section."""
    out, noise = np.zeros((samples, 2)), rng.standard_normal(65537)
    voice = Voice(rng, kind)
    if kind == "accordion":
        players = max(players, int(rng.integers(1, 4)))
    spread = rng.uniform(0.2, 1.0)
    cents = rng.normal(0, 7 if kind != "organ" else 1, players) * (players > 1)
    late, pans = (
        np.abs(rng.normal(0, 0.015, players)) * (players > 1),
        np.linspace(-spread, spread, players) if players > 1 else [0.0],
    )
    for note in notes:
        hz = 440 * 2 ** ((note.pitch - 69 - 12 * (kind == "organ")) / 12)
        spectra = voice.spectra(hz)
        loud = (note.velocity / 127) ** 1.5 / math.sqrt(players)
        for player in range(players):
            begin = round((note.start_seconds + late[player]) * RATE)
            if begin >= samples:
                continue
            knobs = voice.knobs.copy()
            knobs[0] = min(knobs[0], 0.5 * note.seconds + 0.005)
            knobs[4] *= 2 - note.velocity / 100
            knobs[6] *= rng.uniform(0.93, 1.07)
            angle = (1 + pans[player]) * math.pi / 4
            tuned = hz * 2 ** ((cents[player] + rng.normal(0, 2)) / 1200)
            played = np.array([tuned, note.seconds * RATE, loud * math.cos(angle), loud * math.sin(angle)])
            _harmonics(out, begin, played, spectra, knobs, noise)
    return (0.3 * out).astype(np.float32)


def play_pad(rng: np.random.Generator, notes: Sequence[Note], samples: int) -> np.ndarray:
    """The notes as clouds: every harmonic is a band of noise, wider as it climbs; float32 [samples, 2]."""
    size, out = 1 << 17, np.zeros((samples, 2), np.float32)
    bandwidth, growth = rng.uniform(10, 90), rng.uniform(0.7, 1.3)
    shape, slope = rng.uniform(0, 1, 64) ** rng.uniform(0.5, 3), rng.uniform(0.5, 1.8)
    attack, release = rng.uniform(0.02, 0.8), rng.uniform(0.1, 0.8)
    tables: dict[float, np.ndarray] = {}
    for note in notes:
        begin = round(note.start_seconds * RATE)
        if begin >= samples:
            continue
        if note.pitch not in tables:
            tables[note.pitch] = _cloud(
                rng,
                440 * 2 ** ((note.pitch - 69) / 12),
                (size, bandwidth, growth),
                shape / (1 + np.arange(64)) ** slope,
            )
        count = min(int((note.seconds + 4 * release) * RATE), samples - begin)
        t = np.arange(count) / RATE
        envelope = np.minimum(1, t / attack) * np.exp(-np.maximum(0, t - note.seconds) / release)
        where = (int(rng.integers(size)) + np.arange(count)) % size
        out[begin : begin + count] += (
            tables[note.pitch][where] * (envelope * (note.velocity / 127) ** 1.3).astype(np.float32)[:, None]
        )
    return 0.3 * out


def _cloud(rng: np.random.Generator, hz: float, knobs: tuple[int, float, float], amplitudes: np.ndarray) -> np.ndarray:
    size, bandwidth, growth = knobs
    bins = np.zeros(size // 2 + 1)
    for k, amplitude in enumerate(amplitudes, 1):
        centre = k * hz * size / RATE
        if centre > size * 0.4:
            break
        width = max(0.6, (2 ** (bandwidth / 1200) - 1) * hz * k**growth * size / RATE / 2)
        first, last = max(0, int(centre - 4 * width)), min(len(bins), int(centre + 4 * width) + 2)
        bins[first:last] += amplitude * np.exp(-(((np.arange(first, last) - centre) / width) ** 2)) / math.sqrt(width)
    phases = np.exp(2j * np.pi * rng.random((len(bins), 2)))
    sound = np.fft.irfft(bins[:, None] * phases, axis=0)
    return (sound / (np.sqrt((sound**2).mean()) * 3 + 1e-12)).astype(np.float32)
