"""Sound out: blocks of float32 [2, n] become an mp3, wav, flac, opus or m4a file, streamed, whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from numpy.typing import NDArray

from stemwright import errors
from stemwright.audio.signal import Resampler, Samples, resampled_length
from stemwright.audio.tags import NO_TAGS, Tags

_WRITE_BYTES = 1 << 17


@dataclass(frozen=True, slots=True)
class Format:
    """How one kind of file is made: FFmpeg's muxer and codecs by bits, the rates that it can hold, options."""

    name: str
    muxer: str
    codecs: dict[int, tuple[str, str]]  # bits → codec, sample format
    rates: tuple[int, ...] = ()  # none: any
    is_lossy: bool = False
    most_kbps: int = 0
    codec_options: dict[str, str] | None = None

    def rate_for(self, rate: int) -> int:
        """The rate this format can hold that suits sound at `rate`: the same, else a multiple or fraction, else 48000."""
        if not self.rates or rate in self.rates:
            return rate
        multiples = [known for known in self.rates if known % rate == 0]
        fractions = [known for known in self.rates if rate % known == 0]
        return min(multiples) if multiples else max(fractions, default=48000)


def _pcm(sixteen: str, twenty_four: str) -> dict[int, tuple[str, str]]:
    return {16: (sixteen, "s16"), 24: (twenty_four, "s32")}


_MPEG_RATES = (32000, 44100, 48000)
_AAC_RATES = (32000, 44100, 48000, 64000, 88200, 96000)

FORMATS = {
    "mp3": Format("mp3", "mp3", {16: ("libmp3lame", "fltp")}, _MPEG_RATES, True, 320, {"compression_level": "7"}),
    "wav": Format("wav", "wav", {**_pcm("pcm_s16le", "pcm_s24le"), 32: ("pcm_f32le", "flt")}),
    "flac": Format("flac", "flac", {16: ("flac", "s16"), 24: ("flac", "s32")}),
    "opus": Format("opus", "ogg", {16: ("libopus", "flt")}, (48000,), True, 510),
    "m4a": Format("m4a", "ipod", {16: ("aac", "fltp")}, _AAC_RATES, True, 512, {"aac_coder": "fast"}),
}


def format_named(name: str) -> Format:
    """The format of that name (case and a leading dot ignored). Raises UnknownFormat."""
    found = FORMATS.get(name.lower().lstrip("."))
    if found is None:
        raise errors.UnknownFormat(format=name, choices=", ".join(FORMATS))
    return found


class StemWriter:
    """One output file being written: `write` blocks, then `finish` (or leave the `with`). See `open_stem`.

    Everything goes to `path` + ".part", which takes the name `path` when it is complete and is deleted on any error.
    """

    def __init__(self, path: Path, file: BinaryIO, encoder: _Encoder, resampler: Resampler) -> None:
        self.path = path
        self.rate = resampler.to_rate
        self.length = 0
        self._file, self._encoder, self._resampler = file, encoder, resampler
        self._is_open = True

    def write(self, block: Samples) -> None:
        """Adds float32 [2, n]. Raises DiskFull or CannotWrite, after which nothing is left of the file."""
        with _cleaning_up(self):
            self._encode(self._resampler.push(block))

    def finish(self, length: int | None = None) -> None:
        """Completes the file, `length` samples long at its own rate (default: what the blocks amount to)."""
        with _cleaning_up(self):
            self._encode(self._resampler.finish(length))
            self._encoder.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(_part(self.path), self.path)
            self._is_open = False

    def discard(self) -> None:
        """Gives up: closes and deletes what was written. Harmless after `finish`."""
        if not self._is_open:
            return
        self._is_open = False
        with suppress(OSError):
            self._file.close()
        self._encoder.abandon()
        with suppress(OSError):
            _part(self.path).unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None and self._is_open:
            self.finish()
        self.discard()

    def _encode(self, block: Samples) -> None:
        self.length += block.shape[1]
        if block.shape[1]:
            self._encoder.encode(block)


class _cleaning_up:  # noqa: N801 (used like a function)
    """Runs a step of a writer; if it fails, the writer's file is deleted and the error is one of ours."""

    def __init__(self, writer: StemWriter) -> None:
        self.writer = writer

    def __enter__(self) -> None:
        if not self.writer._is_open:
            raise errors.CannotWrite(path=self.writer.path, reason="it is closed already")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            return
        self.writer.discard()
        if isinstance(error, OSError):
            raise _write_error(self.writer.path, error) from error


