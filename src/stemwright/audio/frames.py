"""Overlapping frames of a sound that streams by, for looking at its spectrum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.signal import Samples


class Frames:
    """Cuts blocks [2, n] into frames of their mono sum, `size` samples long and `hop` apart, whatever the blocks."""

    def __init__(self, size: int, hop: int) -> None:
        self.size, self.hop = size, hop
        self._window = np.hanning(size).astype(np.float32)
        self._rest = np.zeros(size // 2, np.float32)  # the first frame's middle is the first sample

    def spectra(self, block: Samples) -> NDArray[np.float32]:
        """Magnitudes [frames, size / 2 + 1] of the frames that this block completes."""
        joined = np.concatenate([self._rest, block.mean(axis=0)])
        count = max(0, (len(joined) - self.size) // self.hop + 1)
        self._rest = joined[count * self.hop :]
        if not count:
            return np.zeros((0, self.size // 2 + 1), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(joined, self.size)[:: self.hop][:count]
        return np.abs(np.fft.rfft(frames * self._window)).astype(np.float32)
