"""A recipe: every number between a seed and an exported model, read from recipes/*.toml."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import re
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from stemwright.errors import BadRecipe
from stemwright.nets.bandsplit import BandSplitConfig
from stemwright.train.batches import Sizes

MAY_BE_ZERO = ("seed", "finish_steps")


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

    def __post_init__(self) -> None:
        if not self.net.dilations:
            raise ValueError("dilations in [net] are none: a net has a block for each")
        if self.finish_steps > self.steps:
            raise ValueError(f"finish_steps ({self.finish_steps}) are more than steps ({self.steps})")

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
    folder = Path(str(resources.files("stemwright.train"))) / "recipes"
    path = Path(name) if str(name).endswith(".toml") else folder / f"{name}.toml"
    if not path.exists():
        known = ", ".join(sorted(each.stem for each in folder.glob("*.toml")))
        raise BadRecipe(path=name, reason=f"there is none; give the path of a .toml file, or one of: {known}")
    try:
        return _parsed(tomllib.loads(path.read_text("utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise BadRecipe(path=path, reason=str(error).rstrip(".")) from error


def _parsed(table: dict[str, Any]) -> Recipe:
    parts = {"songs": _made(Songs, table, "songs"), "rates": _made(Rates, table, "rates")}
    return _filled(Recipe, {**table, **parts, "net": _made(BandSplitConfig, {"net": {}, **table}, "net")}, "")


def _made(kind: type[Any], table: dict[str, Any], name: str) -> Any:
    found = table.get(name)
    if not isinstance(found, dict):
        raise ValueError(f"it has no table [{name}]")  # noqa: TRY004 - all that is wrong with a recipe is a ValueError
    return _filled(kind, found, f" in [{name}]")


def _filled(kind: type[Any], table: dict[str, Any], where: str) -> Any:
    """A table as a dataclass: no key too many, none too few, each of its kind, numbers above 0."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in table:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            raise ValueError(f"{key!r}{where} is not known" + (f"; {near[0]!r} is" if near else ""))
    needed = {name for name, field in fields.items() if dataclasses.MISSING is field.default is field.default_factory}
    if missing := sorted(needed - set(table)):
        raise ValueError(f"{', '.join(missing)} is missing{where}")
    return kind(**{key: _value(value, str(fields[key].type), f"{key}{where}") for key, value in table.items()})


def _value(value: Any, kind: str, name: str) -> Any:
    numbers = {"int": (int,), "float": (int, float)}.get(kind, ())
    if numbers and (isinstance(value, bool) or not isinstance(value, numbers)):
        raise ValueError(f"{name} is {value!r}, which is no {'whole ' if kind == 'int' else ''}number")
    if numbers and not (0 if name in MAY_BE_ZERO else 1e-12) <= value < float("inf"):
        raise ValueError(f"{name} is {value!r}, and must be above 0")
    if kind == "str" and not re.fullmatch(r"\w[\w.+-]*", str(value)):
        raise ValueError(f"{name} is {value!r}; use letters, digits and -_.+ alone: files are named after it")
    return tuple(value) if isinstance(value, list) else value
