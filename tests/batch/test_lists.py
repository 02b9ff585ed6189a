"""Lists of songs, and options as text."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from stemwright.batch.manifest import read_manifest
from stemwright.batch.texts import from_texts
from stemwright.errors import BadManifest, BadOption, CannotRead, FileMissing, StemwrightError
from stemwright.wish import Wish


def manifest(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, "utf-8")
    return folder / name


def test_lines_of_text_are_paths(tmp_path: Path) -> None:
    path = manifest(tmp_path, "list.txt", "\ufeff# mine\n\na b.mp3\nsub/ü.wav\n/absolute.flac\n")
    assert read_manifest(path) == [
        (tmp_path / "a b.mp3", {}), (tmp_path / "sub/ü.wav", {}), (Path("/absolute.flac"), {}),
    ]  # fmt: skip


def test_a_table_has_options_for_each_song(tmp_path: Path) -> None:
    text = 'path,format,mix,except\na.mp3,flac-24,"p=vocals:-6,*; q=drums",\n"b, c.mp3",,,vocals\n'
    assert read_manifest(manifest(tmp_path, "list.csv", text)) == [
        (tmp_path / "a.mp3", {"format": "flac-24", "mixes": {"p": {"vocals": -6, "*": 0}, "q": {"drums": 0}}}),
        (tmp_path / "b, c.mp3", {"without": ["vocals"]}),
    ]


def test_a_spreadsheet_may_put_semicolons_between_fields(tmp_path: Path) -> None:
    text = "path;format;stems\na, b.mp3;flac-24;drums,bass\n"
    assert read_manifest(manifest(tmp_path, "list.csv", text)) == [
        (tmp_path / "a, b.mp3", {"format": "flac-24", "stems": ["drums", "bass"]}),
    ]


def test_json_lines_have_options_as_lists_or_texts(tmp_path: Path) -> None:
    text = '{"path": "a.mp3", "stems": ["drums", "bass"], "two": true, "preview": 30}\n\n'
    text += '{"path": "b.mp3", "group": "g=drums+bass"}'
    assert read_manifest(manifest(tmp_path, "list.jsonl", text)) == [
        (tmp_path / "a.mp3", {"stems": ["drums", "bass"], "two": True, "preview": 30}),
        (tmp_path / "b.mp3", {"groups": {"g": ["drums", "bass"]}}),
    ]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "file\na.mp3\n", "line 1: the header has no column `path`"),
        ("a.csv", "path,format\na.mp3\n", "line 2: it has not as many fields as the header"),
        ("a.csv", "path,colour\na.mp3,red\n", "line 2: colour 'red' cannot be understood: there is no such option"),
        ("a.csv", "path,bits\na.mp3,20\n", "choose 16, 24 or 32f"),
        ("a.jsonl", '{"path": "a.mp3"}\n{"path": ', "line 2: it is not JSON"),
        ("a.jsonl", '{"path": "a.mp3"}\n[1]\n', "line 2: it is not a JSON object"),
        ("a.jsonl", '{"path": 5}\n', "line 1: there is no path in it"),
        ("a.jsonl", '{"path": "a.mp3", "group": 7}\n', "line 1: group 7 cannot be understood"),
        ("a.txt", "# nothing\n", "there is no song in it"),
    ],
)
def test_a_list_that_makes_no_sense_is_told_with_its_line(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(BadManifest) as refused:
        read_manifest(manifest(tmp_path, name, text))
    assert words in str(refused.value)


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileMissing):
        read_manifest(tmp_path / "none.txt")
    (tmp_path / "song.mp3").write_bytes(b"\xff\xfb\x90\x44")
    with pytest.raises(CannotRead, match="not text in UTF-8"):
        read_manifest(tmp_path / "song.mp3")


def test_texts_become_values() -> None:
    found = from_texts(
        {"stems": "drums, bass", "rate": "48000", "bits": "24", "bitrate": "192", "rest": None, "name": "{stem}"}
        | {"mix": ["a = vocals:-6 dB, bass:-inf ,*"], "group": ["b=x+y", "c=z"], "silent": "skip", "dither": "no"}
    )
    assert found == {
        "stems": ["drums", "bass"], "rate": 48000, "bits": 24, "bitrate_kbps": 192, "names": "{stem}",
        "mixes": {"a": {"vocals": -6.0, "bass": -inf, "*": 0.0}}, "groups": {"b": ["x", "y"], "c": ["z"]},
        "silent": "skip", "dither": False,
    }  # fmt: skip
    assert from_texts({"stems": "none"}) == {"stems": []}
    assert from_texts({"stems": "all"}) == {"stems": None}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mix": "vocals:-6"}, "'vocals:-6' is not NAME=…"),
        ({"mix": "m=vocals:loud"}, "'loud' is no number of dB"),
        ({"group": ["a=x", "a=y"]}, "'a' is there twice"),
        ({"rate": "fast"}, "rate 'fast' cannot be understood: it is no whole number"),
        ({"preview": "long"}, "it is no number of seconds"),
        ({"group": ["band", "a=x"]}, "group 'band; a=x' cannot be understood"),
        ({"group": [7]}, "group '7' cannot be understood"),
        ({"silent": "whisper"}, "choose write or skip"),
    ],
)
def test_an_option_that_makes_no_sense_is_told(options: dict, words: str) -> None:
    with pytest.raises(BadOption) as refused:
        from_texts(options)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"group": "band=guitar+theremin"}, "There is no stem 'theremin' in the model twelve"),
        ({"name": "{title}.{ext}"}, "without {stem} all stems"),
        ({"format": "mp3", "bits": "24"}, "mp3 cannot be written with 24 bits"),
    ],
)
def test_a_wish_is_checked_before_any_work(options: dict, words: str) -> None:
    with pytest.raises(StemwrightError) as refused:
        Wish.of(**from_texts(options))
    assert words in str(refused.value)
