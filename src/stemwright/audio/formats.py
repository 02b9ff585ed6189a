"""The kinds of file a stem can be written as, and PyAV's encoders for all of them but mp3."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, BinaryIO, cast

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
from stemwright.audio.signal import Samples
from stemwright.audio.tags import Tags, cover_codec, cover_size

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
    "opus": Format("opus", "ogg", {16: ("libopus", "flt")}, (48000,), 510, codec_options={"compression_level": "5"}),
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


class AvEncoder:
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
