"""Stems that sum to their mix: what a net left over is given back to the stems."""

from __future__ import annotations

import numpy as np

from stemwright.audio.signal import Samples

NEGLIGIBLE = 1e-6
"""−120 dBFS: a residual below it is rounding, 30 dB under what is promised."""
PIECE = 8192
"""Samples worked on at once: twelve stems of them stay in a core's cache."""


def sum_to_mix(stems: Samples, mix: Samples) -> Samples:
    """Stems [stems, 2, n] and their mix [2, n] → stems that sum to it; the residual is shared by energy.

    The share is taken sample by sample, so the answer does not depend on how the song was cut into blocks. Where all
    stems are silent the residual is shared evenly: a song must not lose what no stem claimed.
    """
    residual = mix - stems.sum(axis=0)
    if not residual.size or max(residual.max(), -residual.min()) < NEGLIGIBLE:
        return stems
    shared = np.empty_like(stems)
    for first in range(0, mix.shape[1], PIECE):
        part = (..., slice(first, first + PIECE))
        energy = np.square(stems[part])
        # The floor, −120 dBFS, is what "silent" means here; it also keeps 0 / 0 out.
        energy += np.float32(NEGLIGIBLE**2)
        energy *= residual[part] / energy.sum(axis=0)
        np.add(stems[part], energy, out=shared[part])
    return shared
