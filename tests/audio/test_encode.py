"""Files that go out: exact, whole or not at all, and the same whoever writes them."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from stemwright import errors
from stemwright.audio import encode, formats, parts
from tests.audio.sounds import RATE, lag, music, noise, read, snr_db, write

N = RATE + 777
LOSSLESS = [("wav", 16), ("wav", 24), ("wav", 32), ("flac", 16), ("flac", 24)]


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 96000])
@pytest.mark.parametrize("ending", ["mp3", "m4a", "opus"])
def test_lossy_files_come_back_unshifted_and_as_long_as_they_were(tmp_path: Path, ending: str, rate: int) -> None:
    samples = music(N, rate)
    path = write(tmp_path / f"a.{ending}", samples, rate=rate)
    found = read(path, rate=rate)
    file_rate = formats.format_named(ending).rate_for(rate)
    assert abs(found.shape[1] - N) <= (rate > file_rate)  # at half the rate an odd sample cannot be told
    assert lag(found, samples) == 0
    assert snr_db(found, samples) > 10


def test_an_m4a_keeps_what_its_sides_differ_in(tmp_path: Path) -> None:
    voice = music(N)[0]
    room = np.convolve(noise(N, seed=1, level=0.04)[0], np.ones(20, np.float32) / 20, "same")
    found = read(write(tmp_path / "a.m4a", np.stack([voice + room, voice - room])))
    assert snr_db(found[:1] - found[1:], 2 * room[None]) > 10


@pytest.mark.parametrize("n", [1, 2, 500, 575, 576, 577, 1151, 1152, 1153, 5000])
@pytest.mark.parametrize("ending", ["mp3", "m4a", "opus", "wav", "flac"])
def test_very_short_files_keep_their_length(tmp_path: Path, ending: str, n: int) -> None:
    path = write(tmp_path / f"a.{ending}", music(n, 48000), rate=48000)
    assert read(path).shape == (2, n)


@pytest.mark.parametrize(("ending", "bits"), LOSSLESS)
def test_lossless_files_are_exact_to_their_bits(tmp_path: Path, ending: str, bits: int) -> None:
    samples = music(N)
    found = read(write(tmp_path / f"a.{ending}", samples, bits=bits))
    assert found.shape == samples.shape
    assert np.abs(found - samples).max() <= (0 if bits == 32 else 0.51 / 2 ** (bits - 1))


@pytest.mark.parametrize("ending", ["mp3", "wav", "flac", "opus", "m4a"])
def test_the_size_of_blocks_does_not_change_the_file(tmp_path: Path, ending: str) -> None:
    a = read(write(tmp_path / f"a.{ending}", music(N), block=999))
    b = read(write(tmp_path / f"b.{ending}", music(N), block=N))
    assert np.abs(a - b).max() < 1e-4


def test_what_is_too_loud_for_integers_is_clipped_and_kept_in_floats(tmp_path: Path) -> None:
    loud = np.full((2, 1000), 1.5, np.float32)
    loud[1] = -2.0
    assert np.array_equal(read(write(tmp_path / "f.wav", loud, bits=32)), loud)
    found = read(write(tmp_path / "i.wav", loud))
    assert found[0, 0] == 32767 / 32768
    assert found[1, 0] == -1.0


def test_dither_turns_distortion_into_noise_and_is_the_same_each_time(tmp_path: Path) -> None:
    quiet = np.full((2, RATE), 0.3 / 32768, np.float32)
    for name in ("a.wav", "b.wav"):
        with encode.open_stem(tmp_path / name, rate=RATE, format=formats.Sound.of("wav"), seed=1) as writer:
            writer.write(quiet)
    found = read(tmp_path / "a.wav")
    assert abs(found.mean() * 32768 - 0.3) < 0.02
    assert not read(write(tmp_path / "plain.wav", quiet)).any()
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_nothing_has_the_files_name_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.flac"
    with encode.open_stem(path, rate=RATE, format="flac") as writer:
        writer.write(noise(9000))
        assert os.listdir(path.parent) == ["a.flac.part"]  # noqa: PTH208
    assert os.listdir(path.parent) == ["a.flac"]  # noqa: PTH208


@pytest.mark.parametrize("ending", list(formats.FORMATS))
def test_nothing_of_what_a_killed_run_left_is_in_the_file(tmp_path: Path, ending: str) -> None:
    fresh = write(tmp_path / f"a.{ending}", noise(9000)).stat().st_size
    (tmp_path / f"a.{ending}.part").write_bytes(b"half" * 100_000)
    assert write(tmp_path / f"a.{ending}", noise(9000)).stat().st_size == fresh


@pytest.mark.parametrize("ending", list(formats.FORMATS))
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing_and_spares_what_was_there(tmp_path: Path, ending: str, error: type) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"the old one")
    with (  # noqa: PT012
        pytest.raises(error),
        encode.open_stem(path, rate=RATE, format=ending) as writer,
    ):
        writer.write(noise(50_000))
        raise error
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(path.name, b"the old one")]


@pytest.mark.parametrize("ending", list(formats.FORMATS))
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    (tmp_path / f"a.{ending}.part").symlink_to("/dev/full")
    with pytest.raises(errors.DiskFull, match="The disk is full"):
        write(path, noise(20 * RATE))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_noticed_at_the_very_end_too(tmp_path: Path) -> None:
    (tmp_path / "a.flac.part").symlink_to("/dev/full")
    with pytest.raises(errors.DiskFull):
        write(tmp_path / "a.flac", noise(10))
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "a.wav").mkdir()
    for path in (tmp_path / "file" / "a.wav", tmp_path / "a.wav", Path("/proc/a.wav"), tmp_path / ("x" * 300)):
        with pytest.raises(errors.CannotWrite, match="could not be written"):
            encode.open_stem(path, rate=RATE, format="wav")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.wav", "file"]


def test_what_is_complete_waits_for_its_name(tmp_path: Path) -> None:
    with encode.open_stem(tmp_path / "a.wav", rate=RATE, format="wav") as writer:
        writer.write(noise(100))
        writer.complete()
        assert not writer.path.exists()
    assert read(writer.path).shape[1] == 100


@pytest.mark.parametrize("name", ["ogg", "", "-", "wav-x", "mp3-0320", "wav-１６", "wav-16f", "mp3-fast"])
def test_unknown_formats_name_those_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.UnknownFormat, match="Choose one of: mp3, wav, flac, opus, m4a"):
        encode.open_stem(tmp_path / "a", rate=RATE, format=name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wav-8", "wav cannot be written with 8 bits. Choose one of these bits: 16, 24, 32f"),
        ("flac-32f", "flac cannot be written with 32f bits"),
        ("mp3-100", "mp3 cannot be written with 100 kbit/s. Choose one of these kbit/s: 32, 40"),
        ("aac-600", "m4a cannot be written with 600 kbit/s. Choose from 32 to 512 kbit/s"),
        ("opus-5", "from 6 to 510"),
    ],
)
def test_numbers_that_a_format_does_not_have_are_told_with_those_it_has(name: str, words: str) -> None:
    with pytest.raises(errors.BadSound, match=words):
        formats.Sound.of(name)


def test_a_number_beside_a_format_that_names_another_is_refused() -> None:
    with pytest.raises(errors.BadSound, match="wav-24 cannot be written with 16"):
        formats.Sound.of("wav-24", bits=16)
    with pytest.raises(errors.BadSound, match="mp3 cannot be written with 16 bits"):
        formats.Sound.of("mp3-192", bits=16)
    assert formats.Sound.of("wav-24", bits=24).bits == 24


def test_a_lossy_format_has_no_bits_and_a_lossless_one_no_bitrate() -> None:
    with pytest.raises(errors.BadSound, match="mp3 cannot be written with 24 bits"):
        formats.Sound.of("mp3", bits=24)
    with pytest.raises(errors.BadSound, match="flac cannot be written with 192 kbit/s"):
        formats.Sound.of("flac", bitrate_kbps=192)


def test_a_closed_writer_says_so(tmp_path: Path) -> None:
    writer = encode.open_stem(tmp_path / "a.wav", rate=RATE, format="wav")
    writer.finish()
    with pytest.raises(errors.CannotWrite, match="closed already"):
        writer.write(noise(10))
    writer.discard()
    assert (tmp_path / "a.wav").exists()


def test_stems_written_side_by_side_are_as_if_written_one_by_one(tmp_path: Path) -> None:
    stems = {name: music(N, seed=seed) for seed, name in enumerate("abcd")}
    alone = [write(tmp_path / f"{name} alone.mp3", stem).read_bytes() for name, stem in stems.items()]
    with ThreadPoolExecutor(4) as pool:
        paths = [pool.submit(write, tmp_path / f"{name}.mp3", stem) for name, stem in stems.items()]
    assert [path.result().read_bytes() for path in paths] == alone


def test_quota_counts_as_a_full_disk(tmp_path: Path) -> None:
    assert isinstance(parts.write_error(tmp_path, OSError(errno.EDQUOT, "")), errors.DiskFull)
