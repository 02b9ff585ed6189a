"""Samples as arrays: `Audio`, downmixing to stereo, and the one streaming resampler a file gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]

MINUS_3_DB = float(np.sqrt(0.5))

# ITU-R BS.775-3, table 2 (3/2 and 3/1 to 2/0): fronts whole, centre and surrounds at -3 dB on their side(s).
# The low-frequency channel is left out, as the recommendation allows: it repeats bass that the main channels carry.
# Channel names are those of FFmpeg (libavutil/channel_layout.c); heights and wides are folded like surrounds.
_TO_STEREO: dict[str, tuple[float, float]] = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (MINUS_3_DB, MINUS_3_DB),
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
    "BL": (MINUS_3_DB, 0.0),
    "BR": (0.0, MINUS_3_DB),
    "SL": (MINUS_3_DB, 0.0),
    "SR": (0.0, MINUS_3_DB),
    "FLC": (1.0, 0.0),
    "FRC": (0.0, 1.0),
    "BC": (0.5, 0.5),
    "DL": (1.0, 0.0),
    "DR": (0.0, 1.0),
    "WL": (MINUS_3_DB, 0.0),
    "WR": (0.0, MINUS_3_DB),
    "SDL": (MINUS_3_DB, 0.0),
    "SDR": (0.0, MINUS_3_DB),
    "TC": (0.5, 0.5),
    "TFC": (0.5, 0.5),
    "TBC": (0.5, 0.5),
    "TFL": (MINUS_3_DB, 0.0),
    "TFR": (0.0, MINUS_3_DB),
    "TBL": (MINUS_3_DB, 0.0),
    "TBR": (0.0, MINUS_3_DB),
    "TSL": (MINUS_3_DB, 0.0),
    "TSR": (0.0, MINUS_3_DB),
}
_ANYWHERE = (MINUS_3_DB, MINUS_3_DB)

# What a file most likely means when it counts its channels but does not name them.
_UNNAMED: dict[int, tuple[str, ...]] = {
    1: ("FC",),
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Sound in memory: `samples` float32 [channels, n] with full scale at 1.0, at `rate` samples per second.

    Other floats, int16, int32 and uint8 are taken too; integers are scaled by their type's range.
    """

    samples: Samples
    rate: int

    @property
    def seconds(self) -> float:
        return self.samples.shape[-1] / self.rate


@lru_cache(maxsize=64)
def downmix_matrix(layout: tuple[str, ...]) -> Samples:
    """The [2, channels] matrix for the named channels, scaled down where a row would sum to over 1: it cannot clip.

    One channel goes to both sides whole; a plain stereo pair is the identity.
    """
    if len(layout) == 1:
        return np.ones((2, 1), np.float32)
    matrix = np.array([_TO_STEREO.get(name, _ANYWHERE) for name in layout], np.float64).T
    if "BC" in layout and not {"BL", "SL"} & set(layout):  # 3/1: one surround for both sides, -3 dB each
        matrix[:, layout.index("BC")] = MINUS_3_DB
    loudest_row = matrix.sum(axis=1).max()
    return (matrix / max(1.0, loudest_row)).astype(np.float32)


def channel_names(count: int, names: Sequence[str] = ()) -> tuple[str, ...]:
    """The layout of `count` channels: the given names where there are any, else the usual order for that count."""
    if len(names) == count and all(name in _TO_STEREO for name in names):
        return tuple(names)
    return _UNNAMED.get(count, ("?",) * count)


def downmix(samples: Samples, layout: Sequence[str] = ()) -> Samples:
    """Samples [channels, n] to [2, n] by the ITU-R BS.775 coefficients (see `downmix_matrix`).

    `layout` names the channels ("FL", "FR", "FC", "LFE", "SL", …); without it the usual order is assumed.
    """
    names = channel_names(samples.shape[0], layout)
    if names in (("FL", "FR"), ("DL", "DR")):
        return samples
    return downmix_matrix(names) @ samples


def resampled_length(length: int, from_rate: int, to_rate: int) -> int:
    """Samples at `to_rate` that `length` samples at `from_rate` become: rounded to nearest, a half up.

    Going up and back down by it gives exactly the length one started with.
    """
    return max(1, (2 * length * to_rate + from_rate) // (2 * from_rate)) if length else 0


class Resampler:
    """One streaming resampler for a whole signal [2, n]: blocks of any size give the same samples as one call.

    soxr at HQ (20-bit); its delay is compensated, so nothing shifts. With equal rates it passes through.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self.from_rate, self.to_rate = from_rate, to_rate
        self.taken = self.given = 0
        self._stream = None if from_rate == to_rate else soxr.ResampleStream(from_rate, to_rate, 2, quality="HQ")

    def push(self, block: Samples) -> Samples:
        """Feeds [2, n] and returns what is ready, [2, m]; m may be 0."""
        self.taken += block.shape[1]
        return self._count(block if self._stream is None else self._run(block, last=False))

    def finish(self) -> Samples:
        """The rest, so that all that was returned is as long as `resampled_length` says."""
        wanted = max(0, resampled_length(self.taken, self.from_rate, self.to_rate) - self.given)
        nothing = np.zeros((2, 0), np.float32)
        tail = nothing if self._stream is None else self._run(nothing, last=True)
        if tail.shape[1] < wanted:
            tail = np.pad(tail, ((0, 0), (0, wanted - tail.shape[1])))
        return self._count(tail[:, :wanted])

    def _run(self, block: Samples, *, last: bool) -> Samples:
        assert self._stream is not None
        interleaved = np.ascontiguousarray(block.T, np.float32)
        return np.ascontiguousarray(self._stream.resample_chunk(interleaved, last=last).T)

    def _count(self, samples: Samples) -> Samples:
        self.given += samples.shape[1]
        return samples
