"""Sound in: any audio or video file, file object or array becomes blocks of float32 [2, n], streamed."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import numpy as np
from numpy.typing import NDArray

from stemwright import errors
from stemwright.audio.container import MOST_CHANNELS, SANE_RATES, Chunk, Container
from stemwright.audio.signal import Audio, Resampler, Samples, channel_names, downmix, resampled_length
from stemwright.audio.tags import NO_TAGS, Tags

Source = str | os.PathLike[str] | BinaryIO | Audio

_BLOCK = 1 << 15
_LOUDEST = 2.0**31  # a float file at the scale of 32-bit integers is still music; beyond that it is not


@dataclass(frozen=True, slots=True)
class Limits:
    """What a song may be: longest in seconds, largest file in bytes; None is no limit.

    What comes before its sound is read within `header`.
    """

    max_seconds: float | None = None
    max_bytes: int | None = None
    header: Callable[[], AbstractContextManager[None]] = nullcontext


NO_LIMITS = Limits()
_WHOLE = ("u1", "i2", "i4")  # of 64 bits are the numbers of lists, whatever their scale


class Song:
    """An opened song: facts at once, sound by `blocks()`, which can be run through once. Close it, or use `with`.

    `rate` is that of the blocks; `length_hint` the number of samples at it when the header counts them (a damaged file
    may hold fewer), else None; `seconds_hint` an approximate duration or None. `length` and `source_length` count what
    has come out and gone in so far, `warnings` says what was odd; all three are complete when the blocks have ended.
    """

    def __init__(self, chunks: Iterator[Chunk], *, path: str, rate: int | None, limits: Limits) -> None:
        self.path = path
        self.warnings: list[str] = []
        self.length = self.source_length = 0
        self.length_hint: int | None = None
        self.seconds_hint: float | None = None
        self.tags: Tags = NO_TAGS
        self._limits = limits
        self._first, self._end = 0, sys.maxsize
        self._container: Container | None = None
        self._cleanup = ExitStack()
        first = next((chunk for chunk in chunks if chunk.samples.shape[1]), None)
        if first is None:
            raise errors.EmptyAudio(path=path)
        self._chunks = chain([first], chunks)
        self.source_rate = first.rate
        self.rate = rate or first.rate

    def blocks(self) -> Iterator[Samples]:
        """The song as float32 [2, n] at `rate`, blocks of up to a second or so.

        Raises TooLong as soon as more than `max_seconds` came out, NotFinite at the first value that is no sound.
        """
        resampler = Resampler(self.source_rate, self.rate)
        for rate, block in self._part(self._stereo()):
            if rate != resampler.from_rate:  # the stream changed its rate: a join, heard by both resamplers as an end
                yield from self._counted(resampler.finish())
                resampler = Resampler(rate, self.rate)
            self._refuse_nonsense(block, rate)
            self.source_length += block.shape[1]
            yield from self._counted(resampler.push(block))
        yield from self._counted(resampler.finish())
        self._conclude()

    def leave_only(self, first: int, samples: int) -> None:
        """Makes the song these samples of it, counted at `source_rate`; what follows them is not even decoded."""
        self._first, self._end = first, first + samples
        if self.length_hint is not None:
            start, end = (resampled_length(at, self.source_rate, self.rate) for at in (first, first + samples))
            self.length_hint = max(0, min(end, self.length_hint) - start)
        self.seconds_hint = samples / self.source_rate

    @property
    def starts_at(self) -> Fraction:
        """The second of the first sample by the clock of a film that it comes from; 0 for what has no clock."""
        return (self._container.starts_at if self._container else None) or Fraction(0)

    def close(self) -> None:
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def _stereo(self) -> Iterator[tuple[int, Samples]]:
        """Chunks downmixed and gathered into larger blocks of one rate."""
        held: list[Samples] = []
        held_length, held_rate = 0, self.source_rate
        for chunk in self._chunks:
            if held and (held_length >= _BLOCK or chunk.rate != held_rate):
                yield held_rate, np.concatenate(held, axis=1)
                held, held_length = [], 0
            with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity are refused when the block is whole
                held.append(downmix(chunk.samples, chunk.layout))
            held_length, held_rate = held_length + chunk.samples.shape[1], chunk.rate
        if held:
            yield held_rate, np.concatenate(held, axis=1)

    def _part(self, blocks: Iterator[tuple[int, Samples]]) -> Iterator[tuple[int, Samples]]:
        position = 0
        for rate, block in blocks:
            part = block[:, max(0, self._first - position) : max(0, self._end - position)]
            if part.shape[1]:
                yield rate, part
            position += block.shape[1]
            if position >= self._end:
                return

    def _refuse_nonsense(self, block: Samples, rate: int) -> None:
        good = np.abs(block) <= _LOUDEST  # false for NaN too
        if not good.all():
            position = self._first + self.source_length + int(np.argmin(good.all(axis=0)))
            raise errors.NotFinite(path=self.path, seconds=position / rate)

    def _counted(self, block: Samples) -> Iterator[Samples]:
        self.length += block.shape[1]
        longest = self._limits.max_seconds
        if longest is not None and self.length > longest * self.rate:
            raise errors.TooLong(path=self.path, max_seconds=longest)
        if block.shape[1]:
            yield block

    def _conclude(self) -> None:
        container = self._container
        if container is None:
            return
        self.warnings += container.notes
        if container.damaged:
            self.warnings.append(f"damaged packets that could not be decoded: {container.damaged}")
        missing = 0 if self.length_hint is None else self.length_hint - self.length
        if missing > self.rate // 20:
            self.warnings.append(f"{missing / self.rate:.1f} s are missing: the file is cut off or damaged")


def open_song(
    source: Source,
    *,
    rate: int | None = None,
    limits: Limits = NO_LIMITS,
    stream: int | None = None,
) -> Song:
    """Opens a path, a binary file object (read from its start) or an `Audio`, to be streamed at `rate` (None: its own).

    Of several audio streams the best one is heard, or number `stream`. Raises FileMissing, NotAFile, CannotRead,
    NotAudio, NoAudioStream, EmptyAudio, TooLong (when the header tells), TooLarge, BadSamples, BadRate. Whatever it
    opened is closed by `Song.close`.
    """
    if rate is not None:
        rate = sane_rate(rate)
    if isinstance(source, Audio):
        return _from_array(source, rate=rate, limits=limits)
    with ExitStack() as cleanup:
        file, path = _opened(source, limits, cleanup)
        with limits.header():
            container = Container(file, path, stream)
        cleanup.callback(container.close)
        song = _from_container(container, rate=rate, limits=limits)
        song._cleanup = cleanup.pop_all()
        return song


def sane_rate(rate: int) -> int:
    """The rate as a whole number, which 44100.0 and numpy's numbers are too; raises BadRate."""
    if rate not in SANE_RATES:
        raise errors.BadRate(rate=rate)
    return int(rate)


