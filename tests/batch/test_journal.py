"""The journal of a folder of results: whose files are whose, what is the same wish, which lines count."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemwright.batch.journal import NAME, Journal, key_of
from stemwright.wish import Wish
from stemwright.zoo.installed import toml
from stemwright.zoo.published import published


def test_files_that_another_result_took_are_not_those_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "v.wav").write_bytes(b"sound")
    journal = Journal(tmp_path)
    for key in ("first", "second"):
        journal.add(journal.entry(key, "v", tmp_path / "song.wav", "digest", [tmp_path / "v.wav"]))
    for each in (journal, Journal(tmp_path)):
        assert each.done("first") is None
        assert each.done("second")


@pytest.mark.parametrize(
    "other", [{"format": "flac"}, {"bits": 24}, {"dither": False}, {"precision": "fp32"}, {"silent": "skip"},
              {"rate": 48000}, {"stems": ["vocals"]}, {"preview": 5.0}, {"also": ["zip"]}],
)  # fmt: skip
def test_every_option_that_changes_the_files_changes_the_key(other: dict) -> None:
    usual = {"format": "wav", "bits": 16}
    assert key_of("digest", "song", Wish.of(**usual | other)) != key_of("digest", "song", Wish.of(**usual))


def test_a_bag_of_other_weights_is_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_MODELS", str(tmp_path))
    keys = []
    for sha256 in ("a", "b"):
        for member in published("htdemucs-ft").members:
            (tmp_path / member).mkdir(exist_ok=True)
            facts = {"architecture": "htdemucs", "weights": "w", "sha256": sha256, "stems": ["drums", "bass"]}
            (tmp_path / member / "card.toml").write_text(toml(facts))
        keys.append(key_of("digest", "song", Wish.of(model="htdemucs-ft")))
    assert keys[0] != keys[1]


def test_a_recipe_that_was_changed_is_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_MODELS", str(tmp_path))
    (tmp_path / "recipes").mkdir()
    keys = []
    for drums in ("drums", "percussion"):
        text = (
            f'about = "a"\nuse = "all"\n[split]\nmodel = "twelve"\nstems = {{ beat = ["{drums}"] }}\nrest = "others"\n'
        )
        (tmp_path / "recipes" / "mine.toml").write_text(text)
        keys.append(key_of("digest", "song", Wish.of(model="mine")))
    assert keys[0] != keys[1] == key_of("digest", "song", Wish.of(model="mine", format="mp3", profile="consistent"))


def test_a_line_is_read_when_all_of_it_is_there_and_never_joined_to_one_cut_off(tmp_path: Path) -> None:
    (tmp_path / "v.wav").write_bytes(b"sound")
    writer, reader = Journal(tmp_path), Journal(tmp_path)
    writer.add(writer.entry("first", "v", tmp_path / "song.wav", "digest", [tmp_path / "v.wav"]))
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole[:-30])
    assert reader.done("first") is None
    (tmp_path / NAME).write_bytes(whole)
    assert reader.done("first")
    (tmp_path / NAME).write_bytes(whole[:-30])
    writer.add(writer.entry("second", "v", tmp_path / "song.wav", "digest", [tmp_path / "v.wav"]))
    assert Journal(tmp_path).done("second")
