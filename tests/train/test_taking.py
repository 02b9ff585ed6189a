"""Songs that somebody gives: what they can teach, what is refused, and that a card tells of them."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from stemwright.audio.encode import open_stem
from stemwright.audio.formats import Sound
from stemwright.cli import run as run_command
from stemwright.errors import NotForTaking, NothingTold, StemwrightError
from stemwright.nets.bandsplit import STEMS
from stemwright.train.learning import progress
from stemwright.train.learning.batches import Drawer, Sizes
from stemwright.train.learning.export import GIVEN, NOT_CLEARED, OURS, RECORDED_TOO, Provenance, card_text
from stemwright.train.learning.loop import Trainer
from stemwright.train.learning.songs import PARTS, Song, complete_songs
from stemwright.train.making import Course, make
from stemwright.train.measuring.evaluate import evaluate
from stemwright.train.measuring.references import waiting
from stemwright.train.taking import Taken, take
from stemwright.zoo import catalog
from tests.train.examples import RECIPE, SMALL, write_data, write_song
from tests.train.test_evaluate import Halves, write_native, write_stems

RATE = 44100
CPU = torch.device("cpu")
MUSDB = ("vocals", "drums", "bass", "other")
WHOLE = ("vocals", "bgv", "drums", "percussion", "bass", "guitar", "piano")


def give(folder: Path, *titles: str, seconds: float = 1.5) -> Path:
    """A song's folder with a noise for every title."""
    return write_stems(folder, seconds=dict.fromkeys(titles, seconds))


def parts_of(data: Path, split: str = "train") -> list[set[str]]:
    return [set(song.stems) for song in complete_songs(data / split)]


def test_a_song_that_is_told_apart_has_its_stems(tmp_path: Path) -> None:
    give(tmp_path / "mine" / "A song", *WHOLE)
    assert take(tmp_path / "mine", tmp_path / "data") == Taken(taken=1)
    (song,) = complete_songs(tmp_path / "data" / "train")
    assert song.stems == ("vocals", "backing_vocals", "drums", "bass", "guitar", "keyboard", "percussion")
    assert song.samples == 1.5 * RATE
    assert not any(song.untold(stem) for stem in song.stems)
    facts = song.read_facts()
    assert (facts["name"], facts["seconds"]) == ("A song", 1.5)


@pytest.mark.parametrize("native", [False, True], ids=["folders", "stem.mp4"])
def test_the_four_stems_of_musdb_are_sums_of_families(tmp_path: Path, native: bool) -> None:
    if native:
        (tmp_path / "musdb").mkdir()
        write_native(tmp_path / "musdb" / "song.stem.mp4")
    else:
        give(tmp_path / "musdb" / "train" / "Artist - Song", *MUSDB)
    assert take(tmp_path / "musdb", tmp_path / "data") == Taken(taken=1)
    (song,) = complete_songs(tmp_path / "data" / "train")
    assert song.stems == ("bass", "all_vocals", "all_drums", "rest")
    assert song.untold("all_drums") == ("drums", "percussion")
    assert song.untold("bass") == ()


def test_what_is_known_of_a_family_is_taken_and_the_others_are_one(tmp_path: Path) -> None:
    give(tmp_path / "mine", "vocals", "drums", "bass", "Guitar 1", "Guitar 2", "other")
    take(tmp_path / "mine", tmp_path / "data")
    (song,) = complete_songs(tmp_path / "data" / "train")
    assert song.stems == ("bass", "guitar", "all_vocals", "all_drums", "rest")
    assert song.untold("rest") == ("keyboard", "strings", "brass", "woodwinds", "synth", "fx")


def test_what_is_taken_is_what_was_given(tmp_path: Path) -> None:
    give(tmp_path / "mine", *MUSDB)
    take(tmp_path / "mine", tmp_path / "data")
    (given,), (taken,) = waiting(tmp_path / "mine"), waiting(tmp_path / "data" / "train")
    mix, again = given.read().mix, taken.read().mix
    np.testing.assert_allclose(again * (np.vdot(mix, again) / np.vdot(again, again)), mix, atol=1e-4)
    lines = evaluate(Halves(), tmp_path / "data" / "train", rivals=False).lines
    assert set(lines) == {"all vocals", "all drums", "bass", "rest", "accompaniment"}


