"""Whether models that somebody counts on can run on this machine, and whether their licences are allowed here."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from stemwright.errors import ExtraMissing, StemwrightError
from stemwright.zoo import catalog
from stemwright.zoo.names import known, needs
from stemwright.zoo.published import ALLOWED, Published, members, policy
from stemwright.zoo.recipes import Recipe


def obstacles(names: Iterable[str]) -> dict[str, StemwrightError]:
    """What keeps each of these models and recipes from running here; those that nothing keeps are left out.

    Raises nothing and opens nothing: neither weights nor torch.
    """
    found = {name: _obstacle(name) for name in names}
    return {name: error for name, error in found.items() if error}


def not_allowed(names: Iterable[str]) -> list[Published]:
    """The cards of public models among these, and in these recipes, whose licence the policy does not allow."""
    cards = {card.name: card for name in names for card in needs(name)}
    return [card for card in cards.values() if card.licence_class not in ALLOWED[policy()]]


def needs_torch(name: str) -> bool:
    """Whether PyTorch runs this model, or one of this recipe's; raises what keeps it from running."""
    models, recipe = (name,), known(name)
    if isinstance(recipe, Recipe):
        recipe.check()
        models = recipe.split.models
    parts = [part for model in models if model not in catalog.names() for part in members(model)]
    return any(part.facts["architecture"] not in ("mdx", catalog.TRAINED) for part in parts)


def _obstacle(name: str) -> StemwrightError | None:
    try:
        if needs_torch(name) and find_spec("torch") is None:
            return ExtraMissing(extra="torch", missing=f"PyTorch (for the model {name})")
    except StemwrightError as error:
        return error
    return None
