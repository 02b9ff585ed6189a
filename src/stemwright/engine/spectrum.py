"""The STFT pair of mask nets in numpy, float32 throughout: periodic windows, centred on zeros beyond both ends."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.signal import Samples

Spectrum = NDArray[np.complex64]

ROWS = 32
"""Frames transformed at once: a row block and its spectrum stay in a core's cache."""


@dataclass(frozen=True)
class Stft:
    """An STFT of `n_fft` samples every `hop`; `n_fft` is a multiple of `hop`."""

    n_fft: int
    hop: int
    shape: str = "hann"

    @cached_property
    def window(self) -> Samples:
        """Periodic Hann, or the sine that is its root, for frames that overlap by half [n_fft]."""
        sine = np.sin(np.pi * np.arange(self.n_fft) / self.n_fft)
        return (sine if self.shape == "sine" else sine**2).astype(np.float32)

    @property
    def bins(self) -> int:
        """Frequencies per frame."""
        return self.n_fft // 2 + 1

    def frames(self, samples: int) -> int:
        """Frames of a signal of `samples`, both edges included."""
        return samples // self.hop + 1

    def forward(self, signal: Samples) -> Spectrum:
        """Samples [..., n], n a multiple of `hop` → spectrum [..., frames, bins]."""
        edge = [(0, 0)] * (signal.ndim - 1) + [(self.n_fft // 2, self.n_fft // 2)]
        padded = np.pad(np.ascontiguousarray(signal), edge)  # numpy's transforms keep the order in memory
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft, axis=-1)[..., :: self.hop, :]
        return np.fft.rfft(frames * self.window, axis=-1).astype(np.complex64, copy=False)

    def inverse(self, spectrum: Spectrum, frames: Samples) -> Samples:
        """Spectrum [rows, bins] → windowed frames [rows, n_fft], made in `frames`."""
        np.fft.irfft(spectrum, self.n_fft, axis=-1, out=frames)  # pyright: ignore[reportArgumentType]  float32 is fine
        frames *= self.window
        return frames

    def weight(self, frames: int) -> Samples:
        """What the squared windows of `frames` frames add up to, for each of their (frames − 1) · hop samples."""
        squares = np.broadcast_to(np.square(self.window), (frames, self.n_fft))
        return self.trimmed(self.added(np.zeros(self.span(frames), np.float32), squares, 0))

    def span(self, frames: int) -> int:
        """Samples that `frames` frames touch, edges included."""
        return (frames - 1) * self.hop + self.n_fft

    def added(self, signal: Samples, frames: Samples, first: int) -> Samples:
        """Adds overlapping frames [rows, n_fft] into signal [span], in place, from frame number `first` on."""
        rows = len(frames)
        for part in range(self.n_fft // self.hop):
            start = (first + part) * self.hop
            place = signal[start : start + rows * self.hop].reshape(rows, self.hop)
            place += frames[:, part * self.hop : (part + 1) * self.hop]
        return signal

    def trimmed(self, signal: Samples) -> Samples:
        """Without the edges that `forward` put there."""
        return signal[self.n_fft // 2 : len(signal) - self.n_fft // 2]
