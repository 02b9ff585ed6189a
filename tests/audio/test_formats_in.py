"""Every kind of file that comes in: nothing shifted, nothing lost, the sound itself."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.audio.sounds import RATE, lag, music, noise, read, snr_db, write_with_pyav

N = 2 * RATE + 777
STRICT = {"strict": "-2"}


class Kind(NamedTuple):
    name: str
    muxer: str
    codec: str
    excess: int = 0  # padding at the end that the container has no field for
    rate: int = RATE
    options: dict[str, str] = {}  # noqa: RUF012
    muxing: dict[str, str] = {}  # noqa: RUF012


LOSSLESS = [
    Kind("a.wav", "wav", "pcm_s16le"),
    Kind("24.wav", "wav", "pcm_s24le"),
    Kind("32.wav", "wav", "pcm_s32le"),
    Kind("f32.wav", "wav", "pcm_f32le"),
    Kind("f64.wav", "wav", "pcm_f64le"),
    Kind("a.flac", "flac", "flac"),
    Kind("a.oga", "ogg", "flac"),
    Kind("a.mka", "matroska", "flac"),
    Kind("a.aiff", "aiff", "pcm_s16be"),
    Kind("alac.m4a", "ipod", "alac"),
    Kind("a.mov", "mov", "pcm_s24be"),
    Kind("a.caf", "caf", "pcm_s16le"),
    Kind("a.au", "au", "pcm_s16be"),
]
LOSSY = [
    Kind("a.mp3", "mp3", "libmp3lame"),
    Kind("bare.mp3", "mp3", "libmp3lame", excess=1151, muxing={"write_xing": "0"}),
    Kind("a.m4a", "ipod", "aac"),
    Kind("a.mp4", "mp4", "aac"),
    Kind("a.mov", "mov", "aac"),
    Kind("fragments.mp4", "mp4", "aac", muxing={"movflags": "frag_keyframe+empty_moov"}),
    Kind("a.aac", "adts", "aac", excess=1023),
    Kind("a.mka", "matroska", "aac", excess=1023),
    Kind("a.ts", "mpegts", "aac", excess=1023),
    Kind("a.flv", "flv", "aac", excess=1023),
    Kind("a.ogg", "ogg", "vorbis", excess=1023, options=STRICT),
    Kind("vorbis.mkv", "matroska", "vorbis", excess=1023, options=STRICT),
    Kind("a.opus", "ogg", "libopus", rate=48000),
    Kind("a.webm", "webm", "libopus", rate=48000),
    Kind("opus.mp4", "mp4", "libopus", rate=48000),
    Kind("mp3.mkv", "matroska", "libmp3lame"),
    Kind("a.avi", "avi", "libmp3lame", excess=1151),
    Kind("a.wma", "asf", "wmav2", excess=2047, options={"b": "192000"}),
    Kind("1.wma", "asf", "wmav1", excess=2047, options={"b": "192000"}),
    Kind("a.ac3", "ac3", "ac3", excess=1535),
    Kind("a.mp2", "mp2", "mp2", excess=1151),
]


def made(folder: Path, kind: Kind, samples: np.ndarray) -> Path:
    codec_format = {"options": kind.options, "muxing": kind.muxing}
    return write_with_pyav(folder / kind.name, kind.muxer, kind.codec, samples, rate=kind.rate, **codec_format)


@pytest.mark.parametrize("kind", LOSSLESS, ids=lambda kind: kind.name)
def test_lossless_files_come_in_to_the_sample(tmp_path: Path, kind: Kind) -> None:
    samples = music(N)
    found = read(made(tmp_path, kind, samples))
    assert found.shape == samples.shape
    assert np.abs(found - samples).max() <= 1 / 32768


@pytest.mark.parametrize("kind", LOSSY, ids=lambda kind: f"{kind.muxer}-{kind.codec}-{kind.name}")
def test_lossy_files_come_in_without_a_shift(tmp_path: Path, kind: Kind) -> None:
    samples = music(N, kind.rate)
    found = read(made(tmp_path, kind, samples))
    assert lag(found, samples) == 0
    assert abs(found.shape[1] - N) <= kind.excess
    assert snr_db(found, samples) > 10


@pytest.mark.parametrize("kind", LOSSY[:1] + LOSSY[2:3] + LOSSY[12:13], ids=lambda kind: kind.name)
def test_a_click_stays_where_it_is(tmp_path: Path, kind: Kind) -> None:
    samples = np.zeros((2, N), np.float32)
    samples[:, 30_000] = 0.9
    found = read(made(tmp_path, kind, samples))
    assert int(np.abs(found[0]).argmax()) == 30_000


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_mulaw", "pcm_alaw"])
def test_coarse_samples_come_in_about_right(tmp_path: Path, codec: str) -> None:
    samples = noise(5000, level=0.2)
    found = read(write_with_pyav(tmp_path / "a.wav", "wav", codec, samples))
    assert found.shape == samples.shape
    assert snr_db(found, samples) > 25


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000, 192000])
def test_any_rate_comes_in_at_the_rate_asked_for(tmp_path: Path, rate: int) -> None:
    path = write_with_pyav(tmp_path / "a.flac", "flac", "flac", music(rate, rate), rate=rate)
    found = read(path, rate=RATE)
    assert found.shape == (2, RATE)
    assert lag(found, music(RATE, RATE)) == 0


@pytest.mark.parametrize("layout", ["mono", "2.1", "quad", "5.1", "7.1"])
def test_channels_are_mixed_by_their_names(tmp_path: Path, layout: str) -> None:
    channels = {"mono": 1, "2.1": 3, "quad": 4, "5.1": 6, "7.1": 8}[layout]
    samples = np.eye(channels, dtype=np.float32).repeat(100, axis=1)
    found = read(write_with_pyav(tmp_path / "a.wav", "wav", "pcm_f32le", samples, layout=layout))
    heard = found[:, 50::100].max(axis=0) > 0.2
    assert heard.tolist() == [name != "LFE" for name in LAYOUTS[layout]]
    assert np.abs(found.sum(axis=1) - found.sum() / 2).max() < 1e-3


LAYOUTS = {
    "mono": ["FC"],
    "2.1": ["FL", "FR", "LFE"],
    "quad": ["FL", "FR", "BL", "BR"],
    "5.1": ["FL", "FR", "FC", "LFE", "BL", "BR"],
    "7.1": ["FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"],
}


def test_the_sound_of_a_video_is_taken(tmp_path: Path) -> None:
    import av

    samples = music(N)
    source = write_with_pyav(tmp_path / "a.m4a", "ipod", "aac", samples)
    with av.open(str(source)) as sound, av.open(str(tmp_path / "v.mp4"), "w") as video:
        picture = video.add_stream("mpeg4", rate=10, width=32, height=32)
        track = video.add_stream_from_template(sound.streams.audio[0])
        for _ in range(20):
            video.mux(picture.encode(av.VideoFrame(32, 32, "yuv420p")))
        for packet in sound.demux(audio=0):
            if packet.size:
                packet.stream = track
                video.mux(packet)
        video.mux(picture.encode(None))
    found = read(tmp_path / "v.mp4")
    assert lag(found, samples) == 0
    assert snr_db(found, samples) > 10


@pytest.mark.parametrize(("muxer", "codec"), [("ogg", "flac"), ("adts", "aac")])
def test_a_stream_that_changes_its_rate_goes_on_at_the_first_one(tmp_path: Path, muxer: str, codec: str) -> None:
    parts = [write_with_pyav(tmp_path / f"{rate}", muxer, codec, music(N), rate=rate) for rate in (44100, 48000)]
    both = tmp_path / "both"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert abs(read(both).shape[1] - (N + N * 44100 / 48000)) <= 2048
