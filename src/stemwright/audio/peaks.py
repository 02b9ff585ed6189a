"""Peaks: how a song's stems look, at three zoom levels, in one small binary file (docs/guide/player.md)."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.cuts import Cuts
from stemwright.audio.signal import Samples

HOPS = (16384, 2048, 256)
"""Samples that share a pair of peaks, one number for each zoom level; each is a multiple of the next."""
MAGIC = b"STEMPEAK"
_HEAD = struct.Struct("<8sI")
_FULL = 32767

Pairs = NDArray[np.int16]


class Peaks:
    """The lowest and the highest sample of every 256, gathered while a stem streams by: 4 bytes for each 256."""

    def __init__(self) -> None:
        self.length = 0
        self._pairs: list[Pairs] = []
        self._rest = np.zeros((2, 0), np.float32)

    def add(self, block: Samples) -> None:
        """Looks at the next [2, n]."""
        self.length += block.shape[1]
        joined = np.concatenate([self._rest, block], axis=1)
        whole = joined.shape[1] // HOPS[-1] * HOPS[-1]
        self._rest = joined[:, whole:].copy()
        if whole:
            self._pairs.append(_pairs(joined[:, :whole]))

    def pairs(self) -> Pairs:
        """All pairs [n, 2] of what was added, in steps of 1/32767."""
        ending = [_pairs(self._rest)] if self._rest.shape[1] else []
        return np.concatenate([np.zeros((0, 2), np.int16), *self._pairs, *ending])


def write_peaks(
    path: Path,
    lanes: Sequence[Peaks],
    *,
    about: Mapping[str, Any],
    gain: Sequence[float],
    stretch: float = 1.0,
    cuts: Sequence[Cuts] = (),
) -> None:
    """Writes the lanes, all equally long, with `about` in the header; `gain` per lane is that of the files.

    A lane's pairs are stored in steps of 1/127 of its own highest sample, which the header tells as `peaks`. `stretch`
    is how many samples of the files one became that was looked at; `cuts`, if any, per lane those of its file.
    """
    pairs = [lane.pairs() for lane in lanes]
    highest = [max(1, int(np.abs(pair.astype(np.int32)).max(initial=0))) for pair in pairs]
    finest = np.stack([_bytes(pair, top) for pair, top in zip(pairs, highest, strict=True)], axis=1)
    levels, data = [], []
    for hop in HOPS:
        stored = _coarser(finest, hop // HOPS[-1])
        levels.append({"hop": hop * stretch, "bins": len(stored), "offset": sum(map(len, data))})
        data.append(stored.tobytes())
    index: dict[str, Any] = {}
    if cuts:
        table = _table(cuts)
        facts = {"step": cuts[0].step, "delay": cuts[0].delay, "count": len(table) - 1}
        index = {"cuts": facts | {"offset": sum(map(len, data))}}
        data.append(table.tobytes())
    told = [round(top / _FULL * factor, 6) for top, factor in zip(highest, gain, strict=True)]
    header = json.dumps({**about, **index, "levels": levels, "peaks": told}, separators=(",", ":")).encode()
    path.write_bytes(_HEAD.pack(MAGIC, len(header)) + header + b"".join(data))


def _table(cuts: Sequence[Cuts]) -> NDArray[np.uint32]:
    """The starts [n + 1, lanes]; where a lane has fewer than another it goes on with frames of no bytes."""
    count = max(len(each.starts) for each in cuts)
    starts = [np.pad(each.starts, (0, count - len(each.starts)), "edge") for each in cuts]
    return np.stack(starts, axis=1).astype("<u4")


def _pairs(block: Samples) -> Pairs:
    """Of [2, n]: [n / 256, 2], rounded outwards; the last may be of fewer samples."""
    starts = np.arange(0, block.shape[1], HOPS[-1])
    low = np.minimum.reduceat(block.min(axis=0), starts)
    high = np.maximum.reduceat(block.max(axis=0), starts)
    both = np.stack([np.floor(low * _FULL), np.ceil(high * _FULL)], axis=1)
    return np.clip(both, -_FULL, _FULL).astype(np.int16)


def _bytes(pairs: Pairs, highest: int) -> NDArray[np.int8]:
    scaled = pairs.astype(np.float32) * (127 / highest)
    return np.stack([np.floor(scaled[:, 0]), np.ceil(scaled[:, 1])], axis=1).clip(-127, 127).astype(np.int8)


def _coarser(finest: NDArray[np.int8], step: int) -> NDArray[np.int8]:
    """Pairs [bins, lanes, 2], `step` of them as one."""
    if step == 1 or not len(finest):
        return finest
    starts = np.arange(0, len(finest), step)
    low = np.minimum.reduceat(finest[..., 0], starts, axis=0)
    return np.stack([low, np.maximum.reduceat(finest[..., 1], starts, axis=0)], axis=-1)
