"""Levels while streaming, and the one gain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import cut, noise

from stemwright.engine.levels import Level, common_gain, to_db

RATE = 1000


def measured(song: np.ndarray, sizes: list[int] | None = None) -> Level:
    level = Level(RATE)
    for block in cut(song, sizes or [song.shape[1]]):
        level.add(block)
    return level


@given(st.integers(1, 3000), st.lists(st.integers(1, 900), min_size=1, max_size=3))
def test_how_a_stem_is_cut_does_not_matter(samples: int, sizes: list[int]) -> None:
    one, many = measured(noise(samples)), measured(noise(samples), sizes)
    assert one.peak == many.peak
    assert one.loudness_dbfs == pytest.approx(many.loudness_dbfs, abs=0.01)


@pytest.mark.parametrize("level_dbfs", [0, -20, -59])
def test_the_loudness_of_a_steady_sound_is_its_rms(level_dbfs: float) -> None:
    level = measured(np.full((2, 5000), 10 ** (level_dbfs / 20), np.float32))
    assert level.loudness_dbfs == pytest.approx(level_dbfs, abs=0.02)
    assert not level.is_silent


def test_one_hit_in_a_long_silence_is_not_silent() -> None:
    song = np.zeros((2, 600 * RATE), np.float32)
    song[:, 300_000:300_400] = 0.5
    assert measured(song).loudness_dbfs > -15


@pytest.mark.parametrize("song", [np.zeros((2, 5000)), np.full((2, 5000), 9e-4), np.full((2, 1), 9e-4)])
def test_below_minus_sixty_is_silent(song: np.ndarray) -> None:
    assert measured(song.astype(np.float32)).is_silent


def test_what_is_far_below_the_rest_does_not_count_and_what_is_quiet_does() -> None:
    def song(rest_dbfs: float) -> Level:
        return measured(np.repeat(np.array([0.1, 10 ** (rest_dbfs / 20)], np.float32), 4000)[None].repeat(2, axis=0))

    assert song(-80).loudness_dbfs == pytest.approx(-20, abs=0.02)
    assert song(-60).loudness_dbfs == pytest.approx(-23.01, abs=0.02)


def test_the_peak_is_that_of_either_side_of_zero() -> None:
    assert measured(np.array([[0.5, -2.0], [0.1, 0.0]], np.float32)).peak == 2.0


def test_a_single_loud_sample_is_a_song() -> None:
    assert not measured(np.ones((2, 1), np.float32)).is_silent


def test_the_gain_is_common_and_only_ever_turns_down() -> None:
    assert common_gain([0.1, 0.9]) == 1
    assert common_gain([0.1, 4.0]) == 0.25
    assert to_db(common_gain([])) == 0
