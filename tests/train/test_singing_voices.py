"""The voice library: what a file holds, who may be in which split, and what is said when speech is missing."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from stemwright.errors import NoVoices, SpeechMissing, VoicesUnfinished
from stemwright.train import dataset
from stemwright.train.singing import voices
from stemwright.train.singing.speakers import Speaker, Speech, every_speaker, may_train
from stemwright.train.singing.vocoder import BANDS
from tests.train.singers import build_library, speaker


def test_a_voice_is_built_with_licence_split_and_syllables(tmp_path: Path) -> None:
    build_library(tmp_path)
    voice = voices.load_voice("train-voice", folder=tmp_path / "voices")
    assert (voice.licence, voice.split, voice.engine) == ("CC0-1.0", "train", "acted")
    assert voice.envelope.shape == (len(voice.hz), BANDS)
    assert len(voice.syllables) >= 8
    assert (np.diff(voice.syllables[:, 1:], axis=1) >= 0).all()
    assert 40 < voice.middle_pitch < 60


def test_building_again_keeps_what_is_there(tmp_path: Path) -> None:
    build_library(tmp_path)
    assert all(line.endswith(": kept") for line in build_library(tmp_path))


def test_a_missing_program_names_its_debian_package() -> None:
    missing = Speaker("none", "flite", "en", "CMU", "flite", "train", 1, ("no-such-program-here", "{file}", "{wav}"))
    with pytest.raises(SpeechMissing, match="Debian package flite"):
        voices.analyse_speaker(missing)


def test_missing_recordings_are_reported_and_nothing_is_written(tmp_path: Path) -> None:
    report = list(voices.build(tmp_path, speakers=[speaker("gone", "train", f"{tmp_path}/*.ogg")], workers=1))
    assert "the-tests" in report[0]
    assert not list(tmp_path.iterdir())


def test_a_library_whose_building_was_stopped_is_not_sung_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_TRAIN_CACHE", str(tmp_path))
    lost = [speaker(name, "train", f"{tmp_path}/*.ogg") for name in "ab"]
    building = voices.build(tmp_path / "voices", speakers=lost, workers=1)
    next(building)
    building.close()
    monkeypatch.setattr("stemwright.train.instruments.sources.refuse_missing", lambda split: None)
    with pytest.raises(VoicesUnfinished, match="`stemwright train voices` completes it"):
        dataset.compose(tmp_path / "data", 1, 1.0)
    assert not (tmp_path / "data").exists()
    list(voices.build(tmp_path / "voices", speakers=lost, workers=1))
    with pytest.raises(NoVoices):
        dataset.compose(tmp_path / "data", 1, 1.0)


def test_no_speaker_is_in_both_splits_and_every_one_has_a_licence() -> None:
    people = defaultdict(set)
    for one in every_speaker():
        assert one.licence
        assert one.package
        assert bool(one.command) != bool(one.recordings)
        if one.engine in {"toy", "letters", "acted"}:  # amateurs of one language may be one person
            people[one.language].add(one.split)
    assert all(len(splits) == 1 for splits in people.values())


def test_only_permissive_speech_is_trained_on() -> None:
    split = {one.name: one.split for one in every_speaker()}
    assert all(may_train(one.licence) for one in every_speaker() if one.split == "train")
    assert {split["acted-cs-she"], split["toy-en"], split["prompts-en-us-f-allison"]} == {"val"}
    assert not may_train("GPL-2.0-or-later")
    assert not may_train("CC-BY-SA-3.0")


def test_a_library_from_before_the_rule_sings_by_it(tmp_path: Path) -> None:
    build_library(tmp_path)
    library = tmp_path / "voices"
    with np.load(library / "train-voice.npz") as arrays:
        copyleft = {**arrays, "licence": np.array("GPL-2.0-or-later")}
    np.savez(library / "old-voice.npz", **copyleft)
    assert [name for name, _ in voices.voice_names("train", folder=library)] == ["train-voice"]
    assert [name for name, _ in voices.voice_names("val", folder=library)] == ["old-voice"]


def test_the_same_seed_says_the_same_words() -> None:
    first, second = Speech("it", 3), Speech("it", 3)
    assert [first.phrase() for _ in range(5)] == [second.phrase() for _ in range(5)]
