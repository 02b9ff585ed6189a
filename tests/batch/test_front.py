"""A folder of songs in one call of the library."""

from pathlib import Path

import pytest

import stemwright
from stemwright.errors import UnknownStem
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
