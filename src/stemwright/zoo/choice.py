"""Which stems somebody asked for, and the separator that makes just those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stemwright.engine.separator import Groups, Separator
from stemwright.engine.wrappers import grouped
from stemwright.errors import UnknownStem
from stemwright.zoo import loading

VOICES = ("vocals", "backing_vocals")
LEFT_OVER = "left over"
"""What nobody asked for is made too, as one stem, and dropped: without it the others could not sum to the mix."""


@dataclass(frozen=True)
class Choice:
    """A separator whose first stems are `names`; those of `experimental` hold nothing but experimental stems."""

    model: str
    separator: Separator
    names: tuple[str, ...]
    experimental: frozenset[str]


def choose(model: str, stems: Sequence[str] | None = None, *, two: bool = False, rest: str | None = None) -> Choice:
    """The stems asked for (default all) of a model, or of its vocals and instrumental when `two`.

    `rest` names one more stem: the sum of everything that was not asked for. Raises UnknownModel, UnknownStem.
    """
    own, doubtful = loading.offered(model)
    offered = two_stems(own) if two else {name: (name,) for name in own}
    if two and not offered["vocals"]:
        raise UnknownStem(stem="vocals", model=model, choices=", ".join(own))
    for name in stems or ():
        if name not in offered:
            raise UnknownStem(stem=name, model=model, choices=", ".join(offered))
    groups = wanted(offered, stems or tuple(offered), rest=rest or LEFT_OVER)
    experimental = {name for name, members in groups.items() if set(members) <= set(doubtful)}
    names = tuple(name for name in groups if name != LEFT_OVER)
    return Choice(model, grouped(loading.load(model), groups), names, frozenset(experimental))


def wanted(offered: Groups, stems: Sequence[str], *, rest: str) -> Groups:
    """Those of the offered groups that are asked for, in their order, and `rest` of what is left, if anything is.

    >>> wanted({"vocals": ("vocals",), "drums": ("drums",), "bass": ("bass",)}, ["bass"], rest="others")
    {'bass': ('bass',), 'others': ('vocals', 'drums')}
    """
    left = [member for name, members in offered.items() if name not in stems for member in members]
    groups = {name: members for name, members in offered.items() if name in stems}
    return groups | ({rest: tuple(left)} if left else {})


def two_stems(own: tuple[str, ...]) -> Groups:
    """Vocals and everything else."""
    return {
        "vocals": tuple(name for name in own if name in VOICES),
        "instrumental": tuple(name for name in own if name not in VOICES),
    }
