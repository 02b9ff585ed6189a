"""Tiny nets with random weights, installed under any name: what a public model is to the code around it."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

sys.path.append(str(Path(__file__).parents[1] / "nets"))

from filled import DEMUCS, MEL, SCNET, TDF, filled

from stemwright.nets.roformer import RoformerConfig
from stemwright.zoo import installed
from stemwright.zoo.bands import split_bands
from stemwright.zoo.recipes import Recipe

BS = RoformerConfig(dim=16, depth=1, bands=split_bands((1000, 25)), stems=1, heads=2, dim_head=8)
CONFIGS: dict[str, Any] = {"roformer": BS, "scnet": SCNET, "tfc_tdf": TDF, "htdemucs": DEMUCS, "mel": MEL}
SEGMENTS = {"roformer": 441 * 40, "scnet": 22050, "tfc_tdf": 512 * 31, "htdemucs": 44100}


def install(name: str, architecture: str, stems: tuple[str, ...], **facts: Any) -> installed.Installed:
    """A model on this machine; `facts` are added to its card."""
    config = replace(CONFIGS[architecture], stems=len(stems))
    scratch = installed.folder(create=True) / f".making-{name}"
    scratch.mkdir()
    save_file(filled(config).state_dict(), str(scratch / "weights.safetensors"))
    card = {"architecture": architecture, "sizes": asdict(config), "stems": list(stems)}
    card |= {"segment": SEGMENTS[architecture], "licence": "none: random weights", **facts}
    model = installed.install(name, scratch / "weights.safetensors", card)
    scratch.rmdir()
    return model


def install_all(recipe: Recipe) -> None:
    """A tiny net in the place of every public model that a recipe needs."""
    for card in recipe.needs:
        if not installed.find(card.name):
            install(card.name, card.architecture, card.stems, normalised=card.architecture == "scnet")
