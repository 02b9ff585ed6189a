"""Projects for DAWs: DAWproject held against the structure of its schema, REAPER's read by a second parser."""

import io
import re
import signal
import zipfile
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rpp
import soundfile

import stemwright
from stemwright.audio import parts
from stemwright.audio.tags import Tags
from stemwright.extras.colours import colour, rgb
from stemwright.extras.dawproject import metadata
from stemwright.extras.material import whole_file
from stemwright.outputs import label
from tests.audio.sounds import RATE, lag, write, write_with_pyav
from tests.extras.conftest import beat

# The part of the DAWproject 1.0 schema that we write: children in their order, attributes (those with * must be there).
SCHEMA = {
    "Project": ("Application Transport Structure Arrangement", "version*"),
    "Application": ("", "name* version*"),
    "Transport": ("Tempo TimeSignature", ""),
    "Tempo": ("", "id name unit* min max value"),
    "TimeSignature": ("", "id name numerator* denominator*"),
    "Structure": ("Track", ""),
    "Track": ("Channel", "id name color contentType loaded"),
    "Channel": ("Mute Pan Volume", "id role audioChannels destination solo"),
    "Mute": ("", "id name value"),
    "Pan": ("", "id name unit* min max value"),
    "Volume": ("", "id name unit* min max value"),
    "Arrangement": ("Lanes", "id"),
    "Lanes": ("Lanes Clips", "id track timeUnit"),
    "Clips": ("Clip", "id track timeUnit"),
    "Clip": ("Audio", "time* duration contentTimeUnit playStart name"),
    "Audio": ("File", "id timeUnit algorithm channels* sampleRate* duration*"),
    "File": ("", "path* external"),
}


def check(element: ET.Element) -> None:
    """The element and all below it are as the schema has them."""
    children, attributes = SCHEMA[element.tag]
    order = children.split()
    places = [order.index(child.tag) for child in element]
    assert places == sorted(places), element.tag
    known = attributes.split()
    assert set(element.attrib) <= {name.rstrip("*") for name in known}, element.tag
    assert {name[:-1] for name in known if name.endswith("*")} <= set(element.attrib), element.tag
    for child in element:
        check(child)


@pytest.fixture(scope="module")
def inside(made: Any) -> zipfile.ZipFile:
    return zipfile.ZipFile(made.extras["dawproject"])


@pytest.fixture(scope="module")
def project(inside: zipfile.ZipFile) -> ET.Element:
    return ET.fromstring(inside.read("project.xml"))


def test_the_project_is_as_its_schema_says(project: ET.Element) -> None:
    check(project)
    idents = [element.get("id") for element in project.iter() if element.get("id")]
    assert len(idents) == len(set(idents))
    points = [element.get(name) for element in project.iter() for name in ("track", "destination") if element.get(name)]
    assert set(points) <= set(idents)
    assert {element.get("unit") for element in project.iter() if element.get("unit")} == {"bpm", "normalized", "linear"}


def test_every_stem_is_a_named_coloured_track_that_goes_to_the_master(project: ET.Element, made: Any) -> None:
    *tracks, master = project.findall("Structure/Track")
    assert [track.get("name") for track in tracks] == [label(name) for name in made.paths]
    assert [track.get("color") for track in tracks] == [colour(name) for name in made.paths]
    assert len({track.get("color") for track in tracks}) == 12
    out = master.find("Channel")
    assert out is not None
    assert out.get("role") == "master"
    assert {track.find("Channel").get("destination") for track in tracks} == {out.get("id")}  # type: ignore[union-attr]


def test_every_clip_starts_at_0_and_is_the_whole_stem(project: ET.Element, inside: zipfile.ZipFile, made: Any) -> None:
    clips = list(project.iter("Clip"))
    total = np.zeros((2, made.length))
    for clip in clips:
        assert (float(clip.get("time", 1)), float(clip.get("playStart", 1))) == (0, 0)
        assert float(clip.get("duration", 0)) == pytest.approx(made.seconds)
        file = clip.find("Audio/File")
        assert file is not None
        sound, rate = soundfile.read(io.BytesIO(inside.read(file.get("path", ""))))
        assert (sound.shape, rate) == ((made.length, 2), RATE)
        total += sound.T
    assert len(clips) == 12
    assert lag(total.astype(np.float32), beat()) == 0


def test_the_tempo_is_the_measured_one(project: ET.Element, made: Any) -> None:
    tempo = project.find("Transport/Tempo")
    assert tempo is not None
    assert float(tempo.get("value", 0)) == made.tempo.bpm == pytest.approx(120, abs=0.5)


