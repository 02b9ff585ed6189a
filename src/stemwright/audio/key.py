"""What key a song is in: the pitches of its bass and harmony, held against what keys are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.frames import Frames
from stemwright.audio.signal import Samples

Chroma = NDArray[np.float64]

# As musicians write them: Gb major, and F# minor.
TONICS = {
    "major": ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"),
    "minor": ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B"),
}
_LOWEST_HZ, _HIGHEST_HZ = 50.0, 2000.0
_CELLS = 60  # of a fifth of a semitone each: tuning is found before pitches are
# How common the twelve degrees are in major and minor music: Albrecht & Shanahan (2013), figure 2.
_PROFILES = {
    "major": (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
    "minor": (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
}
_BASS_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Key:
    """A tonic and "major" or "minor"; `confidence` from 0 to 1 is how far it is ahead of every other key."""

    tonic: str
    mode: str
    confidence: float

    def __str__(self) -> str:
        return f"{self.tonic} {self.mode}"


class Harmony:
    """Listens to what has a pitch, at `rate`, and gathers how much of each there is."""

    def __init__(self, rate: int) -> None:
        size = 1 << round(np.log2(rate * 0.37))
        self._frames = Frames(size, size // 2)
        hertz = np.arange(size // 2 + 1) * rate / size
        self._low, self._high = np.searchsorted(hertz, (_LOWEST_HZ, min(_HIGHEST_HZ, rate / 2.5)))
        self._bin_hz = rate / size
        self.cells = np.zeros(_CELLS)

    def add(self, block: Samples) -> None:
        """Hears the next [2, n]."""
        spectra = self._frames.spectra(block)[:, self._low - 1 : self._high + 1].astype(np.float64)
        if not len(spectra):
            return
        left, middle, right = spectra[:, :-2], spectra[:, 1:-1], spectra[:, 2:]
        peaks = (middle > left) & (middle >= right) & (middle > 0.01 * spectra.max(axis=1, keepdims=True))
        frame, place = np.nonzero(peaks)
        a, b, c = left[frame, place], middle[frame, place], right[frame, place]
        hertz = (place + self._low + 0.5 * (a - c) / np.minimum(a - 2 * b + c, -1e-12)) * self._bin_hz
        cell = np.floor((12 * np.log2(np.maximum(hertz, 1) / 440) + 9) % 12 * (_CELLS / 12)).astype(int) % _CELLS
        self.cells += np.bincount(cell, np.sqrt(b), _CELLS)


def key(harmony: Harmony, bass: Harmony | None = None) -> Key | None:
    """The key of a song by its chords and its bass, or None where nothing has a pitch."""
    cells = _shares(harmony) + (_BASS_SHARE * _shares(bass) if bass else 0.0)
    if not cells.any():
        return None
    fits = _fits(_in_tune(cells))
    order = np.argsort(fits)[::-1]
    best, second = int(order[0]), int(order[1])
    mode = tuple(_PROFILES)[best // 12]
    return Key(TONICS[mode][best % 12], mode, round(float(np.clip((fits[best] - fits[second]) * 5, 0, 1)), 2))


def _shares(heard: Harmony) -> Chroma:
    return heard.cells / max(heard.cells.sum(), 1e-12)


def _in_tune(cells: Chroma) -> Chroma:
    """Twelve pitch classes from finer cells, counted from where the song's own semitones are."""
    wide = _CELLS // 12
    fine = cells.reshape(12, wide).sum(axis=0) @ np.exp(2j * np.pi * (np.arange(wide) + 0.5) / wide)
    shift = round(np.angle(fine) / (2 * np.pi) * wide - 0.5)  # in cells, around the middle of a semitone's first
    centred = np.roll(cells, wide // 2 - shift)
    return centred.reshape(12, wide).sum(axis=1)


def _fits(chroma: Chroma) -> Chroma:
    """The correlation with every key: twelve major, then twelve minor."""
    return np.array(
        [np.corrcoef(chroma, np.roll(profile, tonic))[0, 1] for profile in _PROFILES.values() for tonic in range(12)]
    )
