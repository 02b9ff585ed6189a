"""A folder of songs in one call of the library."""

from pathlib import Path

import pytest

import stemwright
from stemwright.errors import BadOption, UnknownPrecision, UnknownProfile, UnknownStem
from tests.audio.sounds import music, write


def test_a_folder_is_separated_once_and_what_fails_stops_nothing(tmp_path: Path) -> None:
    song = write(tmp_path / "in" / "a.wav", music(8820))
    (tmp_path / "in" / "b.mp3").write_text("no music")
    first = stemwright.separate_all([tmp_path / "in"], tmp_path / "out", stems=["drums"], format="wav")
    assert [path.name for path in first.separated[song].paths.values()] == ["drums.wav"]
    assert [path.name for path in first.failures] == ["b.mp3"]
    second = stemwright.separate_all([tmp_path / "in"], tmp_path / "out", stems=["drums"], format="wav")
    assert (list(second.separated), list(second.there)) == ([], [song])


def test_a_wrong_option_is_told_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(UnknownStem):
        stemwright.separate_all([tmp_path], tmp_path / "out", stems=["voclas"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"profile": "best"}, UnknownProfile),
        ({"profile": "upstream"}, UnknownProfile),
        ({"precision": "fp8"}, UnknownPrecision),
        ({"silent": "leave"}, BadOption),
        ({"at_once": 0}, BadOption),
        ({"at_once": "2"}, BadOption),
    ],
)
def test_what_no_song_could_have_is_told_once_for_all(tmp_path: Path, wrong: dict, error: type) -> None:
    with pytest.raises(error):
        stemwright.separate_all([tmp_path / "a.wav"], tmp_path / "out", **wrong)


def test_one_song_may_be_given_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(tmp_path / "a.wav", music(8820)).parent)
    batch = stemwright.separate_all("a.wav", "out", two=True)
    assert (list(batch.separated), batch.failures) == ([Path("a.wav")], {})


def test_names_are_read_once_for_all_songs(tmp_path: Path) -> None:
    songs = [write(tmp_path / "in" / name, music(8820)) for name in ("a.wav", "b.wav")]
    names = (name for name in ["drums", "bass"])
    batch = stemwright.separate_all(songs, tmp_path / "out", stems=names, also="zip")  # pyright: ignore[reportArgumentType]
    assert [list(files.paths) for files in batch.separated.values()] == [["drums", "bass"]] * 2
    assert all(files.extras["zip"].is_file() for files in batch.separated.values())


def test_an_option_that_there_is_not_is_told(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="no option 'stem'"):
        stemwright.separate_all([tmp_path], tmp_path / "out", stem=["drums"])  # pyright: ignore[reportCallIssue]
