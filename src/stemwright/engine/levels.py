"""How loud a stem is, measured while it streams: its peak and its gated level."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stemwright.audio.signal import Samples

WINDOW_SECONDS = 0.4
GATE_DBFS = -70.0
SILENT_DBFS = -60.0
FLOOR_DBFS = -120.0


def to_db(amplitude: float) -> float:
    """Amplitude in dBFS, not below −120.

    >>> to_db(0.5)
    -6.02
    """
    return max(FLOOR_DBFS, round(20 * float(np.log10(max(amplitude, 1e-9))), 2))


@dataclass
class Level:
    """A running measurement of one stem [2, n] at `rate`.

    The loudness is the RMS of both channels over those windows of 0.4 s that are above −70 dBFS, as in ITU-R BS.1770
    but without its weighting: one loud hit in a silent song is not averaged away.
    """

    rate: int
    peak: float = 0.0
    _energy: float = 0.0
    _windows: int = 0
    _rest: Samples = field(default_factory=lambda: np.zeros((2, 0), np.float32))

    def add(self, block: Samples) -> None:
        """Measures the next [2, n]."""
        if block.size:
            self.peak = max(float(block.max()), -float(block.min()), self.peak)  # a NaN that comes first stays
        joined = np.concatenate([self._rest, block], axis=1)
        window = int(self.rate * WINDOW_SECONDS)
        whole = joined.shape[1] // window * window
        # A copy, lest 0.4 s keep seven seconds of samples alive.
        self._rest = joined[:, whole:].copy()
        self._count(joined[:, :whole].reshape(2, -1, window))

    def _count(self, windows: Samples) -> None:
        """Windows [2, windows, samples]."""
        power = np.einsum("cwn,cwn->w", windows, windows) / max(1, 2 * windows.shape[2])
        above = power[power > 10 ** (GATE_DBFS / 10)]
        self._energy += float(above.sum())
        self._windows += len(above)

    @property
    def loudness_dbfs(self) -> float:
        """The gated level in dBFS; −120 when nothing passed the gate. A song shorter than a window is one window."""
        if self._windows:
            return to_db((self._energy / self._windows) ** 0.5)
        return to_db(float(np.sqrt(np.mean(np.square(self._rest)))) if self._rest.size else 0.0)

    @property
    def is_silent(self) -> bool:
        """Below −60 dBFS."""
        return self.loudness_dbfs < SILENT_DBFS


def common_gain(peaks: list[float]) -> float:
    """The one factor for all stems that keeps the loudest of them within full scale; 1 when none is above it.

    >>> common_gain([0.5, 2.0])
    0.5
    """
    return min(1.0, 1 / max([*peaks, 1.0]))
