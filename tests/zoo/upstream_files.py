"""Checkpoints as upstream writes them: our filled nets' weights under upstream's names."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

NETS = Path(__file__).parents[1] / "nets"
sys.path.append(str(NETS))

from filled import CASES, filled, tones  # noqa: E402

from stemwright.zoo.checkpoints.renaming import renamed  # noqa: E402

__all__ = ["CASES", "architecture", "filled", "names", "sizes", "state", "tones"]
ARCHITECTURES = {"RoFormer": "roformer", "SCNet": "scnet", "TFC": "tfc_tdf", "HTDemucs": "htdemucs"}


def architecture(case: str) -> str:
    return next(value for key, value in ARCHITECTURES.items() if key in case)


def names(case: str) -> list[str]:
    """Upstream's tensor names, as bench/parity.py wrote them down."""
    lines = gzip.decompress((NETS / "upstream_names.txt.gz").read_bytes()).decode().splitlines()
    return [name for found, name in (line.split("\t") for line in lines) if found == case]


def state(case: str, change: Callable[[torch.Tensor], torch.Tensor] = lambda tensor: tensor) -> dict[str, Any]:
    ours = filled(CASES[case][0]).state_dict()
    table = renamed(architecture(case), names(case))
    return {theirs: change(ours[name]) for theirs, name in table.items()}


def sizes(case: str) -> dict[str, Any]:
    return asdict(CASES[case][0])  # type: ignore[call-overload]
