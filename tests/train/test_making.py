"""The whole recipe on tiny songs: what comes out is a model that the engine can open, with an honest card."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stemwright.audio.parts import hold
from stemwright.errors import BadRecipe, NoReferences, NoRun, NoSuchDevice, OtherRecipe, RunBusy, SpoiledSong
from stemwright.train import making
from stemwright.train.learning.export import Provenance, export
from stemwright.train.learning.loop import Plan, Trainer, run
from stemwright.train.learning.recipe import load_recipe
from stemwright.train.learning.songs import complete_songs
from stemwright.train.making import Course, make, opened, plan_of, ship
from stemwright.zoo import catalog
from tests.train.examples import RECIPE, write_data

CPU = torch.device("cpu")


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
    told = {path.name for path in (out / "tiny" / "test").iterdir()}
    assert told == {"evaluation.json", "evaluation.txt", "evaluation.png"}
    assert json.loads((out / "tiny" / "test" / "evaluation.json").read_text())["model"] == "tiny"
    assert (out / "tiny" / "curve.png").exists()


@pytest.mark.parametrize("name", ["twelve", "twelve-gpu"])
def test_the_recipes_of_the_package(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.net == load_recipe("twelve").net


def test_the_recipe_of_the_guide_for_songs_of_one_s_own_needs_nothing_else(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = next(block for block in (root / "docs/guide/own-songs.md").read_text().split("```") if "\nsed " in block)
    command = command.removeprefix("sh").replace("> mine.toml", f"> '{tmp_path}/mine.toml'")
    subprocess.run(["sh", "-c", command], cwd=root, check=True)
    mine, ours = load_recipe(tmp_path / "mine.toml"), load_recipe("twelve")
    assert (mine.name, mine.net, mine.songs.recordings) == ("mine", ours.net, False)
    assert mine.steps == mine.finish_steps < ours.steps
    assert mine.rates.muon < ours.rates.muon


TINY = """
name = "tiny"
seed = 0
steps = 6
finish_steps = 2
batch = 1
frames = 16
[songs]
train = 1
val = 1
test = 1
seconds = 2
held_out_seconds = 2.0
[rates]
muon = 4e-3
adamw = 2e-3
warmup_steps = 2
ema = 0.9
clip = 1
[net]
width = 16
dilations = [1, 2]
"""


@pytest.mark.parametrize(
    ("line", "instead", "told"),
    [
        ("seed = 0", "no = [", "Invalid value"),
        ("finish_steps = 2", "finsh_steps = 2", "'finsh_steps' is not known; 'finish_steps' is"),
        ("finish_steps = 2", "finish_steps = 7", "more than steps"),
        ("steps = 6\n", "", "steps is missing"),
        ("width = 16", "widht = 16", r"'widht' in \[net\] is not known"),
        ("muon = 4e-3", 'muon = "4e-3"', r"muon in \[rates\] is '4e-3', which is no number"),
        ("batch = 1", "batch = 0", "must be above 0"),
        ("clip = 1", "clip = nan", "must be above 0"),
        ('"tiny"', '"../tiny"', "files are named after it"),
        ("[rates]", "[rate]", r"no table \[rates\]"),
        ('"tiny"', "3", "files are named after it"),
        ("seed = 0", "seed = -1", "from 0 to 9223372036854775807"),
        ("seed = 0", f"seed = {1 << 63}", "from 0 to 9223372036854775807"),
        ("finish_steps = 2", "finish_steps = -2", "from 0 on"),
        ("ema = 0.9", "ema = 1.5", r"ema in \[rates\] is 1.5, and must be from 0 to 0.999999"),
        ("\nseconds = 2", "\nseconds = 0.5", r"seconds in \[songs\] is 0.5, and must be from 1 to 3600"),
        ("[1, 2]", "3", r"dilations in \[net\] is 3, which is no list"),
        ("[1, 2]", '["a"]', r"dilations in \[net\] is 'a', which is no whole number"),
        ("[1, 2]", "[1, 0]", r"dilations in \[net\] is 0, and must be above 0"),
        ("width = 16", "rate = 48000", r"'rate' in \[net\] is not known"),
        ("width = 16", "zones = [1]", r"'zones' in \[net\] is not known"),
        ("width = 16", "n_fft = 2048", r"n_fft and hop in \[net\] do not go: 4096"),
        ("width = 16", "hop = 300", r"n_fft and hop in \[net\] do not go: 4096"),
    ],
)
def test_a_recipe_that_is_not_valid_says_where(tmp_path: Path, line: str, instead: str, told: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TINY)
    assert load_recipe(path).net.dilations == (1, 2)
    path.write_text(TINY.replace(line, instead))
    with pytest.raises(BadRecipe, match=rf"mine\.toml.*{told}"):
        load_recipe(path)


def test_a_recipe_may_say_that_there_are_no_details(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TINY + "details = 0\nlearned = 0\nhop = 1024\n")
    assert load_recipe(path).net.details == 0


def test_a_recipe_that_is_not_there_says_which_are() -> None:
    with pytest.raises(BadRecipe, match="twelve, twelve-gpu"):
        load_recipe("nothing")


def test_a_run_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    plan = plan_of(RECIPE, tmp_path)
    with pytest.raises(NoRun, match="tiny"):
        ship(RECIPE, plan, tmp_path / "shipped")
    with pytest.raises(NoSuchDevice, match="the device to train on is"):
        make(RECIPE, tmp_path, Course(device="tpu"), on_row=print)
    Trainer(replace(RECIPE, seed=4), CPU).save(plan.run / "checkpoint.safetensors")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OtherRecipe):
        make(RECIPE, tmp_path, Course(), on_row=print)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_longer_recipe_goes_on_and_one_that_has_ended_says_so(tmp_path: Path) -> None:
    write_data(tmp_path)
    done = replace(RECIPE, songs=replace(RECIPE.songs, train=0, val=0, test=0))
    for steps, until, told in ((6, 2, False), (6, None, False), (6, None, True), (9, None, False)):
        heard: list[str] = []
        course = Course(until=until)
        out = make(replace(done, steps=steps), tmp_path, course, on_row=lambda _: None, on_step=heard.append)
        assert catalog.read(out / "tiny.toml").made_by["steps"] == until or steps
        assert any(f"ended at step {steps}" in line for line in heard) == told


def test_a_card_without_a_commit_of_ours_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "__file__", str(tmp_path / "making.py"))
    commit = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"]
    for command in (["init", "-q"], commit):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert making._commit() == "unknown"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert making._commit() == "unknown"


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    run_folder = plan_of(RECIPE, tmp_path).run
    run_folder.mkdir(parents=True)
    with (run_folder / "running").open("wb") as other:
        hold(other)
        with pytest.raises(RunBusy, match="Another process trains"):
            make(RECIPE, tmp_path, Course(), on_row=print)
    assert not (tmp_path / "train").exists()


def test_what_was_shipped_stays_when_new_weights_cannot_be_measured(tmp_path: Path) -> None:
    data, out = write_data(tmp_path), tmp_path / "shipped"
    plan = Plan(data, tmp_path / "run")
    Trainer(RECIPE, CPU).save(plan.run / "checkpoint.safetensors")
    out.mkdir()
    (out / "tiny.toml").write_text("the card before")
    shutil.rmtree(data / "val")
    with pytest.raises(NoReferences):
        ship(RECIPE, plan, out)
    assert [path.name for path in out.iterdir()] == ["tiny.toml"]
    assert (out / "tiny.toml").read_text() == "the card before"


def test_a_spoiled_song_is_named_when_its_sources_are_asked_for(tmp_path: Path) -> None:
    (write_data(tmp_path) / "train" / "a" / "song.json").write_text("[1]")
    with pytest.raises(SpoiledSong, match=r"song\.json"):
        making.heard(tmp_path / "train")


def test_a_card_tells_also_what_the_model_before_was_made_of(tmp_path: Path) -> None:
    first = Provenance("tiny", "abc", steps=7, hours=1.5, songs=3, heard=("A choir: CC0-1.0",), licence="CC-BY-4.0")
    graph, card = tmp_path / "before.onnx", tmp_path / "before.toml"
    export(Trainer(RECIPE, CPU).net, "before", first, graph=graph, card=card)
    plan = Plan(write_data(tmp_path), tmp_path / "run", start=catalog.read(card, home=tmp_path))
    run(RECIPE, plan)
    made = catalog.read(ship(RECIPE, plan, tmp_path / "shipped") / "tiny.toml")
    assert made.licence == "CC-BY-4.0"
    assert made.made_by["steps"] == 7 + RECIPE.steps
    assert made.made_by["hours"] >= 1.5
    assert made.made_by["songs"] == 3 + len(complete_songs(plan.data / "train"))
    assert "A choir: CC0-1.0" in made.made_by["heard"]
    assert made.made_by["notes"] == "Begun with before, made by commit abc."
