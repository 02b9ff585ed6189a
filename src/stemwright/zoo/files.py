"""Which names there are, of models and of recipes: by their files alone, none of which is read here."""

from __future__ import annotations

from contextlib import suppress
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from stemwright.errors import MisspeltModel, NotTakenIn, UnknownModel
from stemwright.zoo import catalog, installed

ZOO = Path(str(files("stemwright"))) / "zoo"
CARDS = ZOO / "cards" / "published"
RECIPES = ZOO / "recipes"


def published() -> list[str]:
    """Names of all cards of public models."""
    return sorted(path.stem for path in CARDS.glob("*.toml"))


def models() -> set[str]:
    """Names of all models: our own, the public ones, and those on this machine."""
    return {*catalog.names(), *published(), *installed.names()}


def recipes() -> dict[str, Path]:
    """Recipes by name: a file of one's own hides neither a recipe that comes along nor a model."""
    bundled, taken = {path.stem: path for path in RECIPES.glob("*.toml")}, models()
    own = {path.stem: path for path in own_recipes() if installed.is_name(path.stem) and path.stem not in taken}
    return own | bundled


def own_recipes() -> list[Path]:
    """The files in `recipes` in the folder of the models, whatever their names are."""
    return sorted(path for path in (installed.folder() / "recipes").glob("*.toml") if path.is_file())


def unknown(name: str) -> UnknownModel:
    """What there is to say of a name that no model or recipe has: what may have been meant by it."""
    with suppress(OSError):  # of a name that is too long for a file
        if Path(name).is_file():
            return NotTakenIn(model=name)
    known, asked = [*sorted(recipes()), *published(), *installed.names()], name.casefold()
    begun = [each for each in known if asked and each.casefold().startswith(asked)]
    near = [each for each in known if each.casefold() == asked] or [*begun, *get_close_matches(asked, known, 3, 0.7)]
    told = " or ".join(list(dict.fromkeys(near))[:3])
    return MisspeltModel(model=name, near=told) if told else UnknownModel(model=name)
