"""Peaks: never less than what is in the sound, in a file that says what it holds."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stemwright.audio.peaks import HOPS, Peaks, write_peaks
from tests.audio.sounds import read_peaks


def peaks_of(samples: np.ndarray, cuts: list[int] | None = None) -> Peaks:
    peaks = Peaks()
    for block in np.split(samples, sorted(cuts or []), axis=1):
        peaks.add(block)
    return peaks


def noise(length: int, loud: float = 0.9, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-loud, loud, (2, length)).astype(np.float32)


@given(length=st.integers(0, 3000), cuts=st.lists(st.integers(0, 3000), max_size=5))
def test_the_blocks_they_came_in_make_no_difference(length: int, cuts: list[int]) -> None:
    whole = noise(length)
    cut = peaks_of(whole, [min(cut, length) for cut in cuts])
    assert np.array_equal(cut.pairs(), peaks_of(whole).pairs())
    assert cut.length == length


def test_every_sample_lies_between_its_peaks_at_every_level(tmp_path: Path) -> None:
    lanes = [noise(100_003), noise(100_003, 0.01, seed=1)]
    write_peaks(tmp_path / "p", [peaks_of(lane) for lane in lanes], about={"rate": 44100}, gain=[1, 1])
    header, levels = read_peaks(tmp_path / "p")
    for hop, level in zip(HOPS, levels, strict=True):
        assert len(level) == -(-100_003 // hop)
        for n, lane in enumerate(lanes):
            low, high = (np.repeat(level[:, n, side] / 127 * header["peaks"][n], hop)[:100_003] for side in (0, 1))
            assert (lane >= low - 1e-4).all()
            assert (lane <= high + 1e-4).all()


def test_a_quiet_lane_is_drawn_as_finely_as_a_loud_one(tmp_path: Path) -> None:
    write_peaks(tmp_path / "p", [peaks_of(noise(5000, 0.001))], about={}, gain=[1])
    assert np.abs(read_peaks(tmp_path / "p")[1][0]).max() == 127


def test_the_header_tells_the_peaks_of_the_files_and_what_it_was_given(tmp_path: Path) -> None:
    write_peaks(tmp_path / "p", [peaks_of(noise(9000)), peaks_of(noise(9000))], about={"rate": 8000}, gain=[0.5, 1])
    header, _ = read_peaks(tmp_path / "p")
    assert header["rate"] == 8000
    assert np.allclose(header["peaks"], [0.45, 0.9], atol=1e-3)


def test_silence_is_a_line_and_an_empty_song_has_none(tmp_path: Path) -> None:
    write_peaks(tmp_path / "p", [peaks_of(np.zeros((2, 700), np.float32))], about={}, gain=[1])
    assert not read_peaks(tmp_path / "p")[1][2].any()
    write_peaks(tmp_path / "p", [Peaks()], about={}, gain=[1])
    assert [len(level) for level in read_peaks(tmp_path / "p")[1]] == [0, 0, 0]
