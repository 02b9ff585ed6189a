"""From a recipe to a separator of whole songs: only the splits that the stems asked for need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stemwright.audio.signal import Samples
from stemwright.engine.ensemble import Ensemble, Voice, shifted
from stemwright.engine.separator import Groups, Separator
from stemwright.engine.whole import Blocks, Cascade, Model, Node, Tree
from stemwright.engine.wrappers import grouped
from stemwright.errors import BadRecipe, UnknownStem
from stemwright.zoo import loading, profiles, recipes
from stemwright.zoo.recipes import Split

NOT_HEARD = "not heard"
"""What a member of a blend gives besides the blend's stems."""


def separator(name: str, groups: Groups, *, precision: str = "auto") -> Separator | Tree:
    """A model's or a recipe's separator with these sums of its stems.

    A recipe of one model streams as the model itself. Raises what `loading.load` does, RecipeIncomplete and BadRecipe.
    """
    if not recipes.is_recipe(name):
        return grouped(loading.load(name, precision), groups)
    recipe = recipes.recipe(name)
    recipe.check()
    try:
        return _lone(recipe.lone, groups, precision) if recipe.lone else _tree(recipe.split, groups, precision)
    except UnknownStem as error:
        raise BadRecipe(path=name, reason=error) from error


def _lone(split: Split, groups: Groups, precision: str) -> Separator:
    assert split.model
    own = sums(split)
    members = {name: tuple(member for leaf in leaves for member in own[leaf]) for name, leaves in groups.items()}
    return grouped(loading.load(split.model, precision), members)


def _tree(split: Split, groups: Groups, precision: str) -> Tree:
    labels = {leaf: name for name, leaves in groups.items() for leaf in leaves}
    node, labels = _node(split, labels, precision)
    return Tree(node, {name: tuple(stem for stem in node.stems if labels[stem] == name) for name in groups})


def sums(split: Split) -> Groups:
    """How the split's stems are summed from those that its model gives on this machine; raises UnknownStem."""
    assert split.model
    own, _ = loading.offered(split.model)
    for name in (member for members in split.sums.values() for member in members):
        if name not in own:
            raise UnknownStem(stem=name, model=split.model, choices=", ".join(own))
    left = tuple(name for name in own if name not in {m for members in split.sums.values() for m in members})
    if left and not split.rest:
        raise UnknownStem(stem="rest", model=split.model, choices=f"nothing takes {', '.join(left)}")
    return split.sums | ({split.rest: left} if split.rest else {})


def _node(split: Split, labels: Mapping[str, str], precision: str) -> tuple[Node, dict[str, str]]:
    """A node, and the label of each of its stems; a stem whose parts all have one label is not split further."""
    further = {name: each for name, each in split.then.items() if len({labels[leaf] for leaf in each.leaves}) > 1}
    own = {
        name: labels[split.then[name].leaves[0] if name in split.then else name]
        for name in split.stems
        if name not in further
    }
    node = _shallow(split, {name: own.get(name, f"{name} to split") for name in split.stems}, precision)
    node = shifted(node, split.shifts)
    told = {name: own[name] for name in node.stems if name in own}
    parts = {name: _node(each, labels, precision) for name, each in further.items()}
    if not parts:
        return node, told
    inner = {name: found for name, (found, _) in parts.items()}
    return Cascade(node, inner), told | {stem: label for _, found in parts.values() for stem, label in found.items()}


def _shallow(split: Split, labels: Mapping[str, str], precision: str) -> Node:
    """The split itself: a model's stems of one label are one from the start, under the first one's name."""
    if split.model:
        first: dict[str, str] = {}
        for name in split.stems:
            first.setdefault(labels[name], name)
        summed = sums(split)
        joined = {
            name: tuple(m for s in split.stems if labels[s] == label for m in summed[s])
            for label, name in first.items()
        }
        return _model(split.model, joined, precision)
    voices = []
    for member in split.members:
        heard = {leaf: leaf if leaf in split.stems else NOT_HEARD for leaf in member.leaves}
        node, _ = _node(member, heard, precision)
        voices.append(Voice(node, member.weights))
    return Ensemble(voices, split.stems, how=split.how)


def _model(name: str, groups: Groups, precision: str) -> Model:
    def start(blocks: Blocks, rate: int) -> Iterator[Samples]:
        separator = grouped(loading.fresh(name, precision), groups)
        yield from profiles.consistent(name, blocks)(separator, blocks(), rate)

    return Model(tuple(groups), start)
