"""Several sounds side by side in one mp4 or Matroska file, as AAC, with a film's own picture if there is one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from fractions import Fraction
from itertools import zip_longest
from typing import BinaryIO, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from stemwright.audio.atoms import add_named_tags
from stemwright.audio.blocks import even
from stemwright.audio.formats import FORMATS
from stemwright.audio.muxing import add_cover, texts_for
from stemwright.audio.picture import Picture
from stemwright.audio.signal import Resampler, Samples
from stemwright.audio.tags import Tags

KBPS = 256
RATES = (44100, 48000)  # what every program that knows such files plays
_NOTHING = np.zeros((2, 0), np.float32)


def write_tracks(
    file: BinaryIO,
    tracks: Mapping[str, Iterable[Samples]],
    *,
    rate: int,
    tags: Tags,
    muxer: str = "mp4",
    picture: Picture | None = None,
) -> None:
    """Writes the sounds [2, n] at `rate` by their titles; the first is the one that plays, the others are disabled.

    A picture's packets are copied as they are, and the sound starts where its own did. In an mp4 the header is last.
    """
    to_rate = rate if rate in RATES else 48000 if rate % 48000 == 0 else 44100
    timing = {"movie_timescale": str(to_rate)} if muxer == "mp4" else {}
    brand = {"brand": "M4A "} if muxer == "mp4" and picture is None else {}
    opened = av.open(file, "w", format=muxer, container_options=timing | brand)
    with closing(cast(OutputContainer, opened)) as container, ThreadPoolExecutor(len(tracks)) as threads:
        container.metadata.update(texts_for(muxer, tags))
        film = _film(container, picture) if picture else None
        sounds = [_sound(container, title, to_rate, first=not number) for number, title in enumerate(tracks)]
        if tags.cover is not None and picture is None and muxer == "mp4":
            add_cover(container, tags.cover)
        start = 0 if picture is None else round(picture.sound_starts_at * to_rate)
        encoders = [_Encoder(sound, Resampler(rate, to_rate), start) for sound in sounds]
        streams = [even(blocks) for blocks in tracks.values()]  # so that they stay in step
        for blocks in zip_longest(*streams, fillvalue=_NOTHING):
            for packets in threads.map(_Encoder.encode, encoders, blocks):
                container.mux(packets)
            if picture and film:
                _copy(picture, film, container, until=Fraction(encoders[0].position, to_rate))
        for packets in threads.map(_Encoder.finish, encoders):
            container.mux(packets)
        if picture and film:
            _copy(picture, film, container, until=None)
    if muxer == "mp4":
        add_named_tags(file, tags)


class _Encoder:
    def __init__(self, stream: AudioStream, resampler: Resampler, start: int) -> None:
        self._stream, self._resampler, self.position = stream, resampler, start

    def encode(self, block: Samples) -> list[Packet]:
        return self._encoded(self._resampler.push(block))

    def finish(self) -> list[Packet]:
        return self._encoded(self._resampler.finish()) + self._stream.encode(None)

    def _encoded(self, block: Samples) -> list[Packet]:
        if not block.shape[1]:
            return []
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block, np.float32), format="fltp", layout="stereo")
        rate = self._resampler.to_rate
        frame.sample_rate, frame.pts, frame.time_base = rate, self.position, Fraction(1, rate)
        self.position += block.shape[1]
        return self._stream.encode(frame)


def _sound(container: OutputContainer, title: str, rate: int, *, first: bool) -> AudioStream:
    stream = cast(AudioStream, container.add_stream("aac", rate=rate, options=dict(FORMATS["m4a"].codec_options)))
    stream.layout, stream.format, stream.bit_rate = "stereo", "fltp", KBPS * 1000
    stream.metadata.update({"title": title, "handler_name": title})
    stream.disposition = Disposition.default if first else Disposition(0)
    return stream


def _film(container: OutputContainer, picture: Picture) -> VideoStream:
    film = container.add_stream_from_template(picture.stream, opaque=True)
    film.metadata.update(picture.stream.metadata)
    film.disposition = Disposition.default
    return cast(VideoStream, film)


def _copy(picture: Picture, film: VideoStream, container: OutputContainer, *, until: Fraction | None) -> None:
    """Copies the packets that belong before a second of the film: both have to arrive in step."""
    for packet in picture.packets(until):
        packet.stream = film
        container.mux(packet)


def summed(parts: Sequence[Iterable[Samples]]) -> Iterator[Samples]:
    """The sum of sounds that are equally long."""
    for blocks in zip(*map(even, parts), strict=True):
        yield np.asarray(np.sum(blocks, axis=0), np.float32)
