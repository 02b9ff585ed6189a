"""Models on this machine: a folder each, with safetensors (or a graph) and a card, in the platform's cache."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemwright.audio.parts import settle, settle_folder
from stemwright.errors import BadCard, BadName, BadWeights, NameTaken, NoModelsFolder, NotInstalled


@dataclass(frozen=True)
class Installed:
    """A model that is here: `facts` is its card as written when it was installed."""

    name: str
    folder: Path
    facts: dict[str, Any]

    @property
    def weights(self) -> Path:
        return self.folder / self.facts["weights"]


def folder(*, create: bool = False) -> Path:
    """Where models are kept: STEMWRIGHT_MODELS, else the platform's cache folder; raises NoModelsFolder."""
    place = Path(os.environ.get("STEMWRIGHT_MODELS") or _caches() / "stemwright" / "models")
    if create:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NoModelsFolder(path=place, reason=error.strerror) from error
        if not os.access(place, os.W_OK):
            raise NoModelsFolder(path=place, reason="it may not be written")
    return place


def _caches() -> Path:
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")


def names() -> list[str]:
    """Names of the models on this machine."""
    return sorted(path.parent.name for path in folder().glob("*/card.toml") if is_name(path.parent.name))


def is_name(name: str) -> bool:
    """Whether a model or a recipe can have that name: it is that of a folder or a file, and is typed on command lines.

    >>> [is_name(each) for each in ("Kim+2.1", ".hidden", "two words", "../out")]
    [True, False, False, False]
    """
    return re.fullmatch(r"\w[\w.+-]{0,99}", name) is not None


def find(name: str) -> Installed | None:
    """The model of that name if it is on this machine; raises BadCard."""
    card = _card(name)
    if card is None:
        return None
    try:
        return Installed(name, card.parent, _checked(tomllib.loads(card.read_text("utf-8"))))
    except (OSError, ValueError, RecursionError) as error:
        raise BadCard(path=card, reason=error) from error


def readable() -> tuple[list[Installed], list[BadCard]]:
    """The models on this machine, and what is wrong with the cards of others."""
    found: list[Installed] = []
    wrong: list[BadCard] = []
    for name in names():
        try:
            found += filter(None, [find(name)])  # another process may have removed it meanwhile
        except BadCard as error:
            wrong.append(error)
    return found, wrong


def _card(name: str) -> Path | None:
    card = folder() / name / "card.toml"
    return card if is_name(name) and card.is_file() else None


def _checked(facts: dict[str, Any]) -> dict[str, Any]:
    """A card's facts if they have what every model needs; raises ValueError."""
    if missing := [key for key in ("architecture", "weights", "sha256") if not isinstance(facts.get(key), str)]:
        raise ValueError(f"{' and '.join(missing)} is missing")
    stems = facts.get("stems")
    if not (stems and isinstance(stems, list) and all(isinstance(stem, str) for stem in stems)):
        raise ValueError("stems are missing")
    return {**facts, "weights": Path(facts["weights"]).name}


def install(name: str, weights: Path, facts: dict[str, Any]) -> Installed:
    """Moves converted weights and their card into place, all or nothing, whenever the power goes.

    Raises BadName, NameTaken.
    """
    target = folder(create=True) / name
    if not is_name(name):
        raise BadName(model=name)
    staged = weights.parent / "staged"
    staged.mkdir()
    weights.rename(staged / weights.name)
    card = {"name": name, "weights": weights.name, "sha256": sha256(staged / weights.name), **facts}
    (staged / "card.toml").write_text(toml(card), "utf-8")
    for path in staged.iterdir():
        with path.open("r+b") as file:
            settle(file)
    settle_folder(staged)
    try:
        staged.rename(target)
    except OSError as error:  # another process was as quick, or a folder without a card is in the way
        if target.exists():
            raise NameTaken(model=name) from error
        raise
    settle_folder(target.parent)
    return Installed(name, target, card)


def arrived(name: str) -> Path:
    """Where the files of a public model lie until all have come."""
    return folder() / ".fetching" / name


def is_half(name: str) -> bool:
    """Whether a part of a model has come, and waits to be fetched on."""
    return is_name(name) and arrived(name).is_dir()


def remove(name: str) -> int:
    """Deletes a model from this machine, whatever its card says, and what was fetched of it; returns the bytes it took.

    Raises NotInstalled where there is neither.
    """
    card = _card(name)
    places = [*([card.parent] if card else []), *([arrived(name)] if is_half(name) else [])]
    if not places:
        raise NotInstalled(model=name)
    size = sum(path.stat().st_size for place in places for path in place.iterdir())
    gone = folder() / f".removing-{name}"
    for place in places:
        shutil.rmtree(gone, ignore_errors=True)  # what is left of one that was interrupted
        place.rename(gone)  # all or nothing: no model without its card, nor a card without its weights
        shutil.rmtree(gone)
    return size


def verify(name: str) -> Installed:
    """The model, its weights read through once and compared with its card; raises NotInstalled, BadCard, BadWeights."""
    model = find(name)
    if model is None:
        raise NotInstalled(model=name)
    check(model)
    return model


def check(model: Installed) -> None:
    """Reads a model's weights through and compares them with its card; raises BadWeights."""
    compare(model.weights, model.facts["sha256"])


def compare(weights: Path, expected: str) -> None:
    """Raises BadWeights where the file is missing, or is not the one with this SHA-256."""
    found = sha256(weights) if weights.is_file() else "missing"
    if found != expected:
        raise BadWeights(path=weights, found=found, expected=expected)


def sha256(path: Path) -> str:
    """Of a whole file, a MiB at a time."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def toml(facts: dict[str, Any]) -> str:
    """A card as text: plain values first, then tables."""
    plain = {key: value for key, value in facts.items() if not isinstance(value, dict) and value is not None}
    lines = [f"{_key(key)} = {_toml(value)}" for key, value in plain.items()]
    for key, table in facts.items():
        if isinstance(table, dict):
            lines += [
                "",
                f"[{_key(key)}]",
                *(f"{_key(name)} = {_toml(value)}" for name, value in table.items() if value is not None),
            ]
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml(key)


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + " }"
    if not isinstance(value, str | bool):
        return str(value)  # numbers, those that JSON has not among them, and dates
    text = json.dumps(value, ensure_ascii=False).replace(
        "\x7f", "\\u007f"
    )  # which TOML wants escaped and JSON does not
    return text.encode("utf-8", "replace").decode("utf-8")
