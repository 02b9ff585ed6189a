"""Stems that sum to their mix: what a net left over is given back to the stems."""

from __future__ import annotations

import numpy as np

from stemwright.audio.signal import Samples

NEGLIGIBLE = 1e-6
"""−120 dBFS: a residual below it is rounding, 30 dB under what is promised."""


def sum_to_mix(stems: Samples, mix: Samples) -> Samples:
    """Stems [stems, 2, n] and their mix [2, n] → stems that sum to it; the residual is shared by energy.

    The share is taken sample by sample, so the answer does not depend on how the song was cut into blocks. Where all
    stems are silent the residual is shared evenly: a song must not lose what no stem claimed.
    """
    residual = mix - stems.sum(axis=0)
    if not residual.size or np.abs(residual).max() < NEGLIGIBLE:
        return stems
    energy = np.square(stems, dtype=np.float32)
    # The floor, −120 dBFS, is what "silent" means here; it also keeps 0 / 0 out.
    energy += np.float32(NEGLIGIBLE**2)
    return stems + energy * (residual / energy.sum(axis=0))
