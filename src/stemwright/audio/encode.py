"""Sound out: blocks of float32 [2, n] become an mp3, wav, flac, opus or m4a file, streamed, whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition
from numpy.typing import NDArray

from stemwright import errors
from stemwright.audio import mp3
from stemwright.audio.signal import Resampler, Samples, resampled_length
from stemwright.audio.tags import NO_TAGS, Tags, cover_codec, cover_size

_WRITE_BYTES = 1 << 17


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file: FFmpeg's muxer, codec and sample format by bits, the rates it holds (none: any), options."""

    name: str
    muxer: str
    codecs: Mapping[int, tuple[str, str]]
    rates: tuple[int, ...] = ()
    most_kbps: int | None = None  # lossy
    holds_cover: bool = False
    codec_options: Mapping[str, str] = field(default_factory=dict[str, str])
    muxer_options: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_lossy(self) -> bool:
        return self.most_kbps is not None

    def rate_for(self, rate: int) -> int:
        """The rate for sound at `rate`: the same if possible, else the next multiple or fraction of it, else 48000."""
        if not self.rates or rate in self.rates:
            return rate
        multiples = [known for known in self.rates if known % rate == 0]
        fractions = [known for known in self.rates if rate % known == 0]
        return min(multiples) if multiples else max(fractions, default=48000)


_AAC_RATES = (32000, 44100, 48000, 64000, 88200, 96000)
FORMATS = {
    "mp3": Format("mp3", "", {16: ("lame", "s16")}, mp3.RATES, 320, holds_cover=True),
    "wav": Format(
        "wav",
        "wav",
        {16: ("pcm_s16le", "s16"), 24: ("pcm_s24le", "s32"), 32: ("pcm_f32le", "flt")},
        muxer_options={"rf64": "auto"},
    ),
    "flac": Format("flac", "flac", {16: ("flac", "s16"), 24: ("flac", "s32")}, holds_cover=True),
    "opus": Format("opus", "ogg", {16: ("libopus", "flt")}, (48000,), 510),
    "m4a": Format(
        "m4a",
        "mp4",
        {16: ("aac", "fltp")},
        _AAC_RATES,
        512,
        holds_cover=True,
        codec_options={"aac_coder": "fast"},
        muxer_options={"brand": "M4A "},
    ),
}


def format_named(name: str) -> Format:
    """The format of that name (case and a leading dot ignored). Raises UnknownFormat."""
    found = FORMATS.get(name.lower().lstrip("."))
    if found is None:
        raise errors.UnknownFormat(format=name, choices=", ".join(FORMATS))
    return found


class Encoder(Protocol):
    """What turns blocks into a file's bytes; `close` completes them, `abandon` lets go without."""

    def encode(self, block: Samples) -> None: ...
    def close(self) -> None: ...
    def abandon(self) -> None: ...


class StemWriter:
    """One output file being written: `write` blocks, then `finish` (or leave the `with`). See `open_stem`.

    Everything goes to `path` + ".part", which takes the name `path` when it is complete and is deleted on any error.
    `length` counts the samples written so far, at the file's own `rate`.
    """

    def __init__(self, path: Path, file: BinaryIO, encoder: Encoder, resampler: Resampler) -> None:
        self.path, self.rate, self.length = path, resampler.to_rate, 0
        self._file, self._encoder, self._resampler = file, encoder, resampler
        self._is_open = True

    def write(self, block: Samples) -> None:
        """Adds float32 [2, n]. Raises DiskFull or CannotWrite, after which nothing is left of the file."""
        with self._discarding_on_error():
            self._encode(self._resampler.push(block))

    def finish(self, length: int | None = None) -> None:
        """Completes the file, `length` samples long at its own rate (default: what the blocks amount to)."""
        with self._discarding_on_error():
            self._encode(self._resampler.finish(length))
            self._encoder.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            _part(self.path).replace(self.path)
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

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None and self._is_open:
            self.finish()
        self.discard()

    def _encode(self, block: Samples) -> None:
        self.length += block.shape[1]
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
                raise _write_error(self.path, error) from error
            raise


