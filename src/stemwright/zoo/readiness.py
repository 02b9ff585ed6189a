"""Whether models that somebody counts on can run on this machine, and whether their licences are allowed here."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from stemwright.errors import ExtraMissing, StemwrightError
from stemwright.zoo import catalog, recipes
from stemwright.zoo.published import ALLOWED, Published, members, policy, published
from stemwright.zoo.published import names as published_names


def obstacles(names: Iterable[str]) -> dict[str, StemwrightError]:
    """What keeps each of these models and recipes from running here; those that nothing keeps are left out.

    Raises nothing and opens nothing: neither weights nor torch.
    """
    found = {name: _obstacle(name) for name in names}
    return {name: error for name, error in found.items() if error}


def not_allowed(names: Iterable[str]) -> list[Published]:
    """The cards of public models among these, and in these recipes, whose licence the policy does not allow."""
    cards = {card.name: card for name in names for card in _cards(name)}
    return [card for card in cards.values() if card.licence_class not in ALLOWED[policy()]]


def needs_torch(name: str) -> bool:
    """Whether PyTorch runs this model, or one of this recipe's; raises what keeps it from running."""
    if recipes.is_recipe(name):
        recipes.recipe(name).check()
        models = recipes.recipe(name).split.models
    else:
        models = (name,)
    parts = [part for model in models if model not in catalog.names() for part in members(model)]
    return any(part.facts["architecture"] not in ("mdx", catalog.TRAINED) for part in parts)


def _obstacle(name: str) -> StemwrightError | None:
    try:
        if needs_torch(name) and find_spec("torch") is None:
            return ExtraMissing(extra="torch", missing=f"PyTorch (for the model {name})")
    except StemwrightError as error:
        return error
    return None


def _cards(name: str) -> tuple[Published, ...]:
    if recipes.is_recipe(name):
        return recipes.recipe(name).needs
    return (published(name),) if name in published_names() else ()
