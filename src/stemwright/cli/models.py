"""`stemwright models`: what models there are, what is known about each, and bringing them onto this machine."""

from __future__ import annotations

import json as jsons
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import App
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from stemwright.cli import cards
from stemwright.cli.options import Count, Flag
from stemwright.errors import BadCard, BadWeights, NothingAllowed, NothingNamed, StemwrightError, UnknownUse
from stemwright.terminal import plain
from stemwright.zoo import catalog, files, installed, published, recipes
from stemwright.zoo.names import known, parts

if TYPE_CHECKING:
    from stemwright.zoo.fetch import Fetched, OnFetched

models = App(name="models", help="List, show, fetch, take in and remove models.")

Sorting = Literal["name", "use", "size", "licence", "score"]
Policy = Literal["permissive", "noncommercial", "any"]


@models.command(name="list")
def list_models(
    *,
    use: str | None = None,
    stem: str | None = None,
    licences: Policy = "any",
    here: Flag = False,
    sort: Sorting = "use",
    json: Flag = False,
) -> None:
    """List recipes, the bundled model and the public ones that can be fetched.

    Parameters
    ----------
    use
        Only those for a use: vocals, instrumental, karaoke, four, six, drum parts, guitar, dereverb …
    stem
        Only those that give this stem.
    licences
        Only those that this licence policy allows.
    here
        Only those on this machine.
    sort
        By name, use, size, licence or published score: the one that most of them have, in a column of its own.
    json
        Print one JSON object for all of them.
    """
    ours = [catalog.card(name) for name in catalog.names()] if use is None else []
    ours = [card for card in ours if stem is None or stem in card.stems]
    others = published.listing(use=use, stem=stem, policy=licences, only_here=here, sort=sort)
    trees = recipes.listing(use=use, stem=stem, policy=licences, only_here=here)
    every, wrong = installed.readable()
    taken_in = [model for model in every if model.name not in files.published()]
    own = [model for model in taken_in if stem in (None, *model.facts["stems"])]
    own = own if use is None and licences == "any" else []
    for error in [*recipes.broken(), *wrong]:
        _complain(error)
    if json:
        _print_json({"recipes": [*map(cards.facts, trees)], "models": [*map(cards.facts, [*ours, *others, *own])]})
        return
    cards.print_recipes(trees)
    cards.print_models(ours, others, own, published.measure(others, stem) if sort == "score" else None)
    if not (trees or ours or others or own):
        _say("There is none of these. `stemwright models list` shows all.")


@models.command
def show(name: str, /, *, json: Flag = False) -> None:
    """Show a model's card, or what a recipe is made of.

    Parameters
    ----------
    name
        A model or recipe from the list.
    json
        Print it as one JSON object.
    """
    installed.find(name)  # for its complaint: a card of its own that cannot be read leaves a public model not here
    facts = cards.facts(known(name))
    if json:
        _print_json(facts)
    else:
        cards.print_facts(facts)


@models.command
def pull(*names: str, yes: Flag = False, at_once: Count = 3) -> int:
    """Fetch public models: resumed where it was cut, verified, converted, installed all or nothing.

    Parameters
    ----------
    names
        Models from the list, and recipes: all that they need.
    yes
        Accept their licences, whatever the policy (STEMWRIGHT_LICENCES) says.
    at_once
        How many to fetch side by side.
    """
    from stemwright.zoo import fetch

    if not names:
        raise NothingNamed
    for name in names:
        if not fetch.expanded([name]):
            _say(f"{name}: here, and there is nothing to fetch for it")
    return _fetch(fetch.expanded(names), accepted=yes, at_once=at_once)


@models.command
def prefetch(use: str, /, *, licences: Policy = "permissive") -> int:
    """Fetch every public model for a use that a licence policy allows, before it is needed.

    Parameters
    ----------
    use
        A use from the list.
    licences
        The policy; what it does not allow is left out.
    """
    if use not in (uses := sorted({card.use for card in published.listing()})):
        raise UnknownUse(use=use, choices=", ".join(uses))
    wanted = [card.name for card in published.listing(use=use, policy=licences) if card.weights or card.members]
    if not wanted:
        raise NothingAllowed(use=use, policy=licences)
    return _fetch(wanted, accepted=True)


