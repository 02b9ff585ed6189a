"""What there is to know of models and recipes: as plain values, and in the tables of `stemwright models`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from stemwright.terminal import plain
from stemwright.zoo import catalog, installed, published, recipes
from stemwright.zoo.installed import Installed
from stemwright.zoo.names import Known

_UNTOLD = ("mask_bins", "stft", "home")
"""Facts of a card that nobody wants to read, such as the edges of 592 mask columns."""


def facts(known: Known) -> dict[str, Any]:
    """What a person may want to know of a model or recipe, as plain values."""
    match known:
        case recipes.Recipe():
            return _recipe(known)
        case published.Published():
            return _published(known)
        case catalog.Card(home=catalog.WEIGHTS):
            return _bundled(known)
        case catalog.Card(name=name) | Installed(name=name):
            return _installed(*published.members(name))


def print_facts(facts: dict[str, Any]) -> None:
    """Prints a line for each, or several where it has them."""
    table = Table("", Column(overflow="fold"), box=None, show_header=False)
    for field, value in facts.items():
        table.add_row(field, Text("\n".join(map(plain, told(value).split("\n")))))
    _print_table(table, width=120)


def print_recipes(trees: Sequence[recipes.Recipe]) -> None:
    """Prints what each is made of, and what there is to fetch for it."""
    models = Column("models", overflow="fold")
    table = Table(Column("recipe", no_wrap=True), "stems", models, "size", "licences", "here", box=None)
    for tree in trees:
        known = sum(card.bytes or 0 for card in tree.needs)
        bytes_told = ("> " if known and tree.bytes is None else "") + size(known) if tree.needs else "–"
        here = "" if tree.missing() else "yes"
        of = ("\n" if _is_watched() else ", ").join(tree.split.models)
        table.add_row(tree.name, str(len(tree.split.leaves)), of, bytes_told, tree.licence_class, here)
    if trees:
        _print_table(table)


def print_models(
    ours: Sequence[catalog.Card],
    others: Sequence[published.Published],
    own: Sequence[Installed],
    measure: tuple[str, str] | None,
) -> None:
    """Prints the bundled, the published and the taken-in models, with the scores in a measure where there is one."""
    scored = [f"{measure[1]}, dB ({measure[0]})"] if measure else []
    name, (stems, family) = Column("model", no_wrap=True), (Column(of, overflow="fold") for of in ("stems", "family"))
    table = Table(name, "use", stems, family, "size", "licence", "here", *scored, box=None)
    for card in ours:
        table.add_row(card.name, "all", str(len(card.stems)), card.architecture, "bundled", card.licence, "yes")
    for card in others:
        table.add_row(*_row(card), *([_decibels(published.score(card, measure))] if measure else []))
    for model in own:
        made = plain(_stems(tuple(model.facts["stems"]))), plain(model.facts["architecture"])
        table.add_row(
            model.name, "", *made, size(_bytes(model)), plain(str(model.facts.get("licence", "unknown"))), "yes"
        )
    if table.row_count:
        _print_table(table)


def _row(card: published.Published) -> tuple[str, ...]:
    here = "yes" if published.here(card) else ""
    return card.name, card.use, _stems(card.stems), card.family, size(card.bytes), card.licence, here


def _print_table(table: Table, width: int = 1000) -> None:
    """As wide as the terminal; `width` where there is none: so wide that a row is a line and nothing is cut off."""
    Console(highlight=False, width=None if _is_watched() else width).print(table)


def _is_watched() -> bool:
    return Console().is_terminal


def _recipe(recipe: recipes.Recipe) -> dict[str, Any]:
    """A recipe as plain values: what it is for, which model makes which stem, and what has to be fetched for it."""
    made = {
        leaf: " + ".join(f"{model} ({', '.join(members)})" for model, members in origins)
        for leaf, origins in recipe.origins.items()
    }
    models = [
        {
            "name": card.name,
            "size": size(card.bytes),
            "licence": card.licence,
            "here": "here" if published.here(card) else "to be fetched",
        }
        for card in recipe.needs
    ]
    facts = {"name": recipe.name, "about": recipe.about, "use": recipe.use, "stems": made, "models": models}
    return facts | {"bytes": recipe.bytes, "licence_class": recipe.licence_class, "here": not recipe.missing()}


def _installed(model: Installed) -> dict[str, Any]:
    """A card's facts and what there is to know of a model that was taken in; how it was read is told in words."""
    facts = {
        key: value
        for key, value in model.facts.items()
        if key not in ("assumed", "contradictions", "left_out", *_UNTOLD)
    }
    return {"licence": "unknown", **facts, "bytes": _bytes(model), "here": True, **_here(model)}


def _bytes(model: Installed) -> int | None:
    return model.weights.stat().st_size if model.weights.is_file() else None


def _here(model: Installed) -> dict[str, Any]:
    """Of a model on this machine: how its files were read, and the least that half precision kept of it, in dB."""
    from stemwright.zoo import foreign, halving

    read = {"read": list(notes)} if (notes := foreign.notes(model.facts)) else {}
    return {"folder": str(model.folder), **read, "proved": halving.proofs(model)}


def _published(card: published.Published) -> dict[str, Any]:
    """A card's facts, and what there is to know of a model that is here."""
    here = published.here(card)
    model = installed.find(card.name) if here else None
    of_some = ("md5_tail", "members", "notes", "normalised")
    facts = {key: value for key, value in asdict(card).items() if value not in (None, "", ()) or key not in of_some}
    facts |= asdict(card.measured) | {"bytes": card.bytes, "here": here, "folder": None}
    return facts | (_here(model) if model else {})


def _bundled(card: catalog.Card) -> dict[str, Any]:
    """What a person may want to know of a card."""
    facts = {field: value for field, value in asdict(card).items() if field not in _UNTOLD}
    return facts | {"segment_seconds": round(card.segment_seconds, 3)}


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _stems(stems: tuple[str, ...]) -> str:
    return ", ".join(stems) if len(stems) <= 3 else str(len(stems))


def size(count: int | None) -> str:
    """How large a file is."""
    return f"{count / 1e6:.0f} MB" if count else "unknown"


def told(value: Any) -> str:
    """A fact in words."""
    if value is None or isinstance(value, bool):
        return {None: "unknown", True: "yes", False: "no"}[value]
    if isinstance(value, dict):
        return "\n".join(f"{key}: {told(part)}" for key, part in value.items()) or "–"
    if isinstance(value, list | tuple) and any(isinstance(part, dict) for part in value):
        return "\n".join(" ".join(f"{part[key]}" for key in part) for part in value)
    return ", ".join(map(str, value)) or "–" if isinstance(value, list | tuple) else str(value)
