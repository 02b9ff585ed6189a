"""Names of files: from any text, for every filesystem, no two of them the same."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwright.audio.naming import Claims, Template, safe, values
from stemwright.audio.tags import NO_TAGS, Tags
from stemwright.errors import BadTemplate

RESERVED = {"con", "prn", "aux", "nul", "com1", "lpt9", "conin$"}


def name(template: str, title: str = "Song", stem: str = "vocals", **texts: str) -> str:
    about = values(Tags({"title": title, **texts}), song="file", model="twelve", rate=44100, ext="mp3")
    return str(Template(template).path(about | {"stem": stem, "index": 3}))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{stem}.{ext}", "vocals.mp3"),
        ("{title} - {stem}", "Song - vocals.mp3"),
        ("{artist}/{album}/{track:02} {title} [{stem}].{ext}", "Ärtist/Unknown album/07 Song [vocals].mp3"),
        ("{index:02}_{model}_{rate}_{song}_{year}.{ext}", "03_twelve_44100_file_2024.mp3"),
        ("{{{stem}}}.{ext}", "{vocals}.mp3"),
    ],
)
def test_a_template_names_a_stem(template: str, expected: str) -> None:
    assert name(template, artist="Ärtist", track="7/12", date="2024-05-06") == expected


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("CON", "_CON.mp3"),
        ("nul.tar", "_nul.tar.mp3"),
        ("com¹ ", "_com¹.mp3"),
        ("Console", "Console.mp3"),
        ("...Baby One More Time", "Baby One More Time.mp3"),
        ("AC/DC: Who?*<|>\\", "AC_DC_ Who______.mp3"),
        ("a\x00b\nc\u202egpj", "a_b_c_gpj.mp3"),
        ("日本語 🎵 عربى", "日本語 🎵 عربى.mp3"),
        ("\ud800", "_.mp3"),
        ("..", "_.mp3"),
    ],
)
def test_reserved_names_and_characters_are_made_safe(title: str, expected: str) -> None:
    assert name("{stem}.{ext}", stem=title) == expected


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("CD 1/live", "CD 1/live/file/vocals.mp3"),
        ("", "file/vocals.mp3"),
        ("../..//etc/", "_/_/etc/file/vocals.mp3"),
        ("CON/a:b", "_CON/a_b/file/vocals.mp3"),
    ],
)
def test_a_folder_is_as_many_as_it_has_and_never_leads_out(folder: str, expected: str) -> None:
    about = values(NO_TAGS, song="file", folder=folder, model="twelve", rate=1, ext="mp3") | {"stem": "vocals"}
    assert Template("{folder}/{song}/{stem}").path(about).as_posix() == expected
    assert len(Template("{folder} {song}/{stem}").path(about).parts) == 2


def test_a_title_of_300_characters_is_cut_and_the_stem_is_kept() -> None:
    for letter in ("x", "é", "🎵", "e\u0301"):
        made = name("{title} - {stem}.{ext}", title=letter * 300)
        assert made.endswith(" - vocals.mp3")
        assert 230 < len(made.encode()) <= 244


def test_no_character_is_cut_in_two() -> None:
    family = "👨\u200d👩\u200d👧"
    made = name("{title}-{stem}", title="x" + family * 40)
    assert made.removesuffix("-vocals.mp3").removeprefix("x").replace(family, "") == ""
    accents = name("{title}-{stem}", title="x" + "q\u0301" * 200)
    assert unicodedata.combining(accents.removesuffix("-vocals.mp3")[-1])


@given(title=st.text(max_size=400), stem=st.text(min_size=1, max_size=400), artist=st.text(max_size=400))
def test_any_text_gives_a_name_that_every_filesystem_takes(title: str, stem: str, artist: str) -> None:
    for part in Path(name("{artist}/{title} - {stem}.{ext}", title, stem, artist=artist)).parts:
        assert len(part.encode()) <= 244
        assert not set(part) & set('<>:"/\\|?*') | {c for c in part if ord(c) < 32}
        assert part.strip(" .") == part
        assert part.split(".")[0].strip().casefold() not in RESERVED


@given(st.text(max_size=300))
def test_making_safe_twice_is_making_safe_once(text: str) -> None:
    assert safe(safe(text)) == safe(text)


def test_300_characters_can_be_created(tmp_path: Path) -> None:
    path = tmp_path / name("{artist}/{title} ({stem}).{ext}", title="ü" * 300, artist="漢" * 300)
    path.parent.mkdir()
    part = path.with_name(path.name + ".part")
    part.touch()
    part.replace(path)
    assert path.exists()


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{title}.{ext}", "without {stem} all stems of a song would have one name"),
        ("{titel} {stem}", "there is no {titel}"),
        ("{stem", "expected '}'"),
        ("{stem!r}", "can have a width"),
        ("{stem.__class__}", "there is no {stem.__class__}"),
        ("{index:999999999}", "can have a width"),
        ("../{stem}", "below the folder for the results"),
        ("/{stem}", "below the folder"),
        ("{stem}/", "below the folder"),
        ("", "without {stem}"),
    ],
)
def test_a_template_that_cannot_work_is_refused(template: str, words: str) -> None:
    with pytest.raises(BadTemplate, match=r"Write it like \"{title} - {stem}.{ext}\"") as refused:
        Template(template)
    assert words in str(refused.value)


def test_names_that_collide_get_numbers() -> None:
    paths = [Path("a.mp3"), Path("A.mp3"), Path("é.mp3"), Path("e\u0301.mp3"), Path("a.mp3")]
    claimed = [path.name for path in Claims().claim("one", paths)]
    assert claimed == ["a.mp3", "A (2).mp3", "é.mp3", "e\u0301 (2).mp3", "a (3).mp3"]


def test_files_of_another_song_are_left_alone_and_those_of_the_same_are_not() -> None:
    claims = Claims()
    wanted = [Path("x/vocals.mp3"), Path("x/drums.mp3")]
    assert claims.claim("first", wanted) == claims.claim("first", wanted) == wanted
    assert claims.claim("second", wanted) == [Path("x/vocals (2).mp3"), Path("x/drums (2).mp3")]
    claims.take("the song", [Path("x/bass.mp3")])
    assert claims.claim("first", [Path("X/Bass.mp3")]) == [Path("X/Bass (2).mp3")]


def test_a_song_without_tags_has_a_title_and_an_artist() -> None:
    about = values(NO_TAGS, song="take 3", model="m", rate=1, ext="wav")
    assert (about["title"], about["artist"], about["track"]) == ("take 3", "Unknown artist", 0)
