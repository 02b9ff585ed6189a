"""One audio or video file behind PyAV: opened safely, its sound decoded with delay and padding honoured."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from threading import Lock
from typing import BinaryIO, cast

import av
import numpy as np
from av import error as failures
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import Flags2
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from stemwright import errors
from stemwright.audio import tags as tagging
from stemwright.audio.atoms import told_tempo
from stemwright.audio.covers import complaint
from stemwright.audio.signal import Samples, channel_names

# The demuxers that may be tried. Those that open other files or addresses (hls, dash, concat, image2, sdp, lavfi, …)
# are not among them, and FFmpeg never gets a path: it reads from a file that we opened.
_FORMATS = (
    "mp3,wav,w64,flac,ogg,mov,matroska,aac,aiff,asf,avi,flv,mpegts,mpeg,"
    "ac3,eac3,caf,au,ape,wv,tta,tak,amr,dsf,dts,voc,mpc,mpc8"
)
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
_READ_BYTES = 1 << 17

# Formats whose header counts the samples, and those whose header at least times them (not a guess from the bit rate).
_COUNTED = {"wav", "w64", "flac", "aiff", "caf", "au", "wv", "tta", "tak", "ape"}
_TIMED = _COUNTED | {"mov", "matroska", "ogg", "asf"}
_COUNTED_CODECS = ("alac", "flac", "pcm_")

# Samples that a decoder puts out before the first whole one (overlap of its transform, delay of its filter bank): they
# are dropped where the container does not say how many there are. AAC: one frame. See docs/decisions/0003.
_INHERENT_DELAY = {"mp3": 1105, "mp3float": 1105, "mp2": 481, "mp2float": 481, "ac3": 256, "eac3": 256}

_SCALES: dict[str, tuple[str, float]] = {
    "u8": ("u1", 2.0**7),
    "s16": ("i2", 2.0**15),
    "s32": ("i4", 2.0**31),
    "s64": ("i8", 2.0**63),
    "flt": ("f4", 1.0),
    "dbl": ("f8", 1.0),
}
SANE_RATES = range(1000, 768_001)
MOST_CHANNELS = 64
_NOT_COUNTED = 0x7FFF0000  # bytes, and more: what programs write that do not know the length yet
_MOST_CHUNKS = 64  # before the sound of a WAV
_WOUNDED = 3  # frames behind a damaged packet: those of mp3 take bits from the ones before them, and overlap
_DAMAGED = "it is damaged, cut off or no audio at all"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some decoded samples, [channels, n], with the rate and layout that they were decoded at."""

    samples: Samples
    rate: int
    layout: tuple[str, ...]