@models.command
def add(file: Path, /, *, config: Path | None = None, name: str | None = None, stems: str | None = None) -> None:
    """Take in a checkpoint of another project (.th, .ckpt, .chpt, .pth, .safetensors, .onnx; no code in it is run) or a
    model of your own: the card (.toml) that `stemwright train` wrote.

    Parameters
    ----------
    file
        The checkpoint, or the card beside its graph.
    config
        The yaml that came with it.
    name
        What to call the model; the file's name by default.
    stems
        Names of its outputs, separated by commas, where no file says them.
    """
    from stemwright.zoo import foreign

    added = foreign.add(file, name=name, config=config, stems=tuple(filter(None, (stems or "").split(","))))
    facts = added.model.facts
    _say(f"{added.model.name}: {facts['architecture']}, stems {cards.told(facts['stems'])}")
    _tell_notes(facts)


@models.command
def remove(name: str, /) -> None:
    """Delete a fetched or taken-in model from this machine, or what has been fetched of one.

    Parameters
    ----------
    name
        The model; or a recipe: what can be fetched for it, which other recipes may need too.
    """
    for part in parts(name, or_half=True):
        _say(f"{part} removed, {cards.size(installed.remove(part))} freed")


@models.command
def verify(*names: str) -> int:
    """Read the weights of models on this machine through and compare them with their cards.

    Parameters
    ----------
    names
        The models, and recipes: what is here of them; all by default.
    """
    found = dict.fromkeys(part for name in names for part in parts(name)) if names else installed.names()
    wrong: list[StemwrightError] = []
    for name in found:
        try:
            installed.verify(name)
            _say(f"{name}: as its card says")
        except (BadCard, BadWeights) as error:
            wrong.append(error)
            _complain(error)
    if not found:
        _say("No model was fetched yet: there is only the bundled one.")
    return 1 if wrong else 0


def _fetch(names: Sequence[str], *, accepted: bool, at_once: int = 3) -> int:
    """Prints the licences, fetches, tells what came of each; the command's exit status."""
    from stemwright.zoo import fetch

    for card in map(published.published, names):
        _say(f"{card.name}: licence {card.licence} ({card.licence_stated})", error=True)
    with _bars() as on_fetched:
        done = fetch.pull_many(names, accepted=accepted, on_fetched=on_fetched, at_once=at_once)
    return _ended(done)


@contextmanager
def _bars() -> Iterator[OnFetched]:
    """Progress bars, one a file, where somebody watches."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks: dict[tuple[str, str], TaskID] = {}

        def on_fetched(at: Fetched) -> None:
            key = (at.model, at.file)
            if key not in tasks:
                tasks[key] = progress.add_task(at.model)
            progress.update(tasks[key], completed=at.done, total=at.total)

        yield on_fetched


def _ended(done: dict[str, Any]) -> int:
    """Prints what came of each model, with what its owner should know; the command's exit status."""
    for name, came in done.items():
        if isinstance(came, Exception):
            told = str(came)
            _say(told if name in told else f"{name}: {told}", error=True)
            continue
        _say(f"{name}: here")
        for model in came:
            _tell_notes(model.facts)
    return 1 if any(isinstance(came, Exception) for came in done.values()) else 0


def _say(text: object, *, error: bool = False) -> None:
    Console(stderr=error, highlight=False).print(plain(str(text)), markup=False, soft_wrap=True)


def _tell_notes(facts: dict[str, Any]) -> None:
    """What an owner should know of how a model's files were read."""
    from stemwright.zoo import foreign

    for note in foreign.notes(facts):
        _say(f"  {note}")


def _complain(error: Exception) -> None:
    _say(" ".join(str(error).split()), error=True)


def _print_json(value: object) -> None:
    Console(highlight=False).print(jsons.dumps(value), markup=False, soft_wrap=True)
