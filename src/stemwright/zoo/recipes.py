"""Recipes: TOML files that say which model splits what, as a tree. No weights are touched and no net is imported here.

A split is by one `model`, by several whose answers are blended (`blend`, `of`), or that of another `recipe`; `then`
says which of its stems are split further. `stems` gives the names: of a model, from which of its own each is summed,
and `rest` names what is in none of them.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import Any

from stemwright.engine.ensemble import BLENDS
from stemwright.engine.separator import Groups
from stemwright.errors import BadCard, BadRecipe, RecipeIncomplete, UnknownModel
from stemwright.zoo import catalog, files, installed
from stemwright.zoo.published import ALLOWED, LICENCE_CLASSES, Published, consent, here, published, total

Origins = tuple[tuple[str, tuple[str, ...]], ...]
"""Models, each with those of its stems that are summed."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """One node of the tree: a `model`, or `members` whose answers are blended; `then` splits its stems further."""

    stems: tuple[str, ...]
    model: str | None = None
    sums: Groups = field(default_factory=dict)
    rest: str | None = None
    members: tuple[Split, ...] = ()
    how: str = "mean"
    weights: Mapping[str, float] = field(default_factory=dict)
    shifts: int = 1
    then: Mapping[str, Split] = field(default_factory=dict)

    @property
    def leaves(self) -> tuple[str, ...]:
        """The stems that come out in the end."""
        return tuple(leaf for name in self.stems for leaf in (self.then[name].leaves if name in self.then else [name]))

    @property
    def models(self) -> tuple[str, ...]:
        """Every model in the tree, once."""
        own = [self.model] if self.model else [name for member in self.members for name in member.models]
        return tuple(dict.fromkeys([*own, *(name for split in self.then.values() for name in split.models)]))

    @property
    def origins(self) -> dict[str, Origins]:
        """For every leaf, the models that made it in the end and which of their stems it is."""
        made: dict[str, Origins] = {}
        for name in self.stems:
            if name in self.then:
                made |= self.then[name].origins
            elif self.model:
                made[name] = ((self.model, self.sums.get(name, ("rest",))),)
            else:
                voices = [member.origins[name] for member in self.members if name in member.leaves]
                made[name] = tuple(origin for voice in voices for origin in voice)
        return made


@dataclass(frozen=True)
class Recipe:
    """A named tree; `use` is what it is for, in the words of the model cards."""

    name: str
    about: str
    use: str
    split: Split

    @property
    def origins(self) -> dict[str, Origins]:
        """For every stem, in the order of the bundled model's, the models that made it and which of theirs it is."""
        found, order = self.split.origins, catalog.card(catalog.BUNDLED).stems
        return {name: found[name] for name in sorted(found, key=lambda n: order.index(n) if n in order else len(order))}

    @property
    def needs(self) -> tuple[Published, ...]:
        """The public models in it."""
        return tuple(published(name) for name in self.split.models if name in files.published())

    @property
    def bytes(self) -> int | None:
        """What has to be fetched in all; None when the size of one is not known."""
        sizes = [card.bytes for card in self.needs]
        return sum(size for size in sizes if size) if all(sizes) else None

    @property
    def licence_class(self) -> str:
        """The most restrictive of its models' licences; nobody knows that of a model that was taken in."""
        known = {*catalog.names(), *files.published()}
        taken_in = ["unknown"] if set(self.split.models) - known else []
        classes = [*taken_in, *(card.licence_class for card in self.needs)]
        return max(classes, key=LICENCE_CLASSES.index, default="permissive")

    @property
    def lone(self) -> Split | None:
        """Its split when that is one model's, once: such a recipe streams like the model itself."""
        split = self.split
        return split if split.model and not split.then and split.shifts == 1 else None

    def missing(self) -> list[str]:
        """Models that are not on this machine."""
        return [name for name in self.split.models if not _is_here(name)]

    def check(self) -> None:
        """Raises RecipeIncomplete with what to pull, how large it is and under which licences."""
        if missing := self.missing():
            cards = [published(name) for name in missing if name in files.published()]
            told = [f"{card.name} ({total([card])}, licence {card.licence})" for card in cards]
            told += [name for name in missing if name not in files.published()]
            yes = consent(cards)
            raise RecipeIncomplete(recipe=self.name, models=", ".join(told), size=total(cards), consent=yes)