class Container:
    """An opened file's best audio stream, or one by number.

    `chunks()` decodes it once; `tags` has the cover after the first chunk.
    """

    def __init__(self, file: BinaryIO, path: str, number: int | None = None) -> None:
        self.path = path
        self.damaged = self.decoded = 0  # packets, frames
        self.notes: list[str] = []
        self._drop = 0
        self.starts_at: Fraction | None = None  # of the first sample, in seconds of the file's clock
        self._reading, self._is_closed = Lock(), False
        self._whole, tempo = _announced(file), told_tempo(file)
        self._container = open_container(file, path)
        try:
            self._stream = self._choose_stream(number)
        except BaseException:
            self._container.close()
            raise
        self._skips_manually = self._quiet_wma_encoder()
        self.tags = tagging.from_metadata(self._container.metadata, self._stream.metadata, tempo)

    def close(self) -> None:
        """Waits for the chunk that another thread is reading: FFmpeg would read on in what is freed here."""
        with self._reading:
            self._is_closed = True
            self._container.close()

    @property
    def format(self) -> str:
        return self._container.format.name.split(",")[0]

    @property
    def codec(self) -> str:
        return self._stream.codec_context.name

    def seconds_promised(self) -> float | None:
        """What the header says about the duration, or None where it says nothing one can rely on."""
        if self.format not in _TIMED and not self._counts_mp3_frames:
            return None
        duration = self._container.duration
        return duration / av.time_base if duration else None

    def length_promised(self, rate: int) -> int | None:
        """The number of samples at the stream's own `rate` as the header counts them, or None."""
        counted = self.format in _COUNTED or self._counts_mp3_frames or self.codec.startswith(_COUNTED_CODECS)
        if not counted or not self._stream.duration or not self._stream.time_base:
            return None
        length = self._stream.duration * self._stream.time_base * rate
        if self._whole > 1:
            return int(length * self._whole)
        return int(length) if length.denominator == 1 else None

    def chunks(self) -> Iterator[Chunk]:
        """The stream's sound from its first sample to its last, frame by frame; raises CannotRead once it is closed."""
        chunks = _calmed(self._decoded())
        while True:
            with self._reading:
                if self._is_closed:
                    raise errors.CannotRead(path=self.path, reason="it was closed before its end")
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def _decoded(self) -> Iterator[Chunk | None]:
        """The stream's sound, and None before and behind what was damaged."""
        missing = usual = Fraction(0)  # seconds of damaged packets, replaced by silence when sound follows them
        for packet, is_last in self._packets():
            frames = self._decode(packet)
            if frames is None:
                missing += _seconds(packet, usual)
                yield None
                continue
            for frame in frames:
                chunk = self._trimmed(_chunk(frame, self.path), packet if is_last else None)
                self._note_start(frame, chunk)
                usual = Fraction(frame.samples, frame.sample_rate)
                if missing and self.decoded:
                    yield from _silence(missing, chunk)
                    yield None
                missing = Fraction(0)
                self.decoded += 1
                yield chunk
        if self.damaged > self.decoded:
            raise errors.NotAudio(path=self.path, reason="most of it could not be decoded")

    @property
    def _counts_mp3_frames(self) -> bool:
        return self.format == "mp3" and self._says_delay

    def _choose_stream(self, number: int | None) -> AudioStream:
        every = self._container.streams.audio
        stream = self._container.streams.best("audio") if number is None else every[number]
        if stream is None and every:  # FFmpeg found neither a rate nor channels in it
            raise errors.NotAudio(path=self.path, reason=_DAMAGED)
        if stream is None:
            raise errors.NoAudioStream(path=self.path)
        if cast(object, stream.codec_context) is None:
            raise errors.NotAudio(path=self.path, reason="its sound is in a codec that is not known here")
        for other in self._container.streams:
            if other is not stream and not _is_cover(other):
                other.discard = Discard.all
        self._says_delay = False
        return cast(AudioStream, stream)

    def _quiet_wma_encoder(self) -> bool:
        """FFmpeg's WMA decoder drops two frames, as Microsoft's encoder needs; files by FFmpeg's own need one."""
        by_ffmpeg = any(value.startswith("Lavf") for value in self._container.metadata.values())
        if not (by_ffmpeg and self.codec in ("wmav1", "wmav2")):
            return False
        self._stream.codec_context.flags2 |= Flags2.skip_manual
        return True

    def _packets(self) -> Iterator[tuple[Packet, bool]]:
        """Packets of sound, and whether each is the last; covers are put aside."""
        wanted = [self._stream, *filter(_is_cover, self._container.streams)]
        held: Packet | None = None
        for packet in self._demux(wanted):
            if packet.stream is not self._stream:
                self._keep_cover(packet)
                continue
            if held is None:
                self._note_delay(packet)
            else:
                yield held, packet.size == 0
            held = packet
        if held is not None:
            yield held, False

    def _demux(self, wanted: list[Stream]) -> Iterator[Packet]:
        """The container's packets; where the rest of the file makes no sense they end, and that counts as damage."""
        try:
            yield from self._container.demux(wanted)
        except OSError as error:  # of the file itself: the disk, the network share, the caller's object
            raise errors.CannotRead(path=self.path, reason=error.strerror or str(error)) from error
        except failures.FFmpegError:
            self.damaged += 1

    def _keep_cover(self, packet: Packet) -> None:
        if self.tags.cover is not None or not packet.size:
            return
        if reason := complaint(bytes(packet)):
            self.notes.append(f"its cover was left out: {reason}")
        self.tags = self.tags.with_cover(bytes(packet))

    def _note_delay(self, first: Packet) -> None:
        self._says_delay = first.has_sidedata("skip_samples")
        if self._skips_manually or (self.codec == "aac" and not self._says_delay):
            self._drop = -1  # one frame, whatever its size turns out to be
        elif not self._says_delay:
            self._drop = _INHERENT_DELAY.get(self.codec, 0)

    def _note_start(self, frame: AudioFrame, first: Chunk) -> None:
        heard = first.samples.shape[1]
        if self.starts_at is None and heard:
            before = Fraction(frame.samples - heard, first.rate)
            self.starts_at = Fraction(frame.pts or 0) * (frame.time_base or 0) + before

    def _decode(self, packet: Packet) -> list[AudioFrame] | None:
        try:
            return cast(list[AudioFrame], packet.decode())
        except failures.EOFError:
            return []
        except failures.FFmpegError:
            self.damaged += 1
            return None

    def _trimmed(self, chunk: Chunk, last: Packet | None) -> Chunk:
        """Without the codec's delay at the start and, in mp4, what is past the last packet's duration at the end."""
        n = chunk.samples.shape[1]
        drop = n if self._drop < 0 else min(self._drop, n)
        self._drop = max(0, self._drop - drop)
        end = n
        if last is not None and self.format == "mov" and last.duration and last.time_base:
            length = last.duration * last.time_base * chunk.rate
            end = int(length) if length.denominator == 1 and length < n else n
        return chunk if (drop, end) == (0, n) else Chunk(chunk.samples[:, drop:end], chunk.rate, chunk.layout)


