"""Every one of the wire's instruments comes out of every kind of model, as close as it can be."""

from __future__ import annotations

import pytest

from stemwright.server import running, tasks
from stemwright.server.settings import Settings
from stemwright.server.stem_names import HEADS, MEGA, NEAREST, label, nearest
from stemwright.zoo import catalog, published, recipes


def task(**fields: object) -> tasks.Task:
    empty = dict.fromkeys(tasks.Task.__dataclass_fields__)
    return tasks.Task(**{**empty, "kind": "split_stem_advanced", **fields})  # type: ignore[arg-type]


def test_the_bundled_model_gives_the_nearest_of_its_twelve() -> None:
    assert {name: nearest(name, catalog.card("twelve").stems) for name in NEAREST} == NEAREST


def test_the_mega_model_has_a_head_for_all_but_effects() -> None:
    assert set(NEAREST) - set(HEADS) == {"Risers", "Sound Effects"}
    heads = published.published(MEGA).stems
    assert set(HEADS.values()) <= set(heads)
    assert {name: nearest(name, heads) for name in HEADS} == HEADS


@pytest.mark.parametrize("name", sorted(set(recipes.names()) - {"drums"}))
def test_every_recipe_of_whole_songs_has_something_for_most_names(name: str) -> None:
    stems = recipes.recipe(name).split.leaves
    assert all(nearest(each, stems) in stems for each in NEAREST)


def test_a_drum_recipe_knows_its_parts_and_nothing_else() -> None:
    stems = recipes.recipe("drums").split.leaves
    assert [nearest(name, stems) for name in ("Kick", "Hi-Hat", "Cymbals", "Violin")] == [
        "kick",
        "hi_hat",
        "cymbals",
        None,
    ]


@pytest.mark.parametrize(
    ("stem_name", "asked", "allowed", "model", "preferred"),
    [
        ("Violin", None, (), "twelve", None),
        ("Violin", None, (MEGA,), "twelve", MEGA),
        ("Violin", "twelve", (MEGA,), "twelve", None),
        ("Violin", MEGA, (MEGA,), MEGA, None),
        ("Risers", None, (MEGA,), "twelve", None),
        ("Risers", MEGA, (MEGA,), "twelve", None),
        (None, None, (MEGA,), "twelve", None),
        (None, "four", ("four",), "four", None),
    ],
)
def test_which_model_a_task_gets(
    stem_name: str | None, asked: str | None, allowed: tuple[str, ...], model: str, preferred: str | None
) -> None:
    settings, asked_for = Settings(allowed_models=allowed), task(stem_name=stem_name, model=asked)
    assert running._model(settings, asked_for) == model
    assert running._instrument_model(settings, asked_for) == preferred


def test_labels_are_fit_for_a_url() -> None:
    assert [label(name) for name in ("hi_hat", "Lead Guitar", "fx", "a & b", "Without 808")] == [
        "Hi_Hat",
        "Lead_Guitar",
        "FX",
        "A_B",
        "Without_808",
    ]
