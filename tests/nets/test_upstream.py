"""Our nets give the numbers that upstream's own code gave (bench/parity.py --pin)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from filled import BS, CASES, DEMUCS, MEL, SCNET, TDF, filled, tones  # noqa: E402

from stemwright.nets.precision import lowered  # noqa: E402

PINNED = json.loads((Path(__file__).parent / "upstream.json").read_text())


@pytest.mark.parametrize("name", CASES)
def test_forward_gives_upstreams_numbers(name: str) -> None:
    config, samples = CASES[name]
    with torch.inference_mode():
        found = filled(config)(tones(samples))[0, :, 1, 2000::3001]
    pinned = torch.tensor(PINNED[name])
    assert (found - pinned).norm() < 1e-5 * pinned.norm()


@pytest.mark.parametrize("config", [BS, MEL, DEMUCS], ids=["bs", "mel", "htdemucs"])
def test_a_batch_gives_what_its_songs_give_alone(config: object) -> None:
    net, mixes = filled(config), tones(22050, batch=2)
    with torch.inference_mode():
        together, alone = net(mixes), torch.cat([net(mixes[:1]), net(mixes[1:])])
    assert (together - alone).norm() < 1e-5 * alone.norm()


@pytest.mark.parametrize("config", [BS, MEL, DEMUCS], ids=["bs", "mel", "htdemucs"])
def test_length_is_kept(config: object) -> None:
    with torch.inference_mode():
        assert filled(config)(tones(10001)).shape[-2:] == (2, 10001)


def test_mel_bands_cover_every_bin_and_overlap() -> None:
    widths = [stop - start for start, stop in MEL.bands]
    assert {b for start, stop in MEL.bands for b in range(start, stop)} == set(range(1025))
    assert sum(widths) > 1025
    assert widths == sorted(widths) or widths[0] <= widths[-1]


WIDE = {"dim": 96, "depth": 1, "heads": 3, "dim_head": 32, "stems": 1}
HALVED = [replace(BS, **WIDE), replace(MEL, **WIDE), SCNET, TDF, DEMUCS]


@pytest.mark.parametrize("config", HALVED, ids=["bs", "mel", "scnet", "tfc_tdf", "htdemucs"])
def test_bf16_keeps_40_db(config: object) -> None:
    mix = tones(512 * 31)
    with torch.inference_mode():
        full, half = filled(config)(mix), lowered(filled(config), torch.bfloat16)(mix)
    assert half.dtype == torch.float32
    error = (half - full)[0].flatten(1).norm(dim=1)
    assert (error > 0).all()
    assert (20 * torch.log10(full[0].flatten(1).norm(dim=1) / error) > 40).all()


def test_only_the_parts_that_a_net_names_are_lowered() -> None:
    net = lowered(filled(TDF), torch.bfloat16)
    assert {name.split(".")[0] for name, value in net.named_parameters() if value.dtype == torch.bfloat16} == {
        "bottom",
        "ups",
        "decoders",
    }


def test_parts_in_half_and_in_full_precision_hand_over_to_each_other() -> None:
    deep = replace(TDF, levels=5, n_fft=1024, hop=512, bins=512)
    mix = tones(512 * 63)
    with torch.inference_mode():
        full, half = filled(deep)(mix), lowered(filled(deep), torch.bfloat16)(mix)
    assert 0 < (half - full).norm() < 0.02 * full.norm()
