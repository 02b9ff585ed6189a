"""From a recipe to a separator of whole songs: only the splits that the stems asked for need."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass

from stemwright.audio.signal import Samples
from stemwright.engine.ensemble import Ensemble, Voice, shifted
from stemwright.engine.separator import Groups, Separator
from stemwright.engine.whole import Blocks, Cascade, Model, Node, Tree
from stemwright.engine.wrappers import grouped
from stemwright.errors import BadRecipe, UnknownStem
from stemwright.zoo import loading, profiles
from stemwright.zoo.halving import Ran, for_song
from stemwright.zoo.names import known
from stemwright.zoo.recipes import Recipe, Split

NOT_HEARD = "not heard"
"""What a member of a blend gives besides the blend's stems."""


@dataclass(frozen=True)
class _Opening:
    """How models are opened for one song, and where they tell what they run in."""

    precision: str
    ran: Ran

    def kept(self, model: str) -> Separator:
        """One that stays in memory for the next song."""
        return for_song(loading.load(model, self.precision), self.ran)

    def fresh(self, model: str) -> Separator:
        """One that does not."""
        return for_song(loading.fresh(model, self.precision), self.ran)


def separator(name: str, groups: Groups, *, precision: str = "auto", ran: Ran | None = None) -> Separator | Tree:
    """A model's or a recipe's separator for one song, with these sums of its stems; `ran` is told what it runs in.

    A recipe of one model streams as the model itself. Raises what `loading.load` does, RecipeIncomplete and BadRecipe.
    """
    opening = _Opening(precision, [] if ran is None else ran)
    recipe = known(name)
    if not isinstance(recipe, Recipe):
        return grouped(opening.kept(name), groups)
    recipe.check()
    try:
        return _lone(recipe.lone, groups, opening) if recipe.lone else _tree(recipe.split, groups, opening)
    except UnknownStem as error:
        raise BadRecipe(path=name, reason=str(error).rstrip(".")) from error


def _lone(split: Split, groups: Groups, opening: _Opening) -> Separator:
    assert split.model
    own = sums(split)
    members = {name: tuple(member for leaf in leaves for member in own[leaf]) for name, leaves in groups.items()}
    return grouped(opening.kept(split.model), members)


def _tree(split: Split, groups: Groups, opening: _Opening) -> Tree:
    labels = {leaf: name for name, leaves in groups.items() for leaf in leaves}
    node, labels = _node(split, labels, opening)
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


def _node(split: Split, labels: Mapping[str, str], opening: _Opening) -> tuple[Node, dict[str, str]]:
    """A node, and the label of each of its stems; a stem whose parts all have one label is not split further."""
    further = {name: each for name, each in split.then.items() if len({labels[leaf] for leaf in each.leaves}) > 1}
    own = {
        name: labels[split.then[name].leaves[0] if name in split.then else name]
        for name in split.stems
        if name not in further
    }
    node = _shallow(split, {name: own.get(name, f"{name} to split") for name in split.stems}, opening)
    node = shifted(node, split.shifts)
    told = {name: own[name] for name in node.stems if name in own}
    parts = {name: _node(each, labels, opening) for name, each in further.items()}
    if not parts:
        return node, told
    inner = {name: found for name, (found, _) in parts.items()}
    return Cascade(node, inner), told | {stem: label for _, found in parts.values() for stem, label in found.items()}


def _shallow(split: Split, labels: Mapping[str, str], opening: _Opening) -> Node:
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
        return _model(split.model, joined, opening)
    voices = []
    for member in split.members:
        heard = {leaf: leaf if leaf in split.stems else NOT_HEARD for leaf in member.leaves}
        node, _ = _node(member, heard, opening)
        voices.append(Voice(node, member.weights))
    return Ensemble(voices, split.stems, how=split.how)


def _model(name: str, groups: Groups, opening: _Opening) -> Model:
    def start(blocks: Blocks, rate: int) -> Generator[Samples]:
        separator = grouped(opening.fresh(name), groups)
        yield from profiles.consistent(name, blocks)(separator, blocks(), rate)

    return Model(tuple(groups), start)