@contextmanager
def rereadable(source: Source, limits: Limits = NO_LIMITS) -> Iterator[Source]:
    """The source as one that can be opened again and again: a pipe's bytes come once, and wait in a nameless file."""
    with ExitStack() as cleanup:
        if isinstance(source, Audio) or (isinstance(source, str | os.PathLike) and not _is_pipe(source)):
            yield source
        else:
            yield _opened(source, limits, cleanup)[0]


def _is_pipe(path: str | os.PathLike[str]) -> bool:
    try:
        return Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir())
    except (OSError, ValueError):
        return False  # opening it will tell


def _from_array(audio: Audio, *, rate: int | None, limits: Limits) -> Song:
    samples, from_rate = _as_floats(audio), int(audio.rate)
    layout = channel_names(samples.shape[0])
    # Readers of files give frames, whose transpose lies sample by sample: from here on a channel is one piece.
    starts = range(0, samples.shape[1], _BLOCK)
    pieces = (np.ascontiguousarray(samples[:, start : start + _BLOCK]) for start in starts)
    chunks = (Chunk(piece, from_rate, layout) for piece in pieces)
    song = Song(chunks, path="The array", rate=rate, limits=limits)
    song.length_hint = resampled_length(samples.shape[1], from_rate, song.rate)
    song.seconds_hint = samples.shape[1] / from_rate
    _refuse_long(song, song.seconds_hint)
    return song


