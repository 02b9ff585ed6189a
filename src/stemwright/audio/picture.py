"""The moving picture of a film: its packets are copied, never decoded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from av.packet import Packet
from av.stream import Disposition

from stemwright.audio.container import open_container
from stemwright.audio.decode import open_song
from stemwright.errors import NoPicture

_IN_MP4 = ("h264", "hevc", "av1", "vp9", "mpeg4")


class Picture:
    """A film opened for its picture. `sound_starts_at` is the second, by its clock, of the first sample of its song."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        with ExitStack() as cleanup:
            with open_song(path) as song:
                self.sound_starts_at = song.starts_at
            file = cleanup.enter_context(Path(path).open("rb"))
            container = open_container(file, os.fspath(path))
            cleanup.callback(container.close)
            moving = [film for film in container.streams.video if not film.disposition & Disposition.attached_pic]
            if not moving:
                raise NoPicture(path=path)
            self.stream = moving[0]
            self._packets = container.demux(self.stream)
            self._held: Packet | None = None
            self._cleanup = cleanup.pop_all()

    @property
    def muxer(self) -> str:
        """Of the container that holds it: "mp4", which everything plays, or "matroska", which holds everything."""
        return "mp4" if self.stream.codec_context.name.removeprefix("lib") in _IN_MP4 else "matroska"

    @property
    def ending(self) -> str:
        return "mp4" if self.muxer == "mp4" else "mkv"

    def packets(self, until: Fraction | None) -> Iterator[Packet]:
        """The next packets that are decoded before this second; None is the end of the film."""
        while (packet := self._next()) is not None:
            if until is not None and packet.dts is not None and packet.dts * (packet.time_base or 0) >= until:
                self._held = packet
                return
            yield packet

    def _next(self) -> Packet | None:
        if self._held is not None:
            packet, self._held = self._held, None
            return packet
        return next((packet for packet in self._packets if packet.size), None)

    def close(self) -> None:
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()