def names() -> list[str]:
    """Names of all recipes: those that come with Stemwright, and those in `recipes` in the folder of the models."""
    return sorted(files.recipes())


def is_recipe(name: str) -> bool:
    """Whether that is a recipe's name; the bundled model's is not."""
    return name not in catalog.names() and name in names()


def recipe(name: str) -> Recipe:
    """The recipe of that name; raises UnknownModel, BadRecipe."""
    return _recipe(name, ())


def broken() -> list[BadRecipe]:
    """What is wrong with files in `recipes` in the folder of the models; each error once."""
    found = {str(error): error for path in files.own_recipes() if (error := _wrong(path))}
    return list(found.values())


def _recipe(name: str, within: tuple[str, ...]) -> Recipe:
    """The recipe of that name; `within` are those that it is a part of."""
    path = files.recipes().get(name)
    if path is None:
        raise UnknownModel(model=name)
    found = _read(path, _changes(), within)
    if strangers := sorted({*found.split.models} - files.models()):
        raise BadRecipe(path=path, reason=f"there is no model {', '.join(strangers)} for it to be made of")
    return found


def listing(
    *, use: str | None = None, stem: str | None = None, policy: str = "any", only_here: bool = False
) -> list[Recipe]:
    """The recipes for a use, with a stem, under a licence policy, whose models are all on this machine.

    Those that `broken` tells of are left out.
    """
    return [
        each
        for each in _sound()
        if use in (None, each.use)
        and (stem is None or stem in each.split.leaves)
        and each.licence_class in ALLOWED[policy]
        and not (only_here and each.missing())
    ]


def _sound() -> Iterator[Recipe]:
    for name in names():
        with suppress(BadRecipe):
            yield recipe(name)


def _wrong(path: Path) -> BadRecipe | None:
    if not installed.is_name(path.stem):
        return BadRecipe(path=path, reason="a name has letters, digits and . + - _, and begins with none of . + -")
    if files.recipes().get(path.stem) != path:
        return BadRecipe(path=path, reason=f"{path.stem!r} is the name of another recipe or model; rename the file")
    try:
        recipe(path.stem)
    except BadRecipe as error:
        return error
    return None


def _changes() -> tuple[tuple[Path, int], ...]:
    """When each file of one's own was changed: a recipe may be made of another."""
    return tuple((path, path.stat().st_mtime_ns) for path in files.own_recipes())


@lru_cache(maxsize=256)
def _read(path: Path, _changed: tuple[tuple[Path, int], ...], within: tuple[str, ...]) -> Recipe:
    chain = (*within, path.stem)
    try:
        facts = tomllib.loads(path.read_text("utf-8"))
        about, use, split = facts.pop("about", ""), facts.pop("use", ""), facts.pop("split")
        _refuse_strangers(facts)
        return Recipe(path.stem, _text("about", about), _text("use", use), _whole(split, chain))
    except KeyError as error:
        raise BadRecipe(path=path, reason=f"{error} is missing") from error
    except (OSError, TypeError, ValueError, AttributeError, RecursionError, UnknownModel) as error:
        raise BadRecipe(path=path, reason=str(error).rstrip(".")) from error


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"{name} is {value!r}, and no text")


def _whole(facts: dict[str, Any], chain: tuple[str, ...]) -> Split:
    """A split that is no member of a blend."""
    split = _split(facts, chain)
    if split.weights:
        raise ValueError("weights are for members of a blend, inside `of`")
    return split


