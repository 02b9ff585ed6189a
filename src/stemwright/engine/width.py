"""What a net that was taught wide mixes above all hears of a narrow or mono one. See docs/decisions/0050."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stemwright.engine.spectrum import Spectrum

Powers = NDArray[np.float64]
USUAL = 0.1
"""The side's power for each of the middle's in usual music, the highs lifted as the net lifts them."""
MOST = 10.0
"""How much louder the side is made at most: what is below may be a codec's noise."""
TURNED = 0.01
"""As USUAL, where there is no side to make louder: half way from the mono that the net was taught to usual music."""
TINY = 1e-20


def widened(spectrum: Spectrum) -> Spectrum:
    """Mixes [batch, 2, frames, bins] as wide as usual music, or near it; those that are, as they are.

    The side is made louder; where there is next to none, the middle a quarter of a turn away is added: both channels
    stay equally loud, and no place of the spectrum differs from others that did not before.
    """
    middle, side = (spectrum[:, 0] + spectrum[:, 1]) / 2, (spectrum[:, 0] - spectrum[:, 1]) / 2
    found = _power(side) / (_power(middle) + TINY)
    if np.all(found >= USUAL):
        return spectrum
    louder = np.clip(np.sqrt(USUAL / (found + TINY)), 1, MOST)
    turned = np.sqrt(np.maximum(TURNED - louder**2 * found, 0))
    side = side * louder[:, None, None] + middle * (1j * turned[:, None, None])
    heard = np.stack([middle + side, middle - side], axis=1).astype(np.complex64)
    narrow = (found < USUAL)[:, None, None, None]
    return np.where(narrow, heard, spectrum)


def _power(spectrum: Spectrum) -> Powers:
    """Of each mix [batch, frames, bins]: highs are fainter than lows, and count as much."""
    power = np.sum(spectrum.real**2 + spectrum.imag**2, axis=1, dtype=np.float64)
    return power @ _lift(spectrum.shape[-1])


@lru_cache(maxsize=8)
def _lift(bins: int) -> Powers:
    return np.arange(bins, dtype=np.float64) ** 1.5
