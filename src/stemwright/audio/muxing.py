"""Files of every format but mp3, by PyAV's encoders and muxers."""

from __future__ import annotations

import struct
from contextlib import suppress
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

from stemwright.audio.atoms import add_named_tags
from stemwright.audio.covers import cover_codec, cover_size, flac_picture
from stemwright.audio.formats import Sound
from stemwright.audio.id3 import wav_chunk
from stemwright.audio.signal import Samples
from stemwright.audio.tags import NO_TAGS, Tags

_WRITE_BYTES = 1 << 17
_VORBIS = {"key": "INITIALKEY", "publisher": "LABEL"}  # where DJ programs look; FFmpeg has no word of its own for them
_AT_ONCE = 1 << 14  # samples rounded at once: they stay in a core's cache


class AvEncoder:
    """PyAV's muxer and encoder around an open, seekable file; `seed` is that of the dither."""

    def __init__(self, file: BinaryIO, sound: Sound, *, rate: int, tags: Tags, seed: int) -> None:
        kind = sound.kind
        codec, self._sample_format = kind.codecs[16 if kind.is_lossy else sound.bits]
        self._rate, self._position, self._bits = rate, 0, sound.bits
        self._file, self._last_chunk = file, wav_chunk(tags) if kind.muxer == "wav" else b""
        self._named = tags if kind.muxer == "mp4" else NO_TAGS
        self._dither = np.random.default_rng(seed) if sound.is_dithered else None
        # An mp4's edit list counts in the movie's time scale: exact at the song's rate, not at the usual 1/1000 s.
        timing = {"movie_timescale": str(rate)} if kind.muxer == "mp4" else {}
        muxing = {**kind.muxer_options, **timing}
        opened = av.open(file, "w", format=kind.muxer, container_options=muxing, buffer_size=_WRITE_BYTES)
        self._container = cast(OutputContainer, opened)
        self._container.metadata.update(texts_for(kind.muxer, tags))
        self._stream = cast(AudioStream, self._container.add_stream(codec, rate=rate, options=dict(kind.codec_options)))
        self._stream.layout = "stereo"
        self._stream.format = self._sample_format
        if kind.is_lossy:
            self._stream.bit_rate = sound.kbps * 1000
        if tags.cover is not None and kind.muxer in ("flac", "mp4"):
            add_cover(self._container, tags.cover)

    def encode(self, block: Samples) -> None:
        frame = AudioFrame.from_ndarray(self._as_codec_wants(block), format=self._sample_format, layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._position, Fraction(1, self._rate)
        self._position += block.shape[1]
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        if self._last_chunk:
            _append_chunk(self._file, self._last_chunk)
        add_named_tags(self._file, self._named)

    def abandon(self) -> None:
        with suppress(Exception):
            self._container.close()

    def _as_codec_wants(self, block: Samples) -> NDArray[Any]:
        """The block as planar or interleaved floats, or as interleaved integers, rounded and clipped."""
        if self._sample_format == "fltp":
            return np.ascontiguousarray(block, np.float32)
        if self._sample_format == "flt":
            return np.ascontiguousarray(block.T, np.float32).reshape(1, -1)
        whole = np.empty((block.shape[1], 2), np.int16 if self._bits == 16 else np.int32)
        for first in range(0, len(whole), _AT_ONCE):
            piece = slice(first, first + _AT_ONCE)
            whole[piece] = self._rounded(block[:, piece])
        return (whole if self._bits == 16 else whole << 8).reshape(1, -1)

    def _rounded(self, block: Samples) -> Samples:
        """Steps [n, 2] of this many bits, dithered. All but the dither is exact: powers of two, and 24 bits at most."""
        full = np.float32(2.0 ** (self._bits - 1))
        steps = np.multiply(block.T, full, order="C")
        if self._dither is not None:
            steps += _triangular(self._dither, steps)
        return np.clip(np.rint(steps, out=steps), -full, full - 1, out=steps)


def add_cover(container: OutputContainer, cover: bytes) -> None:
    """Puts a picture where flac and mp4 files have theirs."""
    width, height = cover_size(cover)
    stream = container.add_mux_stream(cover_codec(cover) or "mjpeg", width=width, height=height)
    stream.disposition = Disposition.attached_pic
    packet: Packet[Any] = Packet(cover)
    packet.stream, packet.pts, packet.dts = stream, 0, 0
    container.mux(packet)


def _triangular(dither: np.random.Generator, steps: Samples) -> Samples:
    """Noise of two steps' width, which neither follows the signal nor pulses with it; none where there is silence.

    Two numbers of 16 bits are drawn a sample, one after the other: the noise does not depend on how the stem was cut
    into blocks.
    """
    drawn = dither.integers(0, 1 << 32, steps.shape, np.uint32).view(np.int16).reshape(*steps.shape, 2)
    noise: Samples = np.subtract(drawn[..., 0], drawn[..., 1], dtype=np.float32)
    noise *= np.float32(2.0**-16)
    noise *= steps != 0
    return noise


def texts_for(muxer: str, tags: Tags) -> dict[str, str]:
    """The texts as the muxer knows them; an Ogg file has its cover among them."""
    names = _VORBIS if muxer in ("flac", "ogg") else {}
    texts = {names.get(name, name): text for name, text in tags.texts.items()}
    if muxer == "mp4" and "bpm" in texts:
        texts["tmpo"] = _whole(texts.pop("bpm"))
    if muxer == "ogg" and tags.cover is not None:
        texts["METADATA_BLOCK_PICTURE"] = flac_picture(tags.cover)
    return texts


def _whole(bpm: str) -> str:
    """The nearest whole number, which is what an mp4 can hold: FFmpeg would cut 127.98 to 127."""
    with suppress(ValueError, OverflowError):
        return str(round(float(bpm.replace(",", "."))))
    return bpm


def _append_chunk(file: BinaryIO, chunk: bytes) -> None:
    """Puts a chunk at the end of a wav file, whose header counts it; FFmpeg's muxer has no place for a cover."""
    end = file.seek(0, 2)
    file.write(bytes(end % 2) + chunk)
    size = file.tell() - 8
    file.seek(0)
    if file.read(4) == b"RF64":
        file.seek(20)
        file.write(struct.pack("<Q", size))
    elif size < 1 << 32:
        file.write(struct.pack("<I", size))
    else:  # the tag does not fit in a file of this kind: the sound alone is a whole file
        file.truncate(end)
    file.seek(0, 2)
