"""The loss: its fused kernel equals plain torch, and its parabola equals the error of a mask on a spectrum."""

import numpy as np
import pytest
import torch

from stemwright.nets.bandsplit import LOGITS, STEMS, BandSplit
from stemwright.train.learning.batches import Drawer, Example, Sizes, spectra
from stemwright.train.learning.kernels import CENTRE_SCALE, SOFTNESS, SPREAD_SCALE
from stemwright.train.learning.losses import FusedLoss, separation_loss, zone_loss
from stemwright.train.learning.progress import zone_features
from stemwright.train.learning.songs import PARTS, complete_songs
from stemwright.train.learning.targets import TargetMaker, Targets
from tests.train.examples import SMALL, write_data, write_song

SIZES = Sizes(2, 6)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Example], Targets]:
    songs = complete_songs(write_data(tmp_path_factory.mktemp("data")) / "train")
    examples, out = Drawer(songs, SIZES).batch(1, 0), Targets.empty(SIZES, SMALL)
    TargetMaker(SIZES, SMALL).fill(examples, out)
    return examples, out


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Example], Targets]:
    """Of a song whose voices are one, and whose drums and guitar are told from the rest."""
    folder = tmp_path_factory.mktemp("coarse")
    write_song(folder / "a", {"all_vocals": 0.1, "drums": 0.1, "percussion": 0.05, "guitar": 0.1, "rest": 0.1})
    drawer, out = Drawer(complete_songs(folder), SIZES), Targets.empty(SIZES, SMALL)
    steps = (drawer.batch(1, step) for step in range(100))
    examples = next(batch for batch in steps if all(len(example.parts) == 5 for example in batch))
    TargetMaker(SIZES, SMALL).fill(examples, out)
    return examples, out


@pytest.fixture(scope="module")
def accompanied(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Example], Targets]:
    """Voices before a recording of which nothing else is known, and a recording without a voice."""
    folder = tmp_path_factory.mktemp("accompanied")
    write_song(folder / "a", {"vocals": 0.1, "backing_vocals": 0.05, "accompaniment": 0.2})
    drawer, out = Drawer(complete_songs(folder), SIZES), Targets.empty(SIZES, SMALL)
    drawn = [drawer.example(np.random.default_rng(seed)) for seed in range(200)]
    whole = PARTS.index("accompaniment")
    sung = next(one for one in drawn if {part.stem for part in one.parts} == {0, STEMS.index("backing_vocals"), whole})
    examples = [sung, next(one for one in drawn if [part.stem for part in one.parts] == [whole])]
    TargetMaker(SIZES, SMALL).fill(examples, out)
    return examples, out


def test_of_an_accompaniment_nothing_is_taught_but_that_it_is_no_voice(
    accompanied: tuple[list[Example], Targets],
) -> None:
    targets = {name: torch.from_numpy(array) for name, array in vars(accompanied[1]).items()}
    known = targets["source_weight"] > 0
    assert [PARTS[place] for place in torch.nonzero(known[0]).flatten()] == ["vocals", "backing_vocals", "all_vocals"]
    zone = SMALL.zones[0]
    logits = torch.zeros(zone.bands, 2, SIZES.frames, 2, LOGITS, zone.columns, requires_grad=True)
    (gradient,) = torch.autograd.grad(FusedLoss.apply(logits, 0, targets), logits)
    voices, *others = gradient.unbind(4)[:4]  # of equal masks: the three families that are no voice are moved alike
    for other in others:
        torch.testing.assert_close(other, -voices / 3, atol=1e-6 * float(voices.abs().max()), rtol=1e-3)
    assert gradient[..., 6:, :].abs().max() < 1e-6 * voices.abs().max()
    assert (voices[:, 1] >= 0).all()  # where nobody sings the share of the voices falls


