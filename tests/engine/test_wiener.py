"""Masks behind the Wiener filter: nothing is lost or made up, and stems that stand apart are told apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stemwright.engine.wiener import Columns, Wiener

BINS, FRAMES = 33, 70
COLUMNS = Columns((0, 1, 2, 4, 8, 16), BINS)


def spectrum(seed: int, gains: tuple[float, float] = (1.0, 1.0)) -> NDArray[np.complex64]:
    """A source [2, frames, bins] that plays in half of its places, at one point between left and right."""
    chance = np.random.default_rng(seed)
    source = chance.standard_normal((2, FRAMES, BINS)) * (chance.random((FRAMES, BINS)) < 0.5)
    return (np.array(gains)[:, None, None] * (source[0] + 1j * source[1])).astype(np.complex64)


def masks(seed: int, stems: int = 3) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).random((stems, 2, FRAMES, 6), np.float32)
    return drawn / drawn.sum(axis=0)


def stem(wiener: Wiener, number: int) -> NDArray[np.complex64]:
    return np.stack([np.concatenate([block.copy() for _, block in wiener.blocks(number, side)]) for side in (0, 1)])


def test_a_column_covers_the_bins_up_to_the_next() -> None:
    assert COLUMNS.of_bins[[0, 1, 2, 3, 4, 7, 8, 15, 16, 32]].tolist() == [0, 1, 2, 2, 3, 3, 4, 4, 5, 5]


@given(st.integers(0, 99), st.tuples(st.floats(0, 1), st.floats(0, 1)), st.sampled_from([1e-6, 1.0, 1e3]))
def test_stems_sum_to_the_mix_wherever_it_stands(seed: int, gains: tuple[float, float], level: float) -> None:
    mix = np.float32(level) * (spectrum(seed, gains) + spectrum(seed + 1, (1.0, 0.5)))
    wiener = Wiener(masks(seed), mix, COLUMNS)
    np.testing.assert_allclose(sum(stem(wiener, number) for number in range(3)), mix, atol=1e-4 * level)


def test_silence_stays_silent() -> None:
    wiener = Wiener(masks(0), np.zeros((2, FRAMES, BINS), np.complex64), COLUMNS)
    assert not any(stem(wiener, number).any() for number in range(3))


@pytest.mark.parametrize("share", [0.0, 1e-30, 1e-14])
@pytest.mark.parametrize("level", [0.0, 1e-6, 1.0])
def test_a_stem_with_no_share_is_silent_and_spoils_no_other(share: float, level: float) -> None:
    mix, drawn = np.float32(level) * spectrum(0, (1.0, 0.3)), masks(0)
    drawn[0], drawn[1:] = share, drawn[1:] / drawn[1:].sum(axis=0)
    wiener = Wiener(drawn, mix, COLUMNS)
    assert np.abs(stem(wiener, 0)).max() <= 1e-12 * max(level, 1e-6)
    np.testing.assert_allclose(stem(wiener, 1) + stem(wiener, 2), mix, atol=1e-4 * level)


def test_in_mono_the_masks_have_the_last_word() -> None:
    mono, drawn = spectrum(0), masks(0)
    drawn[:, 1] = drawn[:, 0]
    expected = drawn[1][..., COLUMNS.of_bins] * mono
    np.testing.assert_allclose(stem(Wiener(drawn, mono, COLUMNS), 1), expected, atol=1e-3)


def test_sums_of_stems_are_what_their_stems_add_up_to() -> None:
    mix, drawn = spectrum(0, (1.0, 0.2)) + spectrum(1, (0.1, 1.0)), masks(0)
    each, summed = Wiener(drawn, mix, COLUMNS), Wiener(drawn, mix, COLUMNS, sums=[(0, 2), (1,)])
    np.testing.assert_allclose(stem(summed, 0), stem(each, 0) + stem(each, 2), atol=1e-4)


@pytest.mark.parametrize("place", [0.0, 0.3])
def test_what_masks_only_guess_is_told_apart_by_where_it_stands(place: float) -> None:
    """Two sources, one to the left and one to the right, and masks that say little more than which is louder."""
    sources = spectrum(0, (1.0, place)), spectrum(1, (place, 1.0))
    mix = sources[0] + sources[1]
    power = np.stack([COLUMNS.pooled((np.abs(source) ** 2).sum(axis=0)) for source in sources])
    guess = 0.3 + 0.4 * power / np.maximum(power.sum(axis=0), 1e-9)
    drawn = np.repeat(guess[:, None], 2, axis=1).astype(np.float32)
    plain = drawn[0][..., COLUMNS.of_bins] * mix
    found = stem(Wiener(drawn, mix, COLUMNS), 0)
    errors = [float(np.square(np.abs(sources[0] - each)).sum()) for each in (plain, found)]
    assert errors[1] < 0.8 * errors[0]
