"""`stemwright models`: what models there are, and what is known about one."""

from __future__ import annotations

import json as jsons
from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from stemwright.zoo import catalog

models = App(name="models", help="List the models, or show one with its scores.")
Flag = Annotated[bool, Parameter(negative=())]


@models.command(name="list")
def list_models(*, json: Flag = False) -> None:
    """List the models that can be used.

    Parameters
    ----------
    json
        Print one JSON object for all of them.
    """
    cards = [catalog.card(name) for name in catalog.names()]
    if json:
        _print_json({"models": [_facts(card) for card in cards]})
        return
    table = Table("model", "stems", "architecture", "licence", box=None)
    for card in cards:
        table.add_row(card.name, str(len(card.stems)), card.architecture, card.licence)
    Console(highlight=False).print(table)


@models.command
def show(name: str, /, *, json: Flag = False) -> None:
    """Show a model's card.

    Parameters
    ----------
    name
        A model from the list.
    json
        Print it as one JSON object.
    """
    facts = _facts(catalog.card(name))
    if json:
        _print_json(facts)
        return
    table = Table("", "", box=None, show_header=False)
    for field, value in facts.items():
        table.add_row(field, _told(value))
    Console(highlight=False).print(table, markup=False)


def _facts(card: catalog.Card) -> dict[str, Any]:
    """What a person may want to know of a card: not the edges of 592 mask columns."""
    facts = {field: value for field, value in asdict(card).items() if field not in ("mask_bins", "stft")}
    return facts | {"segment_seconds": round(card.segment_seconds, 3)}


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_told(part)}" for key, part in value.items()) or "–"
    return ", ".join(map(str, value)) or "–" if isinstance(value, list | tuple) else str(value)


def _print_json(value: object) -> None:
    Console(highlight=False).print(jsons.dumps(value), markup=False, soft_wrap=True)