def test_of_a_sum_its_family_alone_is_taught(coarse: tuple[list[Example], Targets]) -> None:
    known = coarse[1].source_weight[0] > 0
    assert [stem for stem in STEMS if known[STEMS.index(stem)]] == ["drums", "bass", "guitar", "percussion"]
    assert known[len(STEMS) :].all()
    targets = {name: torch.from_numpy(array) for name, array in vars(coarse[1]).items()}
    zone = SMALL.zones[0]
    logits = torch.randn(zone.bands, 2, SIZES.frames, 2, LOGITS, zone.columns, requires_grad=True)
    (gradient,) = torch.autograd.grad(FusedLoss.apply(logits, 0, targets), logits)
    size = gradient.abs().amax((0, 1, 2, 3, 5))
    voices, drums = size[4:6], size[6:8]  # in the order of FAMILIES: their four logits, then those of their stems
    assert voices.max() < 1e-6 * size.max()
    assert min(drums.min(), size[:4].min()) > 1e-3 * size.max()


@pytest.mark.parametrize("kind", ["filled", "coarse", "accompanied"])
def test_fused_gradient_equals_torch(kind: str, request: pytest.FixtureRequest) -> None:
    made: tuple[list[Example], Targets] = request.getfixturevalue(kind)
    targets = {name: torch.from_numpy(array) for name, array in vars(made[1]).items()}
    torch.manual_seed(0)
    first = 0
    for zone in SMALL.zones:
        logits = torch.randn(zone.bands, 2, SIZES.frames, 2, LOGITS, zone.columns, requires_grad=True)
        losses = FusedLoss.apply(logits, first, targets), zone_loss(logits, first, targets)
        fused, plain = (torch.autograd.grad(loss, logits)[0] for loss in losses)
        torch.testing.assert_close(losses[0], losses[1])
        torch.testing.assert_close(fused, plain, atol=1e-5 * float(plain.abs().max()), rtol=1e-3)
        first += zone.bands * zone.columns


def test_parabola_is_the_error_of_a_mask(filled: tuple[list[Example], Targets]) -> None:
    (example, *_), targets = filled
    parts = spectra(example.parts, SIZES) * np.stack([part.gains for part in example.parts])[:, None, None]
    bins, mask = slice(SMALL.first_bins[-1], 2048), 0.3
    mix, own = parts.sum(0)[..., bins], parts[0, ..., bins]
    expected = (np.abs(mask * mix - own) ** 2).sum(-1) / (np.abs(mix) ** 2).sum(-1)
    stem = example.parts[0].stem
    centre = targets.centre[0, :, :, stem, -1] / CENTRE_SCALE
    spread = targets.spread[0, :, :, stem, -1] / SPREAD_SCALE
    np.testing.assert_allclose(expected.T, (mask - centre) ** 2 + spread - SOFTNESS, atol=2e-3)


def test_features_are_those_of_the_net(filled: tuple[list[Example], Targets]) -> None:
    (example, *_), targets = filled
    parts = spectra(example.parts, SIZES) * np.stack([part.gains for part in example.parts])[:, None, None]
    mix = parts.sum(0) * example.frame_gains[:, None]
    net = BandSplit(SMALL)
    expected = net.features(torch.view_as_real(torch.from_numpy(mix))[None])
    found = zone_features(torch.from_numpy(targets.features[:1]), net)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_sound_in_an_absent_stem_costs(filled: tuple[list[Example], Targets]) -> None:
    targets = {name: torch.from_numpy(array) for name, array in vars(filled[1]).items()}
    shapes = [(z.bands, 2, SIZES.frames, 2, LOGITS, z.columns) for z in SMALL.zones]
    even, louder = [torch.zeros(shape) for shape in shapes], [torch.zeros(shape) for shape in shapes]
    for logits in louder:
        logits[..., 4 + 2 + 4, :] = 3.0
    assert STEMS[7] == "brass"
    assert separation_loss(louder, SMALL.zones, targets) > separation_loss(even, SMALL.zones, targets)
