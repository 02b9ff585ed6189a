"""Files of stems as one song: each at its own level and place, at another tempo and pitch if need be, into a pipe."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from math import cos, pi, sin
from pathlib import Path
from typing import BinaryIO

import av
import av.filter
import numpy as np
from av import error as failures

from stemwright.audio.blocks import PIECE, even, resampled
from stemwright.audio.decode import Song, open_song
from stemwright.audio.formats import format_named
from stemwright.audio.id3 import id3, wav_chunk
from stemwright.audio.mp3 import Mp3Encoder, promised_bytes
from stemwright.audio.signal import Samples, resampled_length

FORMATS = ("mp3", "wav")
KBPS = 320
_WAV = struct.Struct("<4sI4s4sIHHIIHH4sI")


@dataclass(frozen=True)
class Fader:
    """Where a stem stands in a mix: `gain` as a factor, `pan` from −1 (left) to 1 (right)."""

    path: Path
    gain: float = 1.0
    pan: float = 0.0

    def matrix(self) -> Samples:
        """[out, in]: the stereo panner of the Web Audio API, section 1.33.5, so that it sounds as in the player."""
        x = (self.pan + 1 if self.pan <= 0 else self.pan) * pi / 2
        left, right = ((1, cos(x)), (0, sin(x))) if self.pan <= 0 else ((cos(x), 0), (sin(x), 1))
        return np.array([left, right], np.float32) * np.float32(self.gain)


@dataclass(frozen=True)
class Speed:
    """Another tempo (1.25 is a quarter faster) and pitch (in semitones), each without the other."""

    tempo: float = 1.0
    semitones: float = 0.0

    @property
    def is_none(self) -> bool:
        return self.tempo == 1 and self.semitones == 0


def mix_down(
    faders: Sequence[Fader],
    into: BinaryIO,
    *,
    format: str = "mp3",
    speed: Speed = Speed(),
    seconds: float | None = None,
    title: str = "mix",
    on_size: Callable[[int], None] = lambda _: None,
) -> None:
    """Writes the mix as one of `FORMATS` into a pipe, 16 bits or 320 kbit/s, beyond full scale clipped.

    It has the stems' tags, with `title` in the place of a stem's name, and neither a tempo nor a key at another speed.
    `seconds` is the stems' duration, for formats whose files do not count their samples. `on_size` gets the size of the
    whole file in bytes before the first of them. Raises what reading the files raises.
    """
    with ExitStack() as files:
        songs = [files.enter_context(open_song(fader.path)) for fader in faders]
        rate = songs[0].rate
        length = max(song.length_hint or 0 for song in songs) if seconds is None else round(seconds * rate)
        blocks = mixed(songs, faders)
        if not speed.is_none:
            blocks = stretched(blocks, rate, speed)
        to_rate = format_named(format).rate_for(rate)
        length = resampled_length(round(length / speed.tempo), rate, to_rate)
        exact = _exactly(resampled(blocks, rate, to_rate), length)
        tags = songs[0].tags.for_mix(title)
        tags = tags if speed.is_none else tags.without("bpm", "key")
        if format == "wav":
            last = wav_chunk(tags)
            on_size(_WAV.size + 4 * length + len(last))
            _write_wav(exact, into, rate=to_rate, length=length, last=last)
        else:
            head = id3(tags)
            on_size(len(head) + promised_bytes(length, rate=to_rate, kbps=KBPS))
            _write_mp3(exact, into, rate=to_rate, length=length, head=head)


def mixed(songs: Iterable[Song], faders: Iterable[Fader]) -> Iterator[Samples]:
    """Blocks [2, n] of the weighted sum; as long as the longest of the songs."""
    blocks = [(even(song.blocks()), fader.matrix()) for song, fader in zip(songs, faders, strict=True)]
    while True:
        pieces = [(piece, matrix) for stream, matrix in blocks if (piece := next(stream, None)) is not None]
        if not pieces:
            return
        total = np.zeros((2, max(piece.shape[1] for piece, _ in pieces)), np.float32)
        for piece, matrix in pieces:
            total[:, : piece.shape[1]] += matrix @ piece
        yield total


def stretched(blocks: Iterable[Samples], rate: int, speed: Speed) -> Iterator[Samples]:
    """The blocks at another tempo and pitch: played faster or slower for the pitch, then stretched to the tempo."""
    pitch = 2 ** (speed.semitones / 12)
    graph = _chain(rate, pitch, speed.tempo / pitch)
    position = 0
    for block in blocks:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
        position += block.shape[1]
        graph.push(frame)
        yield from _pulled(graph)
    graph.push(None)
    yield from _pulled(graph)


def _chain(rate: int, pitch: float, tempo: float) -> av.filter.Graph:
    graph = av.filter.Graph()
    nodes = [graph.add_abuffer(sample_rate=rate, format="fltp", layout="stereo", time_base=Fraction(1, rate))]
    if pitch != 1:
        nodes.append(graph.add("asetrate", str(round(rate * pitch))))
        nodes.append(graph.add("aresample", str(rate)))
    steps = 2 if tempo < 0.5 else 1  # the filter goes no lower at once
    nodes += [graph.add("atempo", f"{tempo ** (1 / steps):.9f}") for _ in range(steps)]
    nodes.append(graph.add("aformat", "sample_fmts=fltp:channel_layouts=stereo"))
    nodes.append(graph.add("abuffersink"))
    graph.link_nodes(*nodes).configure()
    return graph


def _pulled(graph: av.filter.Graph) -> Iterator[Samples]:
    while True:
        try:
            frame = graph.pull()
        except (failures.BlockingIOError, failures.EOFError):
            return
        yield frame.to_ndarray()  # pyright: ignore[reportAttributeAccessIssue, reportReturnType]


def _exactly(blocks: Iterable[Samples], length: int) -> Iterator[Samples]:
    """So many samples: a promise to whoever reads the header."""
    left = length
    for block in blocks:
        yield block[:, :left]
        left -= min(left, block.shape[1])
        if not left:
            return
    while left:
        yield np.zeros((2, min(left, PIECE)), np.float32)
        left -= min(left, PIECE)


def _write_mp3(blocks: Iterable[Samples], into: BinaryIO, *, rate: int, length: int, head: bytes) -> None:
    encoder = Mp3Encoder(into, rate=rate, kbps=KBPS, head=head, length=length)
    for block in blocks:
        encoder.encode(block)
    encoder.close()


def _write_wav(blocks: Iterable[Samples], into: BinaryIO, *, rate: int, length: int, last: bytes) -> None:
    size = min(4 * length, 0xFFFFFFFF - 36)
    whole = min(size + 36 + len(last), 0xFFFFFFFF)
    into.write(_WAV.pack(b"RIFF", whole, b"WAVE", b"fmt ", 16, 1, 2, rate, 4 * rate, 4, 16, b"data", size))
    full = np.float32(32768)
    into.writelines(np.clip(np.rint(block.T * full), -32768, 32767).astype("<i2").tobytes() for block in blocks)
    into.write(last)
