"""Where a flac, opus or m4a file can be cut: what a player has to know that fetches and decodes parts of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

NEEDS_CUTS = (".flac", ".opus", ".m4a")
_MOST_BYTES = 1 << 32


@dataclass(frozen=True)
class Cuts:
    """A file as frames of `step` samples, fewer in the last; the first begins `delay` samples before the sound does.

    `starts` [n + 1] are the bytes at which they begin, and at which the last one ends. A frame of opus is an Ogg page.
    """

    step: int
    delay: int
    starts: NDArray[np.uint32]


def cuts_of(path: Path) -> Cuts | None:
    """Where one of our own files can be cut; None where a sample's frame does not follow from its number."""
    with av.open(str(path)) as container:
        packets = [_place(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]
    begins: dict[int, int] = {}
    for at, first, _, _ in packets:
        begins.setdefault(at, first)  # all packets of a page are where the page is
    last, _, samples, size = packets[-1]
    end = last + size if path.suffix == ".m4a" else path.stat().st_size  # whose index comes behind the sound
    firsts = list(begins.values())
    step = firsts[1] - firsts[0] if len(firsts) > 1 else samples
    regular = firsts == list(range(firsts[0], firsts[0] + step * len(firsts), step))
    return Cuts(step, -firsts[0], np.array([*begins, end], np.uint32)) if regular and end < _MOST_BYTES else None


def _place(packet: Any) -> tuple[int, int, int, int]:
    """Its byte in the file, its first sample, how many, and its bytes; our files count time in samples."""
    return packet.pos, packet.pts, packet.duration, packet.size
