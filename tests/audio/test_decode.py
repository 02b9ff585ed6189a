"""What may be opened, what the song says about itself, and that it streams."""

from __future__ import annotations

import io
import os
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stemwright import errors
from stemwright.audio import decode
from stemwright.audio.decode import Limits
from stemwright.audio.signal import Audio
from tests.audio.sounds import RATE, music, noise, read, write, write_with_pyav


def test_a_path_as_text_or_path_and_an_open_file_give_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(1000))
    with path.open("rb") as file:
        assert np.array_equal(read(str(path)), read(file))
        assert not file.closed
    assert np.array_equal(read(path), read(io.BytesIO(path.read_bytes())))


def test_a_file_object_is_read_from_its_start(tmp_path: Path) -> None:
    file = io.BytesIO(write(tmp_path / "a.flac", noise(1000)).read_bytes())
    file.seek(500)
    assert read(file).shape == (2, 1000)


@pytest.mark.parametrize("ending", ["wav", "m4a"])
def test_a_pipe_is_read_to_its_end_even_if_its_index_comes_last(tmp_path: Path, ending: str) -> None:
    content = write(tmp_path / f"a.{ending}", music(20_000)).read_bytes()
    reading, writing = os.pipe()

    def feed() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(content)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with os.fdopen(reading, "rb") as pipe:
        assert read(pipe).shape == (2, 20_000)
    feeder.join()


def test_a_header_is_read_within_its_limits_and_the_sound_is_not(tmp_path: Path) -> None:
    heard: list[str] = []

    @contextmanager
    def header() -> Iterator[None]:
        heard.append("begins")
        yield
        heard.append("ends")

    soundfile.write(tmp_path / "a.wav", np.zeros((9, 2)), RATE)
    with decode.open_song(tmp_path / "a.wav", limits=decode.Limits(header=header)) as song:
        assert heard == ["begins", "ends"]
        assert sum(block.shape[1] for block in song.blocks()) == 9
    assert heard == ["begins", "ends"]


def test_arrays_come_in_as_they_are() -> None:
    samples = noise(70_000)
    assert np.array_equal(read(Audio(samples, RATE)), samples)
    assert read(Audio(samples, RATE), rate=22050).shape == (2, 35_000)


def test_a_flat_array_is_mono_and_integers_are_scaled() -> None:
    whole = np.array([-32768, 0, 16384], np.int16)
    found = read(Audio(whole, RATE))  # pyright: ignore[reportArgumentType]
    assert np.array_equal(found, [[-1.0, 0.0, 0.5]] * 2)
    unsigned = np.array([0, 128, 192], np.uint8)
    assert np.array_equal(read(Audio(unsigned, RATE)), found)  # pyright: ignore[reportArgumentType]


def test_floats_at_the_scale_of_integers_are_still_a_song() -> None:
    loud = noise(RATE) * np.float32(2.0**30)
    assert np.array_equal(read(Audio(loud, RATE)), loud)


@pytest.mark.parametrize("kind", [float, np.int64])
def test_a_rate_is_a_whole_number_whatever_its_type(kind: type) -> None:
    with decode.open_song(Audio(noise(RATE), kind(RATE)), rate=kind(RATE)) as song:
        list(song.blocks())
        assert [type(rate) for rate in (song.rate, song.source_rate)] == [int, int]


@pytest.mark.parametrize(
    "array",
    [np.zeros((RATE, 2)), np.zeros((2, 2, 2)), np.zeros((2, 9), complex), np.zeros((0, 9)), np.zeros((2, 9), int)],
)
def test_arrays_of_another_shape_or_type_are_refused(array: np.ndarray) -> None:
    with pytest.raises(errors.BadSamples):
        read(Audio(array, RATE))


@pytest.mark.parametrize("rate", [-1, 0, 10, 10**9])
def test_rates_that_no_sound_has_are_refused(rate: int) -> None:
    with pytest.raises(errors.BadRate):
        read(Audio(noise(10), RATE), rate=rate)
    with pytest.raises(errors.BadSamples):
        read(Audio(noise(10), rate))


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(1, 30_000),
    rate=st.sampled_from([8000, 22050, 44100, 48000, 96000]),
    ending=st.sampled_from(["wav", "flac"]),
)
def test_lossless_lengths_are_exact_for_any_length_and_rate(tmp_path: Path, n: int, rate: int, ending: str) -> None:
    path = write(tmp_path / f"a.{ending}", noise(n), rate=rate)
    with decode.open_song(path) as song:
        assert (song.length_hint, song.rate) == (n, rate)
        assert sum(block.shape[1] for block in song.blocks()) == n == song.length == song.source_length


