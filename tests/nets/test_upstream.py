"""Our nets give the numbers that upstream's own code gave (bench/parity.py --pin)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from filled import BS, CASES, DEMUCS, MEL, filled, tones  # noqa: E402

from stemwright.nets.dense import lowered  # noqa: E402
from stemwright.nets.roformer import RoformerConfig  # noqa: E402

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


@pytest.mark.parametrize("config", [BS, MEL], ids=["bs", "mel"])
def test_half_precision_keeps_40_db_with_the_residual_in_fp32(config: RoformerConfig) -> None:
    mix, wide = tones(11025), replace(config, dim=96, depth=1, heads=3, dim_head=32, stems=1)
    with torch.inference_mode():
        full, half = filled(wide)(mix), lowered(filled(wide), torch.bfloat16)(mix)
    assert half.dtype == torch.float32
    assert 20 * torch.log10(full.norm() / (half - full).norm()) > 40
