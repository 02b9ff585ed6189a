"""How fast a song is: onsets of its drums, the period that they repeat with, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.frames import Frames
from stemwright.audio.signal import Samples

Curve = NDArray[np.float64]

_SLOWEST, _FASTEST = 50.0, 210.0
_USUAL, _OCTAVES = 105.0, 0.75  # where tempos lie, and how far around it (log-normal)
# How much it counts that the onsets repeat after so many beats; chosen on composed songs (bench/analysis.py).
_REPEATS = {0.5: 0.5, 1: 1.0, 2: 1.0, 4: 1.5, 8: 1.0}
_BANDS = 20
_SHORTEST_SECONDS = 4.0
_PIECE = 1024


@dataclass(frozen=True, slots=True)
class Tempo:
    """Beats per minute; `confidence` from 0 to 1 is how much of the onsets follows that beat."""

    bpm: float
    confidence: float


class Rhythm:
    """Listens to what keeps the time, at `rate`, and tells its tempo at the end."""

    def __init__(self, rate: int) -> None:
        self._hop = max(1, rate // 100)
        self.frames_per_second = rate / self._hop
        self._frames = Frames(4 * self._hop, self._hop)
        edges = np.geomspace(60, min(16000, rate / 2), _BANDS + 1) * self._frames.size / rate
        self._edges = np.unique(np.round(edges).astype(int))
        self._before: NDArray[np.float64] | None = None
        self._onsets: list[Curve] = []

    def add(self, block: Samples) -> None:
        """Hears the next [2, n]."""
        spectra = self._frames.spectra(block)
        if not len(spectra):
            return
        bands = [spectra[:, low : max(low + 1, high)].mean(axis=1) for low, high in pairwise(self._edges)]
        loud = np.log1p(30 * np.stack(bands, axis=1).astype(np.float64))
        before = loud[:1] if self._before is None else self._before
        self._before = loud[-1:]
        self._onsets.append(np.maximum(0, np.diff(np.concatenate([before, loud]), axis=0)).sum(axis=1))

    def onsets(self) -> Curve:
        """How much starts in each frame, 1 on average; empty where nothing does."""
        onsets = np.concatenate([np.zeros(0), *self._onsets])
        return onsets / onsets.mean() if onsets.any() else np.zeros(0)


def tempo(*heard: Rhythm) -> Tempo | None:
    """The tempo that all of them keep together, or None where nothing repeats: silence, or less than 4 s."""
    curves = [onsets for rhythm in heard if len(onsets := rhythm.onsets())]
    if not curves or len(curves[0]) < _SHORTEST_SECONDS * (per_second := heard[0].frames_per_second):
        return None
    return _tempo(_sharpened(np.sum(curves, axis=0), per_second), per_second)


def _sharpened(onsets: Curve, per_second: float) -> Curve:
    """What stands out of the second around it."""
    width = round(per_second) | 1
    mean = np.convolve(onsets, np.ones(width) / width, "same")
    return np.maximum(0, onsets - mean)


def _tempo(onsets: Curve, per_second: float) -> Tempo | None:
    bpms = np.geomspace(_SLOWEST, _FASTEST, 600)
    repeats = _autocorrelation(onsets, per_second)
    scores = _comb(repeats, 60 * per_second / bpms)
    prior = np.exp(-0.5 * (np.log2(bpms / _USUAL) / _OCTAVES) ** 2)
    best = int(np.argmax(scores * prior))
    if scores[best] <= 0:
        return None
    bpm = _refined(onsets, per_second, float(bpms[best]))
    return Tempo(round(bpm, 2), round(float(np.clip(scores[best], 0, 1)), 2))


def _autocorrelation(onsets: Curve, per_second: float) -> Curve:
    """From lag 0 on, 1 at lag 0, without what any sound has: the mean."""
    centred = np.convolve(onsets - onsets.mean(), [0.25, 0.5, 0.25], "same")
    spectrum = np.abs(np.fft.rfft(centred, 2 * len(centred))) ** 2
    lags = np.fft.irfft(spectrum)[: min(len(centred), round(max(_REPEATS) * 60 / _SLOWEST * per_second))]
    return lags / max(lags[0], 1e-12) * (len(centred) / np.maximum(1, len(centred) - np.arange(len(lags))))


def _comb(repeats: Curve, periods: Curve) -> Curve:
    """How well each period fits, with its multiples and its half: the mean of the autocorrelation there."""
    total = np.zeros(len(periods))
    for beats, weight in _REPEATS.items():
        total += weight * np.interp(periods * beats, np.arange(len(repeats)), repeats, right=0.0)
    return total / sum(_REPEATS.values())


def _refined(onsets: Curve, per_second: float, bpm: float) -> float:
    """The tempo nearby whose beats, half beats and quarters the whole song agrees with best."""
    near = np.linspace(0.97, 1.03, 241) * bpm
    waves = _transformed(onsets - onsets.mean(), np.outer((1, 2, 4), near / 60 / per_second))
    return float(near[int(np.argmax(np.abs(waves).sum(axis=0)))])


def _transformed(curve: Curve, frequencies: Curve) -> NDArray[np.complex128]:
    """The Fourier transform at these frequencies, in cycles a frame: the waves of one piece serve for every piece."""
    pieces = np.pad(curve, (0, -len(curve) % _PIECE)).reshape(-1, _PIECE)
    within, begins = np.arange(_PIECE), np.arange(len(pieces)) * _PIECE
    of_piece, of_begin = (np.exp(-2j * np.pi * np.outer(frequencies, times)) for times in (within, begins))
    return ((of_piece @ pieces.T) * of_begin).sum(axis=1).reshape(frequencies.shape)
