"""Separators made of separators keep the laws of separators."""

import numpy as np
import pytest
from toys import Toy, halves, joined, noise, wrong_near_borders

from stemwright.engine.chunks import over_time
from stemwright.engine.wrappers import Cascade, Ensemble, Shifted, grouped


def mix_of(separator: object, samples: int = 100) -> np.ndarray:
    return joined(over_time(separator, [noise(samples)])).sum(axis=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "separator",
    [
        Ensemble([halves(), wrong_near_borders()], [1, 3]),
        Shifted(halves(), (0, 3)),
        Cascade(halves(), "high", Toy(lambda mix: [mix * 0.5, mix * 0.5], stems=("high a", "high b"))),
        grouped(halves(), {"all": ("low", "high")}),
    ],
    ids=lambda s: type(s).__name__,
)
def test_wrapped_stems_still_sum_to_the_song(separator: object) -> None:
    np.testing.assert_allclose(mix_of(separator), noise(100), atol=1e-6)


def test_an_ensemble_is_the_weighted_mean() -> None:
    one, two = Toy(lambda mix: [mix]), Toy(lambda mix: [mix * 3])
    answer = Ensemble([one, two], [3, 1])(noise(8)[None])
    np.testing.assert_allclose(answer[0, 0], noise(8) * 1.5, rtol=1e-6)


def test_a_cascade_replaces_a_stem_by_its_parts() -> None:
    second = Toy(lambda mix: [mix * 0.25, mix * 0.75], stems=("left", "right"))
    both = Cascade(halves(), "low", second)
    assert both.stems == ("high", "left", "right")
    np.testing.assert_allclose(both(noise(8)[None])[0, 2], noise(8) * 0.3 * 0.75, rtol=1e-5)


def test_a_shift_averages_out_what_depends_on_framing() -> None:
    def error(separator: object) -> float:
        stems = joined(over_time(separator, [np.ones((2, 400), np.float32)]))  # type: ignore[arg-type]
        return float(np.abs(stems[0] - stems[0].mean()).mean())

    net = wrong_near_borders(segment=64, hop=64)
    assert error(Shifted(net, (0, 16, 32))) < error(net)


def test_groups_are_sums_in_the_order_asked_for() -> None:
    net = Toy(lambda mix: [mix, mix * 2, mix * 4], stems=("a", "b", "c"))
    sums = grouped(net, {"c": ("c",), "ab": ("a", "b")})
    assert sums.stems == ("c", "ab")
    np.testing.assert_allclose(sums(noise(8)[None])[0, :, 0, 0] / noise(8)[0, 0], [4, 3], rtol=1e-6)


def test_separators_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="different sizes"):
        Ensemble([halves(), halves(segment=16)])
