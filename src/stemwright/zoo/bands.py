"""How the RoFormers cut a spectrum into bands: one after the other (BS) or under mel triangles (Mel)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

Bands = tuple[tuple[int, int], ...]


def mel_bands(count: int, n_fft: int = 2048, rate: int = 44100) -> Bands:
    """The bins under each triangle of Slaney's mel scale, as librosa draws them; first and last bin always belong."""
    knee = 1000.0 / (200.0 / 3)  # linear below 1 kHz, logarithmic above
    step = np.log(6.4) / 27.0
    top = knee + np.log(rate / 2 / 1000.0) / step
    mels = np.linspace(0.0, top, count + 2)
    hertz = np.where(mels < knee, mels * 200.0 / 3, 1000.0 * np.exp(step * (mels - knee)))
    bins = np.fft.rfftfreq(n_fft, 1.0 / rate)
    ranges = []
    for low, high in zip(hertz[:-2], hertz[2:], strict=True):
        inside = np.flatnonzero((bins > low) & (bins < high))
        ranges.append((int(inside[0]), int(inside[-1]) + 1))
    ranges[0] = (0, ranges[0][1])
    ranges[-1] = (ranges[-1][0], n_fft // 2 + 1)
    return tuple(ranges)


BS_BANDS = (2,) * 24 + (4,) * 12 + (12,) * 8 + (24,) * 8 + (48,) * 8 + (128, 129)


def split_bands(widths: tuple[int, ...] = BS_BANDS) -> Bands:
    """Band widths in bins to half-open ranges, one after the other; the default is the paper's 62 bands."""
    edges = np.cumsum((0, *widths)).tolist()
    return tuple(pairwise(edges))
