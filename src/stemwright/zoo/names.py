"""What a name stands for: a recipe, a net of our own, a public model, or one that was taken in. It is decided here."""

from __future__ import annotations

from stemwright.errors import NotInstalled, UnknownModel
from stemwright.zoo import catalog, files, installed, recipes
from stemwright.zoo.catalog import Card
from stemwright.zoo.installed import Installed
from stemwright.zoo.published import Published, published
from stemwright.zoo.recipes import Recipe

Known = Recipe | Card | Published | Installed
"""A card of our own is the bundled model's, or that of one which somebody trained and took in."""


def known(name: str) -> Known:
    """What there is to know of the model or recipe of that name, whether it is on this machine or not.

    Raises UnknownModel, with what may be meant by it, BadRecipe and BadCard.
    """
    if not isinstance(name, str):  # None, where somebody meant the default
        raise UnknownModel(model=name)
    if recipes.is_recipe(name):
        return recipes.recipe(name)
    if card := catalog.ours(name):
        return card
    return (None if name in files.published() else installed.find(name)) or published(name)


def needs(name: str) -> tuple[Published, ...]:
    """The public models that a name asks for: a recipe's, or itself; none for any other. Raises BadRecipe."""
    if recipes.is_recipe(name):
        return recipes.recipe(name).needs
    return (published(name),) if name in files.published() else ()


def parts(name: str, *, or_half: bool = False) -> tuple[str, ...]:
    """Models on this machine that a name stands for: itself, members of a bag, what a recipe had fetched.

    `or_half` adds those of which a part has been fetched. Raises NotInstalled where there is none, BadRecipe.
    """
    wanted = dict.fromkeys([name, *(member for card in needs(name) for member in card.members or (card.name,))])
    here = installed.names()
    if found := tuple(each for each in wanted if each in here or (or_half and installed.is_half(each))):
        return found
    raise NotInstalled(model=name)
