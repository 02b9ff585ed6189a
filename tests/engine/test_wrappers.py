"""A separator whose stems are sums of another's."""

import numpy as np
from toys import Toy, halves, joined, noise

from stemwright.engine.chunks import over_time
from stemwright.engine.wrappers import grouped


def test_grouped_stems_still_sum_to_the_song() -> None:
    all_of_it = grouped(halves(), {"all": ("low", "high")})
    np.testing.assert_allclose(joined(over_time(all_of_it, [noise(100)])).sum(axis=0), noise(100), atol=1e-6)


def test_groups_are_sums_in_the_order_asked_for() -> None:
    net = Toy(lambda mix: [mix, mix * 2, mix * 4], stems=("a", "b", "c"))
    sums = grouped(net, {"c": ("c",), "ab": ("a", "b")})
    assert sums.stems == ("c", "ab")
    np.testing.assert_allclose(sums(noise(8)[None])[0, :, 0, 0] / noise(8)[0, 0], [4, 3], rtol=1e-6)