@pytest.mark.parametrize(("told", "set_to"), [("63,98", 63.98), ("0", 120), ("fast", 120)])
def test_a_tempo_that_the_song_tells_goes_before_the_measured_one(tmp_path: Path, told: str, set_to: float) -> None:
    song = write(tmp_path / "a.flac", beat(), tags=Tags({"bpm": told}))
    files = stemwright.separate_to(song, tmp_path / "out", stems=["drums"], also=["dawproject", "rpp", "report"])
    tempo = ET.fromstring(zipfile.ZipFile(files.extras["dawproject"]).read("project.xml")).find("Transport/Tempo")
    assert tempo is not None
    assert float(tempo.get("value", 0)) == pytest.approx(set_to, abs=0.5 * (set_to == 120))
    assert f"TEMPO {tempo.get('value')} 4 4" in files.extras["rpp"].read_text()
    assert f"<dt>In its tags</dt><dd>{told}</dd>" in files.extras["report"].read_text()


def test_its_metadata_is_as_its_schema_says(inside: zipfile.ZipFile) -> None:
    assert [(e.tag, e.text) for e in ET.fromstring(inside.read("metadata.xml"))] == [("Title", 'Tune & "Co" <1>')]
    whole = metadata(Tags({"date": "1999-04-01", "comment": "a\x00b", "artist": "X", "genre": "Pop"}), "T")
    assert [(e.tag, e.text) for e in whole] == [
        ("Title", "T"), ("Artist", "X"), ("Year", "1999"), ("Genre", "Pop"), ("Comment", "ab"),
    ]  # fmt: skip


def test_reaper_s_project_is_read_by_another_parser(made: Any) -> None:
    whole = rpp.loads(made.extras["rpp"].read_text())
    tracks = whole.findall(".//TRACK")
    assert whole.find("TEMPO")[1] == f"{made.tempo.bpm:g}"
    assert [track.find("NAME")[1] for track in tracks] == [label(name) for name in made.paths]
    for track, name in zip(tracks, made.paths, strict=True):
        red, green, blue = rgb(name)
        assert int(track.find("PEAKCOL")[1]) == 0x1000000 + red + (green << 8) + (blue << 16)
        item = track.find("ITEM")
        assert (float(item.find("POSITION")[1]), float(item.find("LENGTH")[1])) == (0, pytest.approx(made.seconds))
        file = made.extras["rpp"].parent / item.find(".//FILE")[1]
        assert soundfile.info(file).frames == made.length


def test_lossless_stems_are_used_as_they_are(tmp_path: Path) -> None:
    song = write_with_pyav(tmp_path / "a.wav", "wav", "pcm_s16le", beat(2.0))
    files = stemwright.separate_to(song, tmp_path / "out", format="wav", stems=["drums"], also=["rpp", "dawproject"])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.dawproject", "a.rpp", "drums.wav"]
    assert re.search(r'<SOURCE WAVE\s+FILE "drums.wav"', files.extras["rpp"].read_text())


@pytest.mark.parametrize(("ending", "source"), [("mp3", "FLAC"), ("wav", "WAVE")])
def test_projects_know_their_sound_whatever_the_template(tmp_path: Path, ending: str, source: str) -> None:
    made = stemwright.separate_to(
        beat(1.0), tmp_path, rate=RATE, stems=["drums"], format=ending, names="{ext}/{stem}", also=["rpp", "dawproject"]
    )
    assert f"<SOURCE {source}" in made.extras["rpp"].read_text()
    with zipfile.ZipFile(made.extras["dawproject"]) as archive:
        assert f"audio/drums.{'flac' if ending == 'mp3' else ending}" in archive.namelist()


def test_nothing_is_left_of_what_is_only_packed(tmp_path: Path) -> None:
    stemwright.separate_to(beat(1.0), tmp_path, rate=RATE, stems=["drums"], also=["dawproject"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drums.mp3", "song.dawproject"]


def test_an_interrupt_while_a_file_is_being_opened_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = parts.hold

    def interrupted(file: BinaryIO) -> None:
        monkeypatch.setattr(parts, "hold", held)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(parts, "hold", interrupted)
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "song" / "song.zip"):
        pass
    assert not list(tmp_path.iterdir())


def test_the_zip_has_everything(made: Any) -> None:
    with zipfile.ZipFile(made.extras["zip"]) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
    top = made.extras["zip"].parent
    there = {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}
    assert names == there - {made.extras["zip"].name}
    assert len(names) == 12 + 12 + 4