def test_loud_mono_and_slow_files_are_taken_as_they_sound(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    tone = (3 * np.sin(2 * np.pi * 440 * np.arange(22050) / 22050)).astype(np.float32)
    for name, level in (("bass", 1.0), ("guitar", 0.1)):
        sound = Sound.of("wav-32f", dither=False)
        with open_stem(tmp_path / "mine" / f"{name}.wav", rate=22050, format=sound) as writer:
            writer.write(np.stack([tone, tone]) * np.float32(level))
    take(tmp_path / "mine", tmp_path / "data")
    (song,) = complete_songs(tmp_path / "data" / "train")
    assert song.samples == RATE
    bass, guitar = (song.stretch(stem, 0, RATE) for stem in ("bass", "guitar"))
    assert 0.98 < np.abs(bass).max() <= 0.99
    at = np.arange(2000, 42000)
    wanted = 0.99 * np.sin(2 * np.pi * 440 * at / RATE)
    np.testing.assert_allclose(bass[0, at], wanted, atol=0.02)
    np.testing.assert_allclose(guitar[:, at], bass[:, at] / 10, atol=1e-3)


def test_songs_that_cannot_teach_are_told_and_left_out(tmp_path: Path) -> None:
    mine, heard = tmp_path / "mine", list[StemwrightError]()
    give(mine / "karaoke", "vocals+guitar", "instrumental")
    give(mine / "untold", "Take 3", "drums")
    give(mine / "whole", *MUSDB)
    (give(mine / "broken", "drums", "bass") / "bass.wav").write_bytes(b"RIFF of nothing")
    write_stems(mine / "uneven", seconds={"drums": 1.5, "bass": 1.2})
    write_stems(mine / "silent", seconds={"drums": 1.5}, level=0)
    assert take(mine, tmp_path / "data", on_problem=heard.append) == Taken(taken=1, left_out=5)
    told = "\n".join(map(str, heard))
    assert "karaoke cannot be learned from: its vocals+guitar" in told
    for words in ("'Take 3' does not tell", "bass.wav", "uneven have different lengths", "silent is silent"):
        assert words in told
    assert len(list((tmp_path / "data").rglob("taken-*"))) == 1


@pytest.mark.parametrize(
    ("files", "parts"),
    [
        (("vocals", "instrumental"), ("all_vocals", "accompaniment")),
        (("lead vocals", "bgv", "karaoke"), ("vocals", "backing_vocals", "accompaniment")),
        (("vocals", "drums", "other"), ("all_vocals", "accompaniment")),
        (("instrumental",), ("accompaniment",)),
    ],
)
def test_what_is_known_as_an_accompaniment_is_one(
    files: tuple[str, ...], parts: tuple[str, ...], tmp_path: Path
) -> None:
    give(tmp_path / "mine" / "A song", *files)
    assert take(tmp_path / "mine", tmp_path / "data") == Taken(taken=1)
    (song,) = complete_songs(tmp_path / "data" / "train")
    assert song.stems == parts
    assert set(song.untold("accompaniment")) == set(STEMS) - {"vocals", "backing_vocals"}
    (given,), (taken,) = waiting(tmp_path / "mine"), waiting(tmp_path / "data" / "train")
    mix, again = given.read().mix, taken.read().mix
    np.testing.assert_allclose(again * (np.vdot(mix, again) / np.vdot(again, again)), mix, atol=1e-4)
    assert set(evaluate(Halves(), tmp_path / "data" / "train", rivals=False).lines) >= {"accompaniment"}


def test_accompaniments_alone_teach_nothing(tmp_path: Path) -> None:
    write_song(tmp_path / "a", {"accompaniment": 0.1})
    with pytest.raises(NothingTold, match="accompaniments alone"):
        Drawer(complete_songs(tmp_path), Sizes(1, 8))
    write_song(tmp_path / "c", {"all_vocals": 0.1, "accompaniment": 0.1})
    drawn = [Drawer(complete_songs(tmp_path), Sizes(1, 8)).example(np.random.default_rng(seed)) for seed in range(30)]
    assert {len(example.parts) for example in drawn} == {1, 2}


def test_what_somebody_says_of_a_file_holds(tmp_path: Path) -> None:
    give(tmp_path / "mine", "vocals", "drums", "other")
    take(tmp_path / "mine", tmp_path / "data", mapping={"other": "guitar+keyboard"})
    (song,) = complete_songs(tmp_path / "data" / "train")
    assert song.stems == ("all_vocals", "all_drums", "rest")


def test_taking_again_keeps_what_is_there_and_renews_what_has_changed(tmp_path: Path) -> None:
    mine, data = tmp_path / "mine", tmp_path / "data"
    for name in ("a", "b"):
        give(mine / name, *MUSDB)
    assert take(mine, data) == Taken(taken=2)
    os.utime(mine / "b" / "bass.wav", (1, 1))
    (half,) = data.glob("train/taken-a-*")
    assert take(mine / "a", data) == Taken(kept=1)
    assert take(mine, data) == Taken(taken=1, kept=1)
    (half / "song.json").unlink()  # as a kill would have left it
    assert take(mine, data) == Taken(taken=1, kept=1)
    assert len(complete_songs(data / "train")) == 2


def test_a_song_is_not_trained_on_and_measured_too(tmp_path: Path) -> None:
    give(tmp_path / "mine" / "test" / "a", *MUSDB)
    heard = list[StemwrightError]()
    take(tmp_path / "mine" / "test", tmp_path / "data", split="test")
    assert take(tmp_path / "mine", tmp_path / "data", on_problem=heard.append) == Taken(left_out=1)
    assert "test already" in str(heard[0])
    assert not (tmp_path / "data" / "train").exists()


def test_a_data_set_is_not_taken(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    with pytest.raises(NotForTaking):
        take(tmp_path / "data" / "train", tmp_path / "more")


def test_a_net_learns_from_nothing_but_what_was_given(tmp_path: Path) -> None:
    """Also where hardly any stem is known: no draw of an example may ask for one that nobody plays."""
    write_song(tmp_path / "taken-a", {"keyboard": 0.1, "rest": 0.1})
    drawer = Drawer(complete_songs(tmp_path), Sizes(4, 6))
    for step in range(30):
        for example in drawer.batch(2, step):
            assert {PARTS[part.stem] for part in example.parts} <= {"keyboard", "rest"}
            assert example.parts


def test_measuring_on_the_way_asks_only_what_is_known(tmp_path: Path) -> None:
    write_song(tmp_path / "taken-a", {"all_vocals": 0.1, "guitar": 0.1, "rest": 0.1, "bass": 0.1})
    stretches = progress.items(tmp_path, Sizes(1, 30), SMALL, limit=1)
    found = progress.measure(Trainer(RECIPE, CPU).net, stretches, CPU)
    assert set(found) == {"guitar", "bass", "all_vocals", "accompaniment", "leakage"}


def test_a_recipe_counts_the_songs_that_were_given(tmp_path: Path) -> None:
    """Nothing is composed for the recipe's two, one and one; the card says whose songs taught the weights."""
    for name, split in (("a", "train"), ("b", "train"), ("c", "val"), ("d", "test")):
        give(tmp_path / name, *(MUSDB if name != "d" else WHOLE), seconds=1.6)
        take(tmp_path / name, tmp_path / "data", split=split)
    told: list[str] = []
    out = make(RECIPE, tmp_path / "data", Course(), on_row=lambda _: None, on_step=told.append)
    assert not list((tmp_path / "data").rglob("song-*"))
    assert told == ["measuring val", "measuring test"]  # no song is reproached with its length
    card = catalog.read(out / "tiny.toml")
    assert (card.made_by["songs"], card.made_by["given"]) == (2, 2)
    assert card.made_by["heard"] == ["songs that its user gave: not known here, theirs to clear"]
    assert card.licence == f"{NOT_CLEARED}; all else MIT"
    assert card.source.startswith("trained on songs that its user gave")
    assert set(card.scores["val"]) == {"bass"}
    assert {"vocals", "drums"} <= set(card.scores["test"]) <= set(STEMS)


def test_a_model_begun_with_such_a_one_says_so_once(tmp_path: Path) -> None:
    made = Provenance("mine", "abc", given=3, licence=f"{NOT_CLEARED}; all else MIT")
    text = card_text(Trainer(RECIPE, CPU).net, "mine", made, weights="a", sha256="0")
    assert text.count(NOT_CLEARED) == 1


@pytest.mark.parametrize(
    ("heard", "source"), [({}, OURS), ({"recordings": 2}, RECORDED_TOO), ({"given": 1, "recordings": 2}, GIVEN)]
)
def test_a_card_says_what_taught_the_weights(heard: dict[str, int], source: str) -> None:
    text = card_text(Trainer(RECIPE, CPU).net, "mine", Provenance("mine", "abc", **heard), weights="a", sha256="0")
    assert f'source = "{source}"' in text
    assert f"recordings = {heard.get('recordings', 0)}" in text


def test_the_command_tells_what_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    give(tmp_path / "mine" / "a", *MUSDB)
    give(tmp_path / "mine" / "b", "vocals+guitar", "instrumental")
    command = ["train", "take", str(tmp_path / "mine"), str(tmp_path / "data"), "--split", "val"]
    assert run_command(command) == 1
    told = capsys.readouterr().err
    assert "a: bass, all_vocals, all_drums, rest" in told
    assert "b cannot be learned from" in told
    assert f"1 songs taken into {tmp_path / 'data' / 'val'}, 1 left out" in told
    shutil.rmtree(tmp_path / "mine" / "b")
    assert run_command(command) == 0
    assert "0 songs taken" in capsys.readouterr().err
    song = Song(next((tmp_path / "data" / "val").iterdir()), ())
    assert json.loads((song.folder / "song.json").read_text())["sources"][0]["name"] == "songs that its user gave"
