"""The net we ship: masks that sum to one, at any level, for any number of frames."""

from dataclasses import replace

import pytest
import torch

from stemwright.nets.bandsplit import STEMS, BandSplit, BandSplitConfig, two_level_softmax
from stemwright.nets.layers import shift

SMALL = BandSplitConfig(width=16, head=8, expansion=2, squeezed=2, hidden=8, dilations=(1, 2))
DETAILED = replace(SMALL, details=4, learned=3)


@pytest.fixture(scope="module", params=[SMALL, DETAILED], ids=["plain", "details"])
def net(request: pytest.FixtureRequest) -> BandSplit:
    torch.manual_seed(0)
    net = BandSplit(request.param).eval()
    if request.param.details:
        torch.nn.init.normal_(net.learned.weight, std=0.2)  # it begins at zero, which would hide what it adds
    return net


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_masks_sum_to_one(net: BandSplit, frames: int) -> None:
    masks = net(torch.randn(2, 2, frames, 2049, 2) * 30)
    assert masks.shape == (2, len(STEMS), 2, frames, len(SMALL.first_bins))
    torch.testing.assert_close(masks.sum(1), torch.ones_like(masks[:, 0]))


def test_level_does_not_matter(net: BandSplit) -> None:
    spectrum = torch.randn(1, 2, 8, 2049, 2)
    torch.testing.assert_close(net(spectrum * 4), net(spectrum), atol=1e-4, rtol=1e-3)


def test_silence_is_no_special_case(net: BandSplit) -> None:
    assert net(torch.zeros(1, 2, 4, 2049, 2)).isfinite().all()


def test_learned_cues_begin_at_nothing_and_reach_the_masks() -> None:
    net, spectrum = BandSplit(DETAILED).eval(), torch.randn(1, 2, 5, 2049, 2)
    before = net(spectrum)
    torch.nn.init.normal_(net.details.leave.weight)
    torch.testing.assert_close(net(spectrum), before)
    torch.nn.init.normal_(net.learned.weight)
    assert (net(spectrum) - before).abs().max() > 0.01


def test_members_of_a_family_share_it() -> None:
    logits = torch.randn(3, 15)
    masks, families = two_level_softmax(logits), logits[:, :4].softmax(-1)
    torch.testing.assert_close(masks[:, [0, 1]].sum(-1), families[:, 0])
    torch.testing.assert_close(masks[:, STEMS.index("bass")], families[:, 2])
    torch.testing.assert_close(masks[:, [2, 9]].sum(-1), families[:, 1])


def test_shift_fills_with_zeros() -> None:
    x = torch.arange(1.0, 4.0)[None, None, :, None]
    assert shift(x, 2, 1).flatten().tolist() == [0, 1, 2]
    assert shift(x, 2, -2).flatten().tolist() == [3, 0, 0]
    assert shift(x, 2, 9).flatten().tolist() == [0, 0, 0]