def _split(facts: dict[str, Any], chain: tuple[str, ...]) -> Split:
    then = {stem: _whole(each, chain) for stem, each in facts.pop("then", {}).items()}
    split = _by_model(facts) if "model" in facts else (_by_recipe if "recipe" in facts else _blend)(facts, chain)
    _refuse_strangers(facts)
    for stem, each in then.items():
        split = _grafted(split, stem, each)
    taken = [*split.leaves, *(stem for stem, each in split.then.items() if stem not in each.leaves)]
    if odd := [stem for stem in taken if not catalog.is_stem(stem)]:
        raise ValueError(f"{odd[0]!r} cannot be a stem's name")
    if len(set(map(str.casefold, taken))) < len(taken):
        raise ValueError(f"a stem has the name of another: {', '.join(split.leaves)}")
    return split


def _refuse_strangers(left: dict[str, Any]) -> None:
    if left:
        raise ValueError(f"{', '.join(sorted(left))} means nothing here")


def _by_recipe(facts: dict[str, Any], chain: tuple[str, ...]) -> Split:
    other = facts.pop("recipe")
    if other in chain:
        raise ValueError(f"it is made of itself: {' → '.join((*chain, other))}")
    return _recipe(other, chain).split


def _by_model(facts: dict[str, Any]) -> Split:
    model, rest = facts.pop("model"), facts.pop("rest", None)
    lists = facts.pop("stems", {})
    sums = {stem: tuple(members) for stem, members in lists.items()}
    if not all(
        isinstance(name, str) for name in (model, rest or "", *(name for each in sums.values() for name in each))
    ):
        raise ValueError("a model or a stem is not a name")
    if not all(isinstance(each, list) for each in lists.values()):
        raise ValueError("stems are not lists")
    takers = Counter(member for members in sums.values() for member in members)
    if twice := [member for member, count in takers.items() if count > 1]:  # it would be heard twice
        raise ValueError(f"{', '.join(twice)} of {model} is taken more than once")
    if not sums and model in catalog.names():
        sums = {stem: (stem,) for stem in catalog.card(model).stems}
    if not sums or rest in sums:
        raise ValueError(f"it does not say which stems of {model} it takes")
    stems = (*sums, rest) if rest else tuple(sums)
    return Split(model=model, sums=sums, rest=rest, stems=stems, **_manner(facts))


def _blend(facts: dict[str, Any], chain: tuple[str, ...]) -> Split:
    how, stems = facts.pop("blend"), tuple(facts.pop("stems"))
    members = tuple(_split(each, chain) for each in facts.pop("of"))
    if how not in BLENDS:
        raise ValueError(f"blend is {how!r}, not one of {', '.join(BLENDS)}")
    if silent := [stem for stem in stems if not any(stem in member.leaves for member in members)]:
        raise ValueError(f"no member gives {', '.join(silent)}")
    if how != "mean" and any(member.weights for member in members):
        raise ValueError("only a mean has weights")
    if strangers := sorted({stem for member in members for stem in member.weights if stem not in member.leaves}):
        raise ValueError(f"weights are given for {', '.join(strangers)}, which the member does not give")
    return Split(members=members, how=how, stems=stems, **_manner(facts))


def _manner(facts: dict[str, Any]) -> dict[str, Any]:
    shifts, weights = facts.pop("shifts", 1), facts.pop("weights", {})
    if not (isinstance(shifts, int) and 1 <= shifts <= 20):
        raise ValueError("shifts is not a number from 1 to 20")
    if not all(isinstance(weight, int | float) and 0 < weight < inf for weight in weights.values()):
        raise ValueError("weights are not positive numbers")
    return {"shifts": shifts, "weights": weights}


def _grafted(split: Split, leaf: str, further: Split) -> Split:
    """The tree with `further` in the place of one of its leaves."""
    if leaf in split.stems and leaf not in split.then:
        return replace(split, then={**split.then, leaf: further})
    for name, inner in split.then.items():
        if leaf in inner.leaves:
            return replace(split, then={**split.then, name: _grafted(inner, leaf, further)})
    raise ValueError(f"there is no stem {leaf!r} to split further")


def _is_here(name: str) -> bool:
    if name in files.published() and here(published(name)):
        return True
    with suppress(BadCard):
        return name in catalog.names() or installed.find(name) is not None
    return False
