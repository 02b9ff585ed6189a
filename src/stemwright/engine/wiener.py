"""The Wiener filter over both channels: masks say how much of a stem is where in time and pitch, this adds where it
stands between left and right.

After the local Gaussian model of Duong, Vincent and Gribonval (2010) and its use behind a net by Nugraha, Liutkus and
Vincent (2016): one step, whose powers are the masks' as they are. See docs/decisions/0027.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.signal import Samples
from stemwright.engine.spectrum import ROWS, Spectrum

T = TypeVar("T")
DIFFUSE = 0.01
"""The least share of a stem that stands everywhere: no stem is bound to one point, and every matrix has an inverse."""
FAINT = 1e-12
"""Of a stem with no share at all some place has to be told: the mix's."""
TINY = 1e-20
Pair = tuple[T, T]
Sums = Sequence[Sequence[int]]
"""For each output the places of the stems that are added up in it."""


class Columns:
    """A spectrum's bins in columns, each from a first bin up to the next column's."""

    def __init__(self, first_bins: Sequence[int], bins: int) -> None:
        self._starts = np.asarray(first_bins)
        self.of_bins: NDArray[np.intp] = np.searchsorted(self._starts, np.arange(bins), side="right") - 1
        self._of_floats = np.repeat(self.of_bins, 2)  # a spectrum seen as (re, im) pairs: factors are real

    def pooled(self, bins: Samples) -> Samples:
        """Sums [..., columns] of what is in the bins [..., bins]."""
        return np.add.reduceat(bins, self._starts, axis=-1)

    def applied(self, factors: Pair[Samples], spectra: Pair[Spectrum]) -> Iterator[tuple[slice, Spectrum]]:
        """Factors [frames, columns], each on its spectrum [frames, bins], added up.

        In blocks: which frames, and what they come to [rows, bins], valid until the next.
        """
        wide = np.empty((ROWS, len(self._of_floats)), np.float32)
        total, part = np.empty_like(wide), np.empty_like(wide)
        frames = len(factors[0])
        for first in range(0, frames, ROWS):
            rows = slice(first, min(first + ROWS, frames))
            count = rows.stop - first
            for factor, spectrum, out in zip(factors, spectra, (total, part), strict=True):
                np.take(factor[rows], self._of_floats, axis=1, out=wide[:count], mode="clip")
                np.multiply(spectrum[rows].view(np.float32), wide[:count], out=out[:count])
            total[:count] += part[:count]
            yield rows, total[:count].view(np.complex64)


class Wiener:
    """The stems of one segment: they sum to the mix if the masks sum to one.

    With v the share of a stem in a place of the mix's spectrum x and R its covariance over the segment, both per
    column, the stem is v R (Σ v R)⁻¹ x. Masks are [stems, 2, frames, columns], the spectrum is [2, frames, bins].
    R is real: music is placed by level.
    """

    def __init__(self, masks: Samples, spectrum: Spectrum, columns: Columns, sums: Sums | None = None) -> None:
        self._columns = columns
        re, im = spectrum.real, spectrum.imag
        left, right = columns.pooled(re**2 + im**2) + np.float32(TINY)
        both = columns.pooled(re[0] * re[1] + im[0] * im[1])
        share = masks[:, 0] * (left / (left + right))
        share += masks[:, 1] * (right / (left + right))
        sure = np.square(share) + np.float32(FAINT)  # what is surely a stem's tells where it stands
        found = [np.einsum("stc,tc->sc", sure, each) for each in (left, right, both)]
        power = (found[0] + found[1]) / 2
        spread = power * np.float32(DIFFUSE)
        places = (found[0] + spread, found[1] + spread, found[2])
        parts = [share * (each / power)[:, None] for each in places]  # of the matrices: left, right, both
        self._whitened = self._whiten(spectrum, *(each.sum(axis=0) for each in parts))
        self._parts = [_added(each, sums) for each in parts]

    def _whiten(self, spectrum: Spectrum, left: Samples, right: Samples, both: Samples) -> Spectrum:
        """The inverse of [[left, both], [both, right]] [frames, columns] times the spectrum."""
        one: Samples = np.reciprocal(left * right - both * both)
        white = np.empty_like(spectrum)
        for channel, own in enumerate((right, left)):
            for rows, block in self._columns.applied(
                (own * one, both * -one), (spectrum[channel], spectrum[1 - channel])
            ):
                white[channel, rows] = block
        return white

    def blocks(self, stem: int, channel: int) -> Iterator[tuple[slice, Spectrum]]:
        """A stem's channel: which frames, and their spectrum [rows, bins], valid until the next."""
        factors = (self._parts[channel][stem], self._parts[2][stem])
        return self._columns.applied(factors, (self._whitened[channel], self._whitened[1 - channel]))


def _added(stems: Samples, sums: Sums | None) -> Samples:
    return stems if sums is None else np.stack([stems[list(members)].sum(axis=0) for members in sums])
