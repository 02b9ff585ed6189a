"""The stems sum to the mix."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from toys import noise

from stemwright.engine.consistency import sum_to_mix


def gap_dbfs(stems: np.ndarray, mix: np.ndarray) -> float:
    return 20 * np.log10(np.abs(stems.sum(axis=0) - mix).max() + 1e-12)


@given(samples=st.integers(1, 500), stems=st.integers(1, 12), seed=st.integers(0, 99))
def test_any_stems_end_up_summing_to_the_mix(samples: int, stems: int, seed: int) -> None:
    wrong = np.stack([noise(samples, seed + n) for n in range(stems)]) / stems
    assert gap_dbfs(sum_to_mix(wrong, noise(samples, seed)), noise(samples, seed)) < -90


def test_the_residual_goes_where_the_energy_is() -> None:
    stems = np.stack([np.full((2, 4), 0.9), np.full((2, 4), 0.1)]).astype(np.float32)
    shares = sum_to_mix(stems, np.full((2, 4), 1.082, np.float32)) - stems
    np.testing.assert_allclose(shares[0] / shares[1], 81, rtol=1e-3)


def test_what_no_stem_claims_is_shared_evenly() -> None:
    mix = noise(100)
    shared = sum_to_mix(np.zeros((4, 2, 100), np.float32), mix)
    np.testing.assert_allclose(shared, np.broadcast_to(mix / 4, shared.shape), atol=1e-6)


def test_stems_that_sum_already_are_left_alone() -> None:
    stems = np.stack([noise(100), noise(100, 1)])
    assert sum_to_mix(stems, stems.sum(axis=0)) is stems


def test_arguments_are_not_changed() -> None:
    stems, mix = np.stack([noise(100)]), noise(100, 1)
    before = stems.copy(), mix.copy()
    sum_to_mix(stems, mix)
    assert np.array_equal(before[0], stems)
    assert np.array_equal(before[1], mix)


def test_what_cannot_be_heard_claims_no_more_of_the_residual_than_silence() -> None:
    stems, mix = np.zeros((2, 2, 100), np.float32), np.full((2, 100), 0.5, np.float32)
    stems[0] = 1e-8
    assert np.abs(sum_to_mix(stems, mix) - 0.25).max() < 1e-4
