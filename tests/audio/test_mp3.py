"""The mp3 files of our own making: what players read in them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from stemwright.audio import mp3
from stemwright.audio.id3 import id3
from stemwright.audio.tags import NO_TAGS, Tags
from tests.audio.sounds import RATE, lag, music, read, snr_db, write, write_with_pyav


def encoded(path: Path, n: int, *, rate: int = RATE, kbps: int = 320) -> bytes:
    with path.open("wb") as file:
        encoder = mp3.Mp3Encoder(file, rate=rate, kbps=kbps)
        encoder.encode(music(n, rate))
        encoder.close()
    return path.read_bytes()


@pytest.mark.parametrize("rate", mp3.RATES)
@pytest.mark.parametrize("kbps", [32, 64, 128, 320])
def test_the_info_frame_counts_what_follows_it(tmp_path: Path, rate: int, kbps: int) -> None:
    content = encoded(tmp_path / "a.mp3", 30_000, rate=rate, kbps=kbps)
    assert content[36:40] == b"Info"
    frames, size = (int.from_bytes(content[at : at + 4], "big") for at in (44, 48))
    assert size == len(content)
    delay_and_padding = int.from_bytes(content[177:180], "big")
    assert frames * mp3.FRAME == (delay_and_padding >> 12) + 30_000 + (delay_and_padding & 0xFFF)
    with av.open(str(tmp_path / "a.mp3")) as container:
        assert sum(packet.size > 0 for packet in container.demux()) == frames


@pytest.mark.parametrize("kbps", [32, 96, 192, 320])
def test_any_bit_rate_keeps_length_and_place(tmp_path: Path, kbps: int) -> None:
    encoded(tmp_path / "a.mp3", 50_000, kbps=kbps)
    found = read(tmp_path / "a.mp3")
    assert found.shape == (2, 50_000)
    assert lag(found, music(50_000)) == 0


@pytest.mark.parametrize(
    "rate", [1000, 4000, 8000, 11025, 12000, 16000, 22050, 24000, 37800, 50000, 64000, 96000, 192000]
)
def test_a_song_of_any_rate_becomes_an_mp3_of_its_length(tmp_path: Path, rate: int) -> None:
    n = rate // 2 + 77
    samples = music(n, rate, tones=[part * min(rate, RATE) for part in (0.03, 0.1, 0.2)])
    path = write(tmp_path / "a.mp3", samples, rate=rate)
    info = soundfile.info(path)  # libsndfile's own reader
    assert info.samplerate in mp3.RATES
    assert abs(info.frames - n * info.samplerate / rate) <= 0.5
    found = read(path, rate=rate)[:, :n]
    assert lag(found, samples) == 0
    assert snr_db(found, samples[:, : found.shape[1]]) > 10


def test_full_scale_and_beyond_is_clipped_and_does_not_turn_over(tmp_path: Path) -> None:
    loud = music(RATE)
    loud *= 2 / np.abs(loud).max()
    assert snr_db(read(write(tmp_path / "a.mp3", loud)), loud.clip(-1, 1)) > 20


def test_the_tags_checksum_is_that_of_the_tag(tmp_path: Path) -> None:
    content = encoded(tmp_path / "a.mp3", 5000)
    assert mp3.crc16(content[:190]) == int.from_bytes(content[190:192], "big")
    assert mp3.crc16(b"123456789") == 0xBB3D  # CRC-16/ARC's check value


def test_it_sounds_as_good_as_ffmpegs_own(tmp_path: Path) -> None:
    samples = music(3 * RATE)
    ours = read(write(tmp_path / "ours.mp3", samples))
    theirs = read(write_with_pyav(tmp_path / "theirs.mp3", "mp3", "libmp3lame", samples, options={"b": "320000"}))
    assert snr_db(ours, samples) > snr_db(theirs, samples) - 1


def test_no_tags_no_id3() -> None:
    assert id3(NO_TAGS) == b""
    assert id3(Tags({"title": "x"})).startswith(b"ID3\x03")
