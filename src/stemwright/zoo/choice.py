"""The outputs that somebody asked for, and the separator that makes just what they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.signal import Samples
from stemwright.engine.separator import Groups, Separator
from stemwright.engine.whole import Tree
from stemwright.zoo import loading, machine, trees
from stemwright.zoo.halving import Ran
from stemwright.zoo.names import known
from stemwright.zoo.recipes import Recipe
from stemwright.zoo.wanted import Gains, Wanted, outputs, quarters

QUARTER = "a quarter: "
"""What the names of the four parts begin with, which are made beside the outputs for what needs just them."""

SONG = "the song: itself"
"""What the song is called among its stems where it waits beside them: no output has this name, and one may be "mix"."""

LEFT_OVER = "left over"
"""What nobody asked for is made too, as one stem, and dropped: without it the others could not sum to the mix."""


@dataclass(frozen=True)
class Choice:
    """A separator, and how its stems become the outputs `names`; those of `experimental` hold only such stems.

    `makers` says for each output which models it comes from.
    """

    model: str
    separator: Separator | Tree
    names: tuple[str, ...]
    experimental: frozenset[str]
    makers: Mapping[str, str]
    gains: NDArray[np.float32] | None = None
    """[outputs, parts], or None where the separator's first stems are the outputs."""
    precision: str = "auto"
    """As asked for; see `setup` for what came of it."""
    ran: Ran = field(default_factory=list)
    """What the separator tells of it."""
    beside: tuple[str, ...] = ()
    """What is made too, after the outputs, for files of the whole song."""

    @property
    def every(self) -> tuple[str, ...]:
        """All that `of` gives."""
        return self.names + self.beside

    @property
    def setup(self) -> tuple[str, str]:
        """The device and the precision that its models run in, or ran in when a song is done; of several, all."""
        models = dict.fromkeys(name for made in self.makers.values() for name in made.split(" + "))
        found = zip(*(loading.setup(name, self.precision, self.ran) for name in models), strict=True)
        device, precision = (" + ".join(dict.fromkeys(" + ".join(each).split(" + "))) for each in found)
        return device, precision

    def of(self, stems: Samples) -> Samples:
        """The separator's stems [stems, 2, n] as outputs [every, 2, n]."""
        if self.gains is None:
            return stems[: len(self.every)]
        return np.einsum("op,pcn->ocn", self.gains, stems[: self.gains.shape[1]], optimize=True)


def choose(model: str, wanted: Wanted, *, precision: str = "auto", with_quarters: bool = False) -> Choice:
    """The outputs asked for of a model; raises UnknownModel, UnknownPrecision and what `wanted.outputs` does."""
    own, doubtful = loading.offered(model)
    machine.precision(precision)
    made = outputs(own, model, wanted, may_be_none=with_quarters)
    beside = {QUARTER + name: gains for name, gains in quarters(own).items()} if with_quarters else {}
    groups, gains = parts(own, made | beside)
    experimental = {name for name, heard in made.items() if set(heard) <= set(doubtful)}
    ran: Ran = []
    separator = trees.separator(model, groups, precision=precision, ran=ran)
    makers = _makers(model, made or beside)
    return Choice(model, separator, tuple(made), frozenset(experimental), makers, gains, precision, ran, tuple(beside))


def _makers(model: str, made: Mapping[str, Gains]) -> dict[str, str]:
    """For each output the models that its stems come from, joined by +."""
    recipe = known(model)
    if not isinstance(recipe, Recipe):
        return dict.fromkeys(made, model)
    origins = recipe.origins
    return {
        name: " + ".join(dict.fromkeys(maker for leaf in heard for maker, _ in origins[leaf]))
        for name, heard in made.items()
    }


def parts(own: Sequence[str], made: Mapping[str, Gains]) -> tuple[Groups, NDArray[np.float32] | None]:
    """The fewest sums of a model's stems from which the outputs can be mixed, and the gains [outputs, sums].

    Stems that have the same gain in every output never need to be apart: adding them up before the inverse STFT is
    what makes two stems cheaper than twelve.

    >>> parts(["vocals", "drums", "bass"], {"vocals": {"vocals": 1.0}, "practice": {"drums": 0.5, "bass": 0.5}})[0]
    {'vocals': ('vocals',), 'drums+bass': ('drums', 'bass')}
    """
    columns: dict[tuple[float, ...], list[str]] = {}
    for name in own:
        columns.setdefault(tuple(gains.get(name, 0.0) for gains in made.values()), []).append(name)
    left = columns.pop((0.0,) * len(made), [])
    ordered = sorted(columns.items(), key=lambda item: next(n for n, gain in enumerate(item[0]) if gain))
    groups = {"+".join(members): tuple(members) for _, members in ordered}
    gains = np.array([column for column, _ in ordered], np.float32).T
    is_plain = gains.shape[0] == gains.shape[1] and np.array_equal(gains, np.eye(len(gains)))
    return groups | ({LEFT_OVER: tuple(left)} if left else {}), None if is_plain else gains
