"""A zip that is written while it is sent: never all of it is in memory or on disk, and its length is known first."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO

_CHUNK = 1 << 18
_ZIP64_FROM = 1 << 31


@dataclass(frozen=True)
class Member:
    """One file of the zip: its name there, its size in bytes, when it was made (epoch ms), and how to open it."""

    name: str
    size: int
    time: int
    reading: Callable[[], AbstractContextManager[BinaryIO]]


def length(members: Sequence[Member]) -> int | None:
    """How many bytes `stream` will give; None for a zip of more than 2 GiB, whose headers have other sizes.

    APPNOTE 6.3.10: a header, the data and a descriptor for each file, then the directory and its end.
    """
    total = 22
    for member in members:
        total += 30 + 16 + 46 + 2 * len(member.name.encode()) + member.size
    return total if total < _ZIP64_FROM else None


def stream(members: Sequence[Member]) -> Iterator[bytes]:
    """The zip, piece by piece; stored, because sound is compressed already."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for member in members:
            made = datetime.fromtimestamp(member.time / 1000, UTC)
            about = zipfile.ZipInfo(member.name, made.timetuple()[:6])
            large = member.size >= _ZIP64_FROM
            with member.reading() as file, archive.open(about, "w", force_zip64=large) as entry:
                while chunk := file.read(_CHUNK):
                    entry.write(chunk)
                    yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """Takes what a ZipFile writes and gives it on; it cannot seek, so sizes follow the data."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = bytes(self._written)
        self._written.clear()
        return taken
