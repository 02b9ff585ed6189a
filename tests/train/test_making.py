"""The whole recipe on tiny songs: what comes out is a model that the engine can open, with an honest card."""

from pathlib import Path

import numpy as np
import pytest

from stemwright.errors import BadRecipe
from stemwright.train.loop import Plan, run
from stemwright.train.making import opened, ship
from stemwright.train.recipe import load_recipe
from stemwright.zoo import catalog
from tests.train.examples import RECIPE, write_data


def test_what_is_shipped_opens_and_sums_to_the_mix(tmp_path: Path) -> None:
    plan = Plan(write_data(tmp_path), tmp_path / "run", stop_at=1)
    run(RECIPE, plan)
    out = ship(RECIPE, plan, tmp_path / "shipped")
    card = catalog.read(out / "tiny.toml")
    assert card.made_by["steps"] == 1
    assert card.made_by["songs"] == 2
    assert card.made_by["heard"] == ["noise: CC0-1.0"]
    assert set(card.scores["test"]) == {"vocals", "drums", "bass", "guitar", "synth", "percussion"}
    assert "brass" in card.experimental
    separator = opened(out / "tiny.toml", out / "tiny.onnx")
    mix = np.random.default_rng(0).standard_normal((1, 2, separator.segment)).astype(np.float32)
    np.testing.assert_allclose(separator(mix).sum(1), mix, atol=1e-3)
    assert {path.name for path in (out / "test").iterdir()} == {"evaluation.json", "evaluation.txt", "evaluation.png"}


@pytest.mark.parametrize("name", ["twelve", "twelve-gpu"])
def test_the_recipes_of_the_package(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.net == load_recipe("twelve").net


@pytest.mark.parametrize("text", ["no = [", 'name = "x"', "seed = 1\nunknown = 2"])
def test_a_recipe_that_is_not_valid_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(BadRecipe, match=r"mine\.toml"):
        load_recipe(tmp_path / "mine.toml")
    with pytest.raises(BadRecipe):
        load_recipe("nothing")
