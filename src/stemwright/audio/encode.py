"""Sound out: blocks of float32 [2, n] become an mp3, wav, flac, opus or m4a file, streamed, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from stemwright import errors
from stemwright.audio.formats import Sound
from stemwright.audio.id3 import id3
from stemwright.audio.mp3 import Mp3Encoder
from stemwright.audio.muxing import AvEncoder
from stemwright.audio.parts import drop, open_part, publish, settle, write_error
from stemwright.audio.signal import Resampler, Samples
from stemwright.audio.tags import NO_TAGS, Tags


class Encoder(Protocol):
    """What turns blocks into a file's bytes; `close` completes them, `abandon` lets go without."""

    def encode(self, block: Samples) -> None: ...
    def close(self) -> None: ...
    def abandon(self) -> None: ...


class StemWriter:
    """One output file being written: `write` blocks, then `finish` (or leave the `with`). See `open_stem`.

    Everything goes to `path` + ".part", which takes the name `path` when it is complete and is deleted on any error.
    `finish` is `complete` and `publish`: of several files that belong together all can be complete before one is named.
    """

    def __init__(self, path: Path, file: BinaryIO, encoder: Encoder, resampler: Resampler) -> None:
        self.path = path
        self._file, self._encoder, self._resampler = file, encoder, resampler
        self._is_open, self._is_complete = True, False

    def write(self, block: Samples) -> None:
        """Adds float32 [2, n]. Raises DiskFull or CannotWrite, after which nothing is left of the file."""
        with self._discarding_on_error():
            self._encode(self._resampler.push(block))

    def finish(self) -> None:
        """Completes the file, unless it is complete, and gives it its name."""
        if not self._is_complete:
            self.complete()
        self.publish()

    def complete(self) -> None:
        """Writes what is left, and all of it to the disk."""
        with self._discarding_on_error():
            self._encode(self._resampler.finish())
            self._encoder.close()
            settle(self._file)
            self._is_complete = True

    def publish(self) -> None:
        """Gives the complete file its name, in place of one that has it already."""
        with self._discarding_on_error():
            publish(self._file, self.path)
            self._is_open = False

    def discard(self) -> None:
        """Gives up: closes and deletes what was written. Harmless after `finish`."""
        if not self._is_open:
            return
        self._is_open = False
        self._encoder.abandon()
        drop(self._file, self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None and self._is_open:
            self.finish()
        self.discard()

    def _encode(self, block: Samples) -> None:
        if block.shape[1]:
            self._encoder.encode(block)

    @contextmanager
    def _discarding_on_error(self) -> Iterator[None]:
        if not self._is_open:
            raise errors.CannotWrite(path=self.path, reason="it is closed already")
        try:
            yield
        except BaseException as error:
            self.discard()
            if isinstance(error, OSError):
                raise write_error(self.path, error) from error
            raise


def open_stem(
    path: str | os.PathLike[str],
    *,
    rate: int,
    format: str | Sound,
    tags: Tags = NO_TAGS,
    seed: int = 0,
) -> StemWriter:
    """Starts a file of sound whose blocks come at `rate`; the folder is made if need be.

    `format` is a `Sound` or the name of one ("flac", "wav-24", "mp3-192": see `Sound.of`), which is not dithered. The
    file itself has that rate, or what its format can hold nearest to it (opus: always 48000).
    `seed` is that of the dither. Raises UnknownFormat, BadSound, CannotWrite, DiskFull.
    """
    sound = format if isinstance(format, Sound) else Sound.of(format, dither=False)
    out_rate, target = sound.kind.rate_for(rate), Path(path)
    file = _open_part(target)
    try:
        encoder = (
            Mp3Encoder(file, rate=out_rate, kbps=sound.kbps, head=id3(tags))
            if sound.kind.name == "mp3"
            else AvEncoder(file, sound, rate=out_rate, tags=tags, seed=seed)
        )
    except BaseException as error:
        drop(file, target)
        if isinstance(error, OSError):
            raise write_error(target, error) from error
        raise
    return StemWriter(target, file, encoder, Resampler(rate, out_rate))


def _open_part(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise errors.CannotWrite(path=path, reason="a folder has that name")
        return open_part(path)
    except OSError as error:
        raise write_error(path, error) from error
