"""Recipes are trees of models: whatever they are made of, their stems sum to the song, and each says who made it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tiny import install, install_all  # noqa: E402
from upstream_files import tones  # noqa: E402

import stemwright  # noqa: E402
from stemwright import errors  # noqa: E402
from stemwright.zoo import catalog, files, foreign, names, networks, profiles, published, recipes, trees  # noqa: E402

pytestmark = pytest.mark.usefixtures("models")
SONG = tones(50_000).numpy()[0]
TWELVE = ["vocals", "backing_vocals", "drums", "bass", "guitar", "keyboard", "strings", "brass", "woodwinds"]
TWELVE += ["percussion", "synth", "fx"]


def written(models: Path, name: str, text: str) -> None:
    (models / "recipes").mkdir(parents=True, exist_ok=True)
    (models / "recipes" / f"{name}.toml").write_text(text, "utf-8")


@pytest.mark.parametrize("name", sorted(path.stem for path in files.RECIPES.glob("*.toml")))
def test_the_stems_of_every_recipe_sum_to_the_song(name: str, tmp_path: Path) -> None:
    recipe = recipes.recipe(name)
    install_all(recipe)
    done = stemwright.separate(SONG, rate=44100, model=name)
    assert set(done.stems) == set(recipe.split.leaves)
    np.testing.assert_allclose(sum(done.stems.values()), SONG, atol=1e-5)
    assert {model for fact in done.facts.values() for model in fact.model.split(" + ")} <= set(recipe.split.models)


@pytest.mark.parametrize("name", sorted(path.stem for path in files.RECIPES.glob("*.toml")))
def test_a_recipe_names_stems_that_its_models_give(name: str) -> None:
    """By the published cards: what is not here cannot be asked."""

    def check(split: recipes.Split) -> None:
        if split.model and split.model not in catalog.names():
            given = networks.covering(published.published(split.model).stems)
            taken = [member for members in split.sums.values() for member in members]
            assert set(taken) <= set(given)
            assert len(set(taken)) == len(taken)
            assert split.rest or set(taken) == set(given)
        for inner in (*split.members, *split.then.values()):
            check(inner)

    check(recipes.recipe(name).split)


def test_the_recipes_are_those_that_were_promised() -> None:
    promised = {"fast", "twelve-twice", "vocals", "four", "six", "karaoke", "drums", "twelve-best"}
    assert promised <= set(recipes.names())
    assert recipes.recipe("karaoke").split.leaves == ("vocals", "backing_vocals", "instrumental")
    assert recipes.recipe("drums").split.leaves == ("kick", "snare", "toms", "hi_hat", "cymbals", "no_drums")
    assert list(recipes.recipe("twelve-best").origins) == TWELVE
    assert list(recipes.recipe("twelve-best-permissive").origins) == TWELVE
    for name in recipes.names():
        if name.endswith("-permissive"):
            assert recipes.recipe(name).licence_class == "permissive"


def test_what_is_heard_twice_sums_to_the_song_and_is_of_the_bundled_model() -> None:
    once, twice = (stemwright.separate(SONG, rate=44100, model=name) for name in ("fast", "twelve-twice"))
    assert list(twice.stems) == TWELVE
    assert {fact.model for fact in twice.facts.values()} == {"twelve"}
    np.testing.assert_allclose(sum(twice.stems.values()), SONG, atol=1e-4)
    assert np.abs(twice.stems["drums"] - once.stems["drums"]).max() > 1e-4  # the delayed one was heard


def test_only_the_splits_that_are_asked_for_are_made() -> None:
    recipe = recipes.recipe("twelve-best-permissive")
    install_all(recipe)
    two = trees.separator(
        recipe.name, {"v": ("vocals", "backing_vocals"), "i": tuple(set(TWELVE) - {"vocals", "backing_vocals"})}
    )
    assert two._node.passes == 1  # type: ignore[union-attr]
    bass = trees.separator(recipe.name, {"bass": ("bass",), "rest": tuple(set(TWELVE) - {"bass"})})
    assert bass._node.passes == 2  # type: ignore[union-attr]


def test_stems_asked_for_are_those_of_the_whole_recipe() -> None:
    install_all(recipes.recipe("six-permissive"))
    whole = stemwright.separate(SONG, rate=44100, model="six-permissive")
    part = stemwright.separate(SONG, rate=44100, model="six-permissive", stems=["drums", "guitar"], rest="others")
    assert list(part.stems) == ["drums", "guitar", "others"]
    # What the spools round off is shared out anew.
    np.testing.assert_allclose(part.stems["drums"], whole.stems["drums"], atol=1e-4)
    assert part.facts["guitar"].model == "twelve"
    assert part.facts["drums"].model == "scnet-large"


def test_vocals_and_instrumental_can_be_had_of_any_recipe_with_vocals() -> None:
    install_all(recipes.recipe("four-permissive"))
    done = stemwright.separate(SONG, rate=44100, model="four-permissive", two=True)
    assert list(done.stems) == ["vocals", "instrumental"]
    assert done.model == "four-permissive"


def test_an_ensemble_with_shifts_and_weights_of_ones_own(models: Path) -> None:
    install("a", "scnet", ("drums", "bass", "other", "vocals"))
    install("b", "htdemucs", ("drums", "bass", "other", "vocals"))
    install("c", "roformer", ("vocals",), rate=32000)
    four = '{ drums = ["drums"], bass = ["bass"], other = ["other"], vocals = ["vocals"] }'
    written(
        models,
        "mine",
        f"""
        [split]
        blend = "mean"
        stems = ["vocals", "drums", "bass", "other"]
        [[split.of]]
        model = "a"
        stems = {four}
        weights = {{ vocals = 0.5 }}
        [[split.of]]
        model = "b"
        stems = {four}
        shifts = 2
        [[split.of]]
        model = "c"
        stems = {{ vocals = ["vocals"] }}
        rest = "instrumental"
        """,
    )
    done = stemwright.separate(SONG, rate=44100, model="mine")
    assert list(done.stems) == ["vocals", "drums", "bass", "other"]
    assert done.facts["vocals"].model == "a + b + c"
    np.testing.assert_allclose(sum(done.stems.values()), SONG, atol=1e-5)


def test_a_recipe_whose_models_are_missing_says_what_to_pull() -> None:
    with pytest.raises(errors.RecipeIncomplete) as raised:
        stemwright.separate(SONG, rate=44100, model="four-permissive")
    said = str(raised.value)
    assert "kim-mel-vocals (913 MB, licence MIT), scnet-large (169 MB, licence MIT)" in said
    assert "1082 MB in all" in said
    assert "stemwright models pull four-permissive" in said


def test_files_of_a_recipe_leave_nothing_behind_when_it_is_cancelled(tmp_path: Path) -> None:
    install_all(recipes.recipe("four-permissive"))
    heard: list[float] = []

    def on_progress(progress: stemwright.Progress) -> None:
        heard.append(progress.fraction)

    with pytest.raises(errors.Cancelled):
        stemwright.separate_to(
            stemwright.Audio(SONG, 44100),
            tmp_path / "out",
            model="four-permissive",
            on_progress=on_progress,
            cancelled=lambda: max(heard, default=0) > 0.4,
        )
    assert heard == sorted(heard)
    assert not (tmp_path / "out").exists()


BLEND = '[split]\nblend = "mean"\nstems = ["a"]\n[[split.of]]\nmodel = "x"\nstems = { a = ["a"] }\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "split"),
        ('[split]\nmodel = "x"', "which stems of x"),
        ('[split]\nmodel = "x"\nstems = { a = ["a"] }\ncolour = 1', "colour means nothing"),
        ('licence = "MIT"\n[split]\nrecipe = "four"', "licence means nothing"),
        ('[split]\nrecipe = "bad"', "made of itself"),
        ('[split]\nmodel = 3\nstems = { a = ["a"] }', "not a name"),
        ('[split]\nmodel = "x"\nstems = { a = [1] }', "not a name"),
        ('[split]\nmodel = "x"\nstems = { a = "kick" }', "not lists"),
        ('[split]\nmodel = "x"\nstems = { a = ["a", "a"] }', "a of x is taken more than once"),
        ('[split]\nmodel = "x"\nstems = { a = ["a", "b"], c = ["b"] }', "b of x is taken more than once"),
        ('[split]\nmodel = "x"\nstems = { "../a" = ["a"] }', "'../a' cannot be a stem's name"),
        ('[split]\nmodel = "x"\nstems = { a = ["a"] }\nrest = "A"', "name of another"),
        ('about = 3\n[split]\nmodel = "x"\nstems = { a = ["a"] }', "about is 3, and no text"),
        (f"{BLEND}weights = {{ a = inf }}", "positive"),
        ('[split]\nmodel = "foo"\nstems = { a = ["a"] }', "there is no model foo"),
        ('[split]\nrecipe = "no-such"', "no model 'no-such'"),
        ('[split]\nblend = "loudest"\nstems = ["a"]\nof = []', "not one of mean"),
        ('[split]\nblend = "mean"\nstems = ["a"]\nof = []', "no member gives a"),
        ('[split]\nmodel = "x"\nstems = { a = ["a"] }\nshifts = 0', "from 1 to 20"),
        ('[split]\nmodel = "x"\nstems = { a = ["a"] }\nweights = { a = -1 }', "positive"),
        ('[split]\nmodel = "x"\nstems = { a = ["a"] }\nweights = { a = 1 }', "members of a blend"),
        (f"{BLEND}weights = {{ b = 1 }}", "given for b"),
        ('[split]\nrecipe = "four"\n[split.then.harp]\nmodel = "x"\nstems = { a = ["a"] }', "no stem 'harp'"),
        ('[split]\nrecipe = "four"\n[split.then.bass]\nmodel = "x"\nstems = { drums = ["a"] }', "name of another"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong_and_where(models: Path, text: str, words: str) -> None:
    written(models, "bad", text)
    with pytest.raises(errors.BadRecipe, match=words) as raised:
        recipes.recipe("bad")
    assert "bad.toml" in str(raised.value)


def test_a_recipe_that_changes_changes_those_made_of_it(models: Path) -> None:
    install("m", "scnet", ("drums", "bass", "other", "vocals"))
    written(models, "inner", '[split]\nmodel = "m"\nstems = { a = ["drums"] }\nrest = "b"')
    written(models, "outer", '[split]\nrecipe = "inner"')
    assert recipes.recipe("outer").split.leaves == ("a", "b")
    written(models, "inner", '[split]\nmodel = "m"\nstems = { kick = ["drums"] }\nrest = "b"')
    assert recipes.recipe("outer").split.leaves == ("kick", "b")


def test_recipes_that_are_made_of_one_another_are_told_with_the_chain(models: Path) -> None:
    written(models, "a", '[split]\nrecipe = "b"')
    written(models, "b", '[split]\nrecipe = "a"')
    with pytest.raises(errors.BadRecipe, match=r"b\.toml.* made of itself: a → b → a"):
        recipes.recipe("a")
    assert {"a", "b"}.isdisjoint(recipe.name for recipe in recipes.listing())


def test_a_recipe_that_is_broken_is_told_and_the_others_are_listed(models: Path) -> None:
    written(models, "good", '[split]\nrecipe = "four"')
    written(models, "broken", "[split")
    written(models, "un named", '[split]\nrecipe = "four"')
    assert {"good", "four"} <= {recipe.name for recipe in recipes.listing()}
    told = [str(error) for error in recipes.broken()]
    assert [name in line for name, line in zip(("broken.toml", "un named.toml"), told, strict=True)] == [True, True]


@pytest.mark.parametrize("name", ["twelve", "htdemucs", "fast", "taken-in"])
def test_a_recipe_hides_no_model_and_no_other_recipe(models: Path, name: str) -> None:
    install("taken-in", "roformer", ("vocals",))
    written(models, name, '[split]\nrecipe = "four"')
    assert recipes.is_recipe(name) == (name == "fast")
    (error,) = recipes.broken()
    assert f"'{name}' is the name of another recipe or model" in str(error)


def test_a_recipe_that_does_not_fit_its_model_is_refused(models: Path) -> None:
    install("c", "roformer", ("vocals",))
    written(models, "odd", '[split]\nmodel = "c"\nstems = { harp = ["harp"] }\nrest = "other"')
    assert recipes.recipe("odd").licence_class == "unknown"  # nobody has said that of a model that was taken in
    with pytest.raises(errors.BadRecipe, match=r"no stem 'harp' in the model c.*[^.]\.$"):
        trees.separator("odd", {"harp": ("harp",), "other": ("other",)})


def test_a_recipe_has_no_upstream_and_its_name_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(errors.UnknownProfile, match="four has no profile"):
        profiles.refuse("upstream", "four")
    (tmp_path / "four.ckpt").write_bytes(b"")
    with pytest.raises(errors.NameTaken, match="four"):
        foreign.add(tmp_path / "four.ckpt")


def test_a_name_stands_for_what_is_here_of_it() -> None:
    with pytest.raises(errors.NotInstalled, match="karaoke"):
        names.parts("karaoke")
    install("htdemucs-ft-drums", "htdemucs", ("drums", "bass", "other", "vocals"))
    install("kim-mel-vocals", "roformer", ("vocals",))
    assert names.parts("htdemucs-ft") == ("htdemucs-ft-drums",)
    assert names.parts("karaoke") == names.parts("kim-mel-vocals") == ("kim-mel-vocals",)


def test_the_guide_s_recipe_is_one(models: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "guide" / "public-models.md").read_text("utf-8")
    written(models, "guide", page.split("```toml\n")[1].split("```")[0])
    assert recipes.recipe("guide").split.leaves == ("vocals", "kick", "snare", "toms", "hi_hat", "cymbals", "rest")
    assert all(f"`{path.stem}`" in page for path in files.RECIPES.glob("*.toml"))