class _Encoder:
    """PyAV's muxer and encoder around an open file."""

    def __init__(self, file: BinaryIO, format: Format, *, rate: int, bits: int, kbps: int, tags: Tags, seed: int | None):
        codec, self._sample_format = format.codecs.get(bits) or format.codecs[16]
        self._rate, self._position = rate, 0
        self._bits = bits
        self._dither = None if seed is None or bits != 16 or format.is_lossy else np.random.default_rng(seed)
        options = {"movie_timescale": str(rate)} if format.muxer == "ipod" else {}
        self._container = cast(
            OutputContainer, av.open(file, "w", format=format.muxer, container_options=options, buffer_size=_WRITE_BYTES)
        )
        self._container.metadata.update(tags.texts)
        stream = self._container.add_stream(codec, rate=rate, options=dict(format.codec_options or {}))
        self._stream = cast(AudioStream, stream)
        self._stream.layout = "stereo"
        self._stream.format = self._sample_format
        if format.is_lossy:
            self._stream.bit_rate = min(kbps, format.most_kbps) * 1000

    def encode(self, block: Samples) -> None:
        frame = AudioFrame.from_ndarray(self._quantised(block), format=self._sample_format, layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._position, Fraction(1, self._rate)
        self._position += block.shape[1]
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Flushes the encoder and writes the trailer."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Lets go of the container without caring for what it would still write."""
        with suppress(Exception):
            self._container.close()

    def _quantised(self, block: Samples) -> NDArray[np.generic]:
        """The block as the codec wants it: planar floats, or interleaved floats or integers, rounded and clipped."""
        if self._sample_format == "fltp":
            return np.ascontiguousarray(block, np.float32)
        packed = np.ascontiguousarray(block.T, np.float32).reshape(1, -1)
        if self._sample_format == "flt":
            return packed
        full = 2.0 ** (self._bits - 1)
        scaled = packed.astype(np.float64) * full
        if self._dither is not None:  # triangular, two steps wide: the error neither follows the signal nor pulses with it
            scaled += self._dither.random(scaled.shape) - self._dither.random(scaled.shape)
        whole = np.clip(np.rint(scaled), -full, full - 1)
        return whole.astype(np.int16) if self._bits == 16 else (whole.astype(np.int32) << 8)


def open_stem(
    path: str | os.PathLike[str],
    *,
    rate: int,
    format: str,
    file_rate: int | None = None,
    bits: int = 16,
    bitrate_kbps: int = 320,
    tags: Tags = NO_TAGS,
    dither_seed: int | None = None,
) -> StemWriter:
    """Starts a file of sound whose blocks come at `rate`; the folder is made if need be.

    The file itself has `file_rate` (default `rate`) or what its format can hold nearest to that (opus: always 48000).
    `bits`: 16, 24, or 32 (float, wav only) for lossless formats. `dither_seed` adds triangular dither to 16-bit files.
    Raises UnknownFormat, CannotWrite, DiskFull.
    """
    kind, target = format_named(format), Path(path)
    out_rate = kind.rate_for(file_rate or rate)
    if not kind.is_lossy and bits not in kind.codecs:
        raise errors.UnknownFormat(format=f"{kind.name} with {bits} bits", choices=", ".join(map(str, kind.codecs)))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        file = open(_part(target), "wb")
    except OSError as error:
        raise _write_error(target, error) from error
    try:
        encoder = _Encoder(file, kind, rate=out_rate, bits=bits, kbps=bitrate_kbps, tags=tags, seed=dither_seed)
    except BaseException:
        file.close()
        _part(target).unlink()
        raise
    return StemWriter(target, file, encoder, Resampler(rate, out_rate))


def write_all(writers: Sequence[StemWriter], block: NDArray[np.float32], pool: Executor | None = None) -> None:
    """Writes a block [stems, 2, n] to as many writers, one stem a thread: encoding holds no lock of the interpreter.

    When one fails, its error is raised after all have come to rest.
    """
    if pool is None:
        for writer, stem in zip(writers, block, strict=True):
            writer.write(stem)
        return
    running = [pool.submit(writer.write, stem) for writer, stem in zip(writers, block, strict=True)]
    failures = [failure for future in running if (failure := future.exception())]
    if failures:
        raise failures[0]


def length_in(format: str, *, length: int, rate: int, file_rate: int | None = None) -> int:
    """How many samples a file of this format will have for `length` samples at `rate`."""
    return resampled_length(length, rate, format_named(format).rate_for(file_rate or rate))


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _write_error(path: Path, error: OSError) -> errors.CannotWrite:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return errors.DiskFull(path=path)
    return errors.CannotWrite(path=path, reason=error.strerror or str(error))
