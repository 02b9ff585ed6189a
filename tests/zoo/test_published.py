"""Cards of public models: what is known of them, and what was measured."""

import pytest

from stemwright.zoo import published


def test_cards_of_one_size_of_net_tell_what_was_measured_of_it() -> None:
    kim, same, other = (published.published(name).measured for name in ("kim-mel-vocals", "becruily-inst", "duality-2"))
    assert kim == same != other == published.Measured()
    assert kim.real_time
    assert kim.memory_mb
    one, bag = (published.published(name).measured.real_time for name in ("htdemucs", "htdemucs-ft"))
    assert one
    assert bag == pytest.approx(one / 4, rel=0.1)