def _as_floats(audio: Audio) -> Samples:
    """[channels, n] or [n] as float32 [channels, n]; integers of a type that files of sound have are scaled by it."""
    array: NDArray[Any] = np.atleast_2d(np.asarray(audio.samples))
    is_sample = array.dtype.kind == "f" or array.dtype.str[1:] in _WHOLE
    is_sound = array.ndim == 2 and 0 < array.shape[0] <= MOST_CHANNELS and is_sample
    if not is_sound or audio.rate not in SANE_RATES:
        raise errors.BadSamples(shape=array.shape, dtype=array.dtype, rate=audio.rate)
    with np.errstate(over="ignore"):
        samples = array.astype(np.float32, copy=False)
    if array.dtype.kind == "f":
        return samples
    full = np.float32(2.0 ** (8 * array.dtype.itemsize - 1))
    return samples / full - np.float32(array.dtype.kind == "u")


def _from_container(container: Container, *, rate: int | None, limits: Limits) -> Song:
    song = Song(container.chunks(), path=container.path, rate=rate, limits=limits)
    song._container, song.tags = container, container.tags
    promised = container.length_promised(song.source_rate)
    song.length_hint = None if promised is None else resampled_length(promised, song.source_rate, song.rate)
    song.seconds_hint = container.seconds_promised()
    _refuse_long(song, song.seconds_hint)
    return song


def _refuse_long(song: Song, seconds: float | None) -> None:
    longest = song._limits.max_seconds
    if longest is not None and seconds is not None and seconds > longest + 0.1:
        raise errors.TooLong(path=song.path, max_seconds=longest)


def _opened(source: str | os.PathLike[str] | BinaryIO, limits: Limits, cleanup: ExitStack) -> tuple[BinaryIO, str]:
    """The source as a seekable binary file, and what to call it in messages."""
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        file: BinaryIO = cleanup.enter_context(_open_path(path))
    else:
        name = getattr(source, "name", None)  # of a nameless one it is a number
        path, file = name if isinstance(name, str) else "The file object", source
    if isinstance(file, io.TextIOBase):
        raise errors.CannotRead(path=path, reason='it is not a binary file object: open it with mode "rb"')
    if not hasattr(file, "read"):
        reason = "give a path, a binary file object, or a numpy array with its rate (a tensor's `.numpy()` is one)"
        raise errors.CannotRead(path=f"An object of type {type(file).__name__}", reason=reason)
    if getattr(file, "closed", False):
        raise errors.CannotRead(path=path, reason="it is closed")
    if not (hasattr(file, "seekable") and file.seekable()):
        pipe, file = file, cast(BinaryIO, cleanup.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115
        _spool(pipe, file, path, limits)
    _refuse_large(file, path, limits)
    return file, path


def _open_path(path: str) -> BinaryIO:
    try:
        if Path(path).is_dir():
            raise errors.NotAFile(path=path)
        return Path(path).open("rb")
    except FileNotFoundError:
        raise errors.FileMissing(path=path) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise errors.CannotRead(path=path, reason=getattr(error, "strerror", None) or str(error)) from error


def _spool(pipe: BinaryIO, spool: BinaryIO, path: str, limits: Limits) -> None:
    """Copies a pipe to a file: some formats keep their index at the end, so all of it is needed first."""
    while piece := pipe.read(1 << 20):
        spool.write(piece)
        if limits.max_bytes is not None and spool.tell() > limits.max_bytes:
            raise errors.TooLarge(path=path, max_bytes=limits.max_bytes)


def _refuse_large(file: BinaryIO, path: str, limits: Limits) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size == 0:
        raise errors.EmptyAudio(path=path)
    if limits.max_bytes is not None and size > limits.max_bytes:
        raise errors.TooLarge(path=path, max_bytes=limits.max_bytes)
