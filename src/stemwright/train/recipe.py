"""A recipe: every number between a seed and an exported model, read from recipes/*.toml."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from stemwright.errors import BadRecipe
from stemwright.nets.bandsplit import BandSplitConfig
from stemwright.train.batches import Sizes


@dataclass(frozen=True)
class Songs:
    """How many songs the data set has, and how long those are that are trained on, and those that are not."""

    train: int
    val: int
    test: int
    seconds: float
    held_out_seconds: float


@dataclass(frozen=True)
class Rates:
    """Learning rates: Muon for the matrices of the body, AdamW for the rest; `ema` is the decay of the average."""

    muon: float
    adamw: float
    warmup_steps: int
    ema: float
    clip: float


@dataclass(frozen=True)
class Recipe:
    """`steps` in all; over the last `finish_steps` the learning rates fall to zero."""

    name: str
    seed: int
    steps: int
    finish_steps: int
    batch: int
    frames: int
    songs: Songs
    rates: Rates
    net: BandSplitConfig = field(default_factory=BandSplitConfig)

    @property
    def sizes(self) -> Sizes:
        """The shape of a batch."""
        return Sizes(self.batch, self.frames, self.net.n_fft, self.net.hop)

    @property
    def fingerprint(self) -> str:
        """What a checkpoint must have been made with to be continued: all but the length of the run and the data."""
        facts = dataclasses.asdict(self)
        for name in ("steps", "finish_steps", "songs"):
            del facts[name]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def load_recipe(name: str | Path) -> Recipe:
    """A recipe of the package by name, or of a file by path. Raises BadRecipe."""
    inside = resources.files("stemwright.train") / "recipes" / f"{name}.toml"
    path = Path(str(name)) if str(name).endswith(".toml") else Path(str(inside))
    try:
        return _parsed(tomllib.loads(path.read_text()))
    except (OSError, tomllib.TOMLDecodeError, TypeError, KeyError) as error:
        raise BadRecipe(path=path, reason=error) from error


def _parsed(table: dict[str, Any]) -> Recipe:
    net = dict(table.pop("net", {}))
    if "dilations" in net:
        net["dilations"] = tuple(net["dilations"])
    songs, rates = Songs(**table.pop("songs")), Rates(**table.pop("rates"))
    return Recipe(**table, songs=songs, rates=rates, net=BandSplitConfig(**net))
