"""Downmixing and resampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemwright.audio.signal import Audio, Resampler, downmix, downmix_matrix, resampled_length
from tests.audio.sounds import lag, noise, snr_db

HALF = np.sqrt(0.5)
RATES = st.sampled_from([8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000])


def test_mono_goes_to_both_sides_whole() -> None:
    samples = noise(100)[:1]
    assert np.array_equal(downmix(samples), np.concatenate([samples, samples]))


def test_stereo_is_left_alone() -> None:
    samples = noise(100)
    assert downmix(samples, ("FL", "FR")) is samples


def test_surround_has_the_itu_coefficients_scaled_so_that_it_cannot_clip() -> None:
    matrix = downmix_matrix(("FL", "FR", "FC", "LFE", "SL", "SR"))
    left = np.array([1, 0, HALF, 0, HALF, 0]) / (1 + 2 * HALF)
    right = np.array([0, 1, HALF, 0, 0, HALF]) / (1 + 2 * HALF)
    assert np.allclose(matrix, [left, right])


def test_what_cannot_clip_is_turned_neither_down_nor_up() -> None:
    assert np.allclose(downmix_matrix(("BL", "BR")), HALF * np.eye(2))


def test_the_only_surround_goes_to_both_sides_at_minus_3_db() -> None:
    assert np.allclose(downmix_matrix(("FL", "FR", "FC", "BC"))[:, 3], HALF / (1 + 2 * HALF))


@pytest.mark.parametrize("channels", range(3, 17))
def test_no_unnamed_layout_can_clip_or_lose_all(channels: int) -> None:
    stereo = downmix(np.ones((channels, 10), np.float32))
    assert stereo.shape == (2, 10)
    assert np.allclose(stereo.max(), 1.0)


def test_names_that_nobody_knows_fall_back_to_the_usual_order() -> None:
    samples = noise(50)
    assert np.array_equal(downmix(samples, ("?", "?")), samples)


@settings(deadline=None, max_examples=50)
@given(length=st.integers(1, 10**9), low=RATES, high=RATES)
def test_going_up_and_back_down_gives_the_same_length(length: int, low: int, high: int) -> None:
    low, high = min(low, high), max(low, high)
    assert resampled_length(resampled_length(length, low, high), high, low) == length


@settings(deadline=None, max_examples=30)
@given(length=st.integers(1, 20_000), block=st.integers(300, 7000), rates=st.tuples(RATES, RATES))
def test_a_resampler_gives_exactly_the_length_it_should(length: int, block: int, rates: tuple[int, int]) -> None:
    resampler, silence = Resampler(*rates), np.zeros((2, length), np.float32)
    pieces = [resampler.push(silence[:, start : start + block]) for start in range(0, length, block)]
    given_length = sum(piece.shape[1] for piece in pieces) + resampler.finish().shape[1]
    assert given_length == resampler.given == resampled_length(length, *rates)


@pytest.mark.parametrize("block", [1000, 4096, 44100])
def test_the_size_of_blocks_does_not_change_what_a_resampler_gives(block: int) -> None:
    whole, samples = Resampler(44100, 48000), noise(50_000)
    expected = np.concatenate([whole.push(samples), whole.finish()], axis=1)
    parts = Resampler(44100, 48000)
    pieces = [parts.push(samples[:, start : start + block]) for start in range(0, 50_000, block)]
    assert np.allclose(np.concatenate([*pieces, parts.finish()], axis=1), expected, atol=1e-6)


def test_a_resampler_does_not_shift() -> None:
    low = Resampler(44100, 48000)
    t = np.arange(44100) / 44100
    chirp = np.sin(2 * np.pi * (100 + 4000 * t) * t).astype(np.float32)
    up = np.concatenate([low.push(np.stack([chirp, chirp])), low.finish()], axis=1)
    t = np.arange(48000) / 48000
    wanted = np.sin(2 * np.pi * (100 + 4000 * t) * t).astype(np.float32)[None]
    assert lag(up, wanted) == 0
    assert snr_db(up[:1, 1000:-1000], wanted[:, 1000:-1000]) > 90


def test_audio_knows_its_duration() -> None:
    assert Audio(np.zeros((2, 22050), np.float32), 44100).seconds == 0.5
