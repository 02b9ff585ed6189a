"""How a model is run over a song: `consistent`, where stems sum to the mix, or `upstream`, equal to its own project."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any

from stemwright.audio.signal import Samples
from stemwright.engine import manners
from stemwright.engine.run import run
from stemwright.engine.separator import Separator
from stemwright.engine.whole import Passing, Tree
from stemwright.errors import UnknownProfile
from stemwright.zoo import catalog, installed, machine
from stemwright.zoo.names import known
from stemwright.zoo.published import members
from stemwright.zoo.recipes import Recipe, Split

Once = Callable[[Separator, Iterable[Samples], int], Generator[Samples]]
Run = Callable[[Separator | Tree, Iterable[Samples], int, Passing], Generator[Samples]]
Blocks = Callable[[], Iterable[Samples]]


def precise(profile: str, precision: str) -> str:
    """The precision of a profile: answers equal to upstream's need full precision, unless another one is asked for."""
    return "fp32" if profile == "upstream" and machine.precision(precision) == "auto" else precision


def refuse(profile: str, model: str) -> None:
    """Raises UnknownProfile for a profile that there is not, or that the model does not have; BadCard."""
    if profile == "consistent":
        return
    if profile != "upstream" or isinstance(known(model), Recipe | catalog.Card):
        raise UnknownProfile(profile=profile, model=model)


def running(profile: str, model: str, song: Blocks) -> Run:
    """The function (separator, blocks, rate, passing) → stems; `song` may be read once before, to measure."""
    match known(model):
        case Recipe(lone=Split(model=str(one))):
            model = one
    once = consistent(model, song) if profile == "consistent" else _upstream(model, song)

    def run_it(
        separator: Separator | Tree, blocks: Iterable[Samples], rate: int, passing: Passing
    ) -> Generator[Samples]:
        if isinstance(separator, Tree):
            return separator.over(blocks, rate, passing)
        return once(separator, blocks, rate)

    return run_it


def consistent(model: str, song: Blocks) -> Once:
    """Our loop; a net that was trained on songs of one level gets them at that level."""
    found = installed.find(model) if model not in catalog.names() else None
    if not (found and found.facts.get("normalised")):
        return lambda separator, blocks, rate: run(separator, blocks, rate=rate)
    level = manners.Scale(0.0, manners.measured(song(), unbiased=False).deviation)
    return lambda separator, blocks, rate: level.up(run(separator, level.down(blocks), rate=rate))


def _upstream(model: str, song: Blocks) -> Once:
    facts = members(model)[0].facts
    manner, unbiased = _manner(facts)
    once = partial(manners.as_upstream, manner=manner, overlap=facts.get("overlap"))
    if unbiased is None:
        return lambda separator, blocks, _: once(separator, blocks)
    scale = manners.measured(song(), unbiased=unbiased)
    return lambda separator, blocks, _: scale.up(once(separator, scale.down(blocks)))


def _manner(facts: dict[str, Any]) -> tuple[manners.Manner, bool | None]:
    """How the model's own project goes over time, and how it normalises a song (None: not at all)."""
    unbiased = False if facts.get("normalised") else None
    match facts.get("architecture"), facts.get("overlap"):
        case "htdemucs", None:
            return manners.demucs, True
        case "htdemucs", _:  # came with a yaml: Music-Source-Separation-Training trained it
            return manners.msst_htdemucs, unbiased
        case "mdx", _:
            return manners.mdx, None
    return manners.msst, unbiased