def test_a_single_sample_survives_any_rate(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.full((2, 1), 0.5, np.float32))
    assert np.array_equal(read(path), np.full((2, 1), 0.5))
    assert read(path, rate=48000).shape == read(path, rate=8000).shape == (2, 1)


def test_the_song_tells_its_rate_and_duration(tmp_path: Path) -> None:
    samples = np.zeros((6, 48000), np.float32)
    path = write_with_pyav(tmp_path / "a.wav", "wav", "pcm_f32le", samples, rate=48000, layout="5.1")
    with decode.open_song(path, rate=44100) as song:
        assert (song.rate, song.source_rate) == (44100, 48000)
        assert song.length_hint == 44100
        assert song.seconds_hint == 1.0


def test_blocks_are_streamed_and_memory_stays_flat(tmp_path: Path) -> None:
    def peak(seconds: int) -> int:
        path = write(tmp_path / f"{seconds}.flac", np.zeros((2, seconds * RATE), np.float32))
        tracemalloc.start()
        with decode.open_song(path, rate=48000) as song:
            assert max(block.shape[1] for block in song.blocks()) < 2 * 48000
        return (tracemalloc.get_traced_memory()[1], tracemalloc.stop())[0]

    peak(5)
    assert peak(60) < 1.2 * peak(15)


def test_leaving_the_song_closes_its_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", music(5000))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        with decode.open_song(path) as song:
            next(song.blocks())
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


class _SlowFile(io.BytesIO):
    """Its reads wait for `go_on`, once `is_slow`; `reading` is set while one waits."""

    is_slow = False

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.reading, self.go_on = threading.Event(), threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        if self.is_slow:
            self.reading.set()
            self.go_on.wait(60)
        return super().read(size)


def test_a_song_is_not_closed_under_the_thread_that_reads_it(tmp_path: Path) -> None:
    file = _SlowFile(write(tmp_path / "a.wav", noise(20 * RATE)).read_bytes())
    song = decode.open_song(file)
    file.is_slow = True
    faults: list[Exception] = []

    def hear() -> None:
        try:
            list(song.blocks())
        except errors.CannotRead as fault:
            faults.append(fault)

    hearing, closing = threading.Thread(target=hear), threading.Thread(target=song.close)
    hearing.start()
    assert file.reading.wait(60)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive()
    file.go_on.set()
    closing.join(60)
    hearing.join(60)
    assert not closing.is_alive()
    assert "closed before its end" in str(faults[0])


def test_too_long_is_known_from_the_header_before_anything_is_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", np.zeros((2, 10 * RATE), np.float32))
    with pytest.raises(errors.TooLong, match="limit of 5 s"):
        decode.open_song(path, limits=Limits(max_seconds=5))


def test_too_long_is_noticed_on_the_way_when_the_header_does_not_tell(tmp_path: Path) -> None:
    silence = np.zeros((2, 20 * RATE), np.float32)
    path = write_with_pyav(tmp_path / "a.aac", "adts", "aac", silence)
    with decode.open_song(path, limits=Limits(max_seconds=5)) as song:
        assert song.length_hint is None
        with pytest.raises(errors.TooLong):
            list(song.blocks())
        assert song.length < 8 * RATE


def test_a_song_as_long_as_the_limit_is_not_too_long(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.zeros((2, 5 * RATE), np.float32))
    with decode.open_song(path, limits=Limits(max_seconds=5)) as song:
        assert sum(block.shape[1] for block in song.blocks()) == 5 * RATE


@pytest.mark.parametrize("as_pipe", [False, True])
def test_too_large_files_are_refused_unread(tmp_path: Path, as_pipe: bool) -> None:
    path = write(tmp_path / "a.wav", noise(10_000))
    source = Pipe(path.read_bytes()) if as_pipe else path
    with pytest.raises(errors.TooLarge):
        decode.open_song(source, limits=Limits(max_bytes=1000))


class Pipe(io.BytesIO):
    """A stream that cannot seek."""

    def seekable(self) -> bool:
        return False