class _AvEncoder:
    """PyAV's muxer and encoder around an open file."""

    def __init__(self, file: BinaryIO, kind: Format, *, rate: int, bits: int, kbps: int, tags: Tags, seed: int | None):
        codec, self._sample_format = kind.codecs.get(bits) or kind.codecs[16]
        self._rate, self._position, self._bits = rate, 0, bits
        self._dither = None if seed is None or bits != 16 or kind.is_lossy else np.random.default_rng(seed)
        # An mp4's edit list counts in the movie's time scale: exact at the song's rate, not at the usual 1/1000 s.
        timing = {"movie_timescale": str(rate)} if kind.muxer == "mp4" else {}
        muxing = {**kind.muxer_options, **timing}
        opened = av.open(file, "w", format=kind.muxer, container_options=muxing, buffer_size=_WRITE_BYTES)
        self._container = cast(OutputContainer, opened)
        self._container.metadata.update(tags.texts)
        self._stream = cast(AudioStream, self._container.add_stream(codec, rate=rate, options=dict(kind.codec_options)))
        self._stream.layout = "stereo"
        self._stream.format = self._sample_format
        if kind.is_lossy:
            self._stream.bit_rate = min(kbps, kind.most_kbps or kbps) * 1000
        if tags.cover is not None and kind.holds_cover:
            self._add_cover(tags.cover)

    def encode(self, block: Samples) -> None:
        frame = AudioFrame.from_ndarray(self._as_codec_wants(block), format=self._sample_format, layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._position, Fraction(1, self._rate)
        self._position += block.shape[1]
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        with suppress(Exception):
            self._container.close()

    def _add_cover(self, cover: bytes) -> None:
        width, height = cover_size(cover)
        stream = self._container.add_mux_stream(cover_codec(cover) or "mjpeg", width=width, height=height)
        stream.disposition = Disposition.attached_pic
        packet: Packet[Any] = Packet(cover)
        packet.stream, packet.pts, packet.dts = stream, 0, 0
        self._container.mux(packet)

    def _as_codec_wants(self, block: Samples) -> NDArray[Any]:
        """The block as planar or interleaved floats, or as interleaved integers, rounded and clipped."""
        if self._sample_format == "fltp":
            return np.ascontiguousarray(block, np.float32)
        packed = np.ascontiguousarray(block.T, np.float32).reshape(1, -1)
        if self._sample_format == "flt":
            return packed
        full = 2.0 ** (self._bits - 1)
        scaled = packed.astype(np.float64) * full
        if self._dither is not None:  # triangular, two steps wide: noise that neither follows the signal nor pulses
            scaled += self._dither.random(scaled.shape) - self._dither.random(scaled.shape)
        whole = np.clip(np.rint(scaled), -full, full - 1)
        return whole.astype(np.int16) if self._bits == 16 else whole.astype(np.int32) << 8


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
    `bits`: 16, 24, or 32 (float, wav only), for lossless formats. `dither_seed` adds triangular dither to 16-bit files.
    Raises UnknownFormat, CannotWrite, DiskFull.
    """
    kind, target = format_named(format), Path(path)
    if not kind.is_lossy and bits not in kind.codecs:
        raise errors.UnknownFormat(format=f"{kind.name} with {bits} bits", choices=", ".join(map(str, kind.codecs)))
    out_rate = kind.rate_for(file_rate or rate)
    file = _open_part(target)
    try:
        encoder = (
            mp3.Mp3Encoder(file, rate=out_rate, kbps=bitrate_kbps, tags=tags)
            if kind.name == "mp3"
            else _AvEncoder(file, kind, rate=out_rate, bits=bits, kbps=bitrate_kbps, tags=tags, seed=dither_seed)
        )
    except BaseException as error:
        file.close()
        _part(target).unlink()
        if isinstance(error, OSError):
            raise _write_error(target, error) from error
        raise
    return StemWriter(target, file, encoder, Resampler(rate, out_rate))


def write_all(writers: Sequence[StemWriter], block: NDArray[np.float32], pool: Executor | None = None) -> None:
    """Writes a block [stems, 2, n] to as many writers, one stem a task of the pool: encoders leave the GIL alone.

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


def _open_part(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise errors.CannotWrite(path=path, reason="a folder has that name")
        return _part(path).open("wb")
    except OSError as error:
        raise _write_error(path, error) from error


def _write_error(path: Path, error: OSError) -> errors.CannotWrite:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return errors.DiskFull(path=path)
    return errors.CannotWrite(path=path, reason=error.strerror or str(error))
