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
from stemwright.train.learning.batches import Sizes

FIXED = ("rate", "zones")
"""Of a net, what songs and bands are made for: no recipe changes it."""
_INFINITE = float("inf")
_FROM_TO = {
    "seed": (0, (1 << 63) - 1), "finish_steps": (0, _INFINITE), "details": (0, _INFINITE), "learned": (0, _INFINITE),
    "ema": (0, 0.999999), "seconds": (1, 3600), "held_out_seconds": (1, 3600),
}  # fmt: skip
"""What numbers may be; every other is above 0."""


@dataclass(frozen=True)
class Songs:
    """How many songs the data set has, and how long those are that are trained on, and those that are not.

    `recordings` says whether recorded music is put beside them, for voices to be heard before.
    """

    train: int
    val: int
    test: int
    seconds: float
    held_out_seconds: float
    recordings: bool = False


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
        bins, hop = self.net.n_fft // 2, self.net.hop
        if bins != self.net.zones[-1].end_bin or bins % hop:
            reason = f"{2 * self.net.zones[-1].end_bin}, and a hop that its half is a multiple of, do"
            raise ValueError(f"n_fft and hop in [net] do not go: {reason}")
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
    except (OSError, TypeError, ValueError, RecursionError) as error:
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
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name not in FIXED}
    for key in table:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            raise ValueError(f"{key!r}{where} is not known" + (f"; {near[0]!r} is" if near else ""))
    needed = {name for name, field in fields.items() if dataclasses.MISSING is field.default is field.default_factory}
    if missing := sorted(needed - set(table)):
        raise ValueError(f"{', '.join(missing)} is missing{where}")
    return kind(**{key: _value(value, str(fields[key].type), f"{key}{where}") for key, value in table.items()})


def _value(value: Any, kind: str, name: str) -> Any:
    if kind.startswith("tuple"):
        if not isinstance(value, list):
            raise ValueError(f"{name} is {value!r}, which is no list")
        return tuple(_value(each, "int", name) for each in value)
    if kind == "bool" and not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}; write true or false")
    numbers = {"int": (int,), "float": (int, float)}.get(kind, ())
    if numbers and (isinstance(value, bool) or not isinstance(value, numbers)):
        raise ValueError(f"{name} is {value!r}, which is no {'whole ' if kind == 'int' else ''}number")
    key = name.split(maxsplit=1)[0]
    low, high = _FROM_TO.get(key, (1e-12, _INFINITE))
    if numbers and not (low <= value <= high and value < _INFINITE):
        least = f"from {low} on" if key in _FROM_TO else "above 0"
        raise ValueError(f"{name} is {value!r}, and must be {least if high == _INFINITE else f'from {low} to {high}'}")
    if kind == "str" and not (isinstance(value, str) and re.fullmatch(r"\w[\w.+-]*", value)):
        raise ValueError(f"{name} is {value!r}; use letters, digits and -_.+ alone: files are named after it")
    return value