def open_container(file: BinaryIO, path: str) -> InputContainer:
    """PyAV's container around an open file, read safely from its start; raises NotAudio and CannotRead."""
    try:
        file.seek(0)
        return av.open(file, "r", options=_OPTIONS, metadata_errors="replace", buffer_size=_READ_BYTES)
    except failures.ArgumentError as error:
        raise errors.NotAudio(path=path, reason="it is not in a format that is read here") from error
    except (failures.InvalidDataError, failures.EOFError) as error:
        raise errors.NotAudio(path=path, reason=_DAMAGED) from error
    except OSError as error:
        raise errors.CannotRead(path=path, reason=error.strerror or str(error)) from error
    except (failures.FFmpegError, ValueError) as error:
        raise errors.NotAudio(path=path, reason=str(error)) from error


def _seconds(packet: Packet, usual: Fraction) -> Fraction:
    """How long the packet is: where the container's time is too coarse to tell (Matroska's are milliseconds), as long
    as the one before."""
    tick = packet.time_base or Fraction(0)
    told = (packet.duration or 0) * tick
    return usual if abs(told - usual) < tick else told


def _announced(file: BinaryIO) -> Fraction:
    """How many times the bytes that are there a WAV's header announces: FFmpeg believes the end of the file instead."""
    with contextlib.suppress(OSError):
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        head = file.read(12)
        is_wav = head[:4] == b"RIFF" and head[8:] == b"WAVE"
        for _ in range(_MOST_CHUNKS if is_wav else 0):
            name, length = file.read(4), int.from_bytes(file.read(4), "little")
            there = size - file.tell()
            if name == b"data" and 0 < there < length < _NOT_COUNTED:
                return Fraction(length, there)
            file.seek(length + length % 2, io.SEEK_CUR)
    return Fraction(1)


def limit_allocations(most_bytes: int) -> None:
    """No single piece of memory that FFmpeg takes in this process may be larger: a header that lies about a size is
    refused then, not believed. Where the library cannot be reached (Windows), nothing changes."""
    import ctypes

    from av import _core

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(_core.__file__).av_max_alloc(ctypes.c_size_t(most_bytes))


def _calmed(pieces: Iterator[Chunk | None]) -> Iterator[Chunk]:
    """The chunks; those around damage within full scale, as every player has them.

    What a decoder makes there can be a burst 20 dB above the song, which would turn all of its stems down.
    """
    held, wounded = None, 0
    for piece in pieces:
        if piece is None:
            held, wounded = held and _within_full_scale(held), _WOUNDED
            continue
        if held is not None:
            yield held
        held, wounded = _within_full_scale(piece) if wounded else piece, max(0, wounded - 1)
    if held is not None:
        yield held


def _within_full_scale(chunk: Chunk) -> Chunk:
    return Chunk(np.clip(chunk.samples, -1, 1), chunk.rate, chunk.layout)


def _is_cover(stream: Stream) -> bool:
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def _chunk(frame: AudioFrame, path: str) -> Chunk:
    channels = frame.layout.nb_channels
    if frame.sample_rate not in SANE_RATES or not 0 < channels <= MOST_CHANNELS:
        raise errors.NotAudio(path=path, reason=f"{channels} channels at {frame.sample_rate} Hz make no sense")
    names = channel_names(channels, [channel.name for channel in frame.layout.channels])
    return Chunk(_floats(frame, channels), frame.sample_rate, names)


def _floats(frame: AudioFrame, channels: int) -> Samples:
    """The frame's samples [channels, n] as float32 with full scale at 1.0."""
    kind, scale = _SCALES[frame.format.name.removesuffix("p")]
    planes = cast(list[memoryview], frame.planes[:channels])  # they have the buffer protocol, their stubs do not say so
    if frame.format.is_planar:
        raw = np.stack([np.frombuffer(plane, kind, frame.samples) for plane in planes])
    else:
        raw = np.frombuffer(planes[0], kind, frame.samples * channels).reshape(-1, channels).T
    with np.errstate(over="ignore", invalid="ignore"):  # float64 beyond float32 becomes infinite, and is refused later
        samples = np.ascontiguousarray(raw, np.float32)
    if kind == "u1":
        samples -= np.float32(scale)
    return samples if scale == 1.0 else samples / np.float32(scale)


def _silence(seconds: Fraction, like: Chunk) -> Iterator[Chunk]:
    """In pieces of a second: how long it is, only the file says."""
    left = round(seconds * like.rate)
    while left > 0:
        length = min(left, like.rate)
        yield Chunk(np.zeros((like.samples.shape[0], length), np.float32), like.rate, like.layout)
        left -= length
