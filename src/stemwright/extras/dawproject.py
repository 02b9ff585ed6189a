"""A DAWproject (github.com/bitwig/dawproject, 1.0): a zip that Bitwig, Studio One, Cubase and others open as a song."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree as ET

from stemwright.audio.tags import Tags
from stemwright.extras.colours import colour
from stemwright.extras.material import Material, whole_file
from stemwright.outputs import label

_WHEN = (1980, 1, 1, 0, 0, 0)  # the same song is the same file


def write_dawproject(song: Material, path: Path, sounds: Mapping[str, Path]) -> None:
    """Writes `path`: every stem on its own named, coloured track from 0, the tempo set, the sound inside."""
    inside = {name: f"audio/{name}.{song.lossless_format}" for name in sounds}
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, root in (("project.xml", project(song, inside)), ("metadata.xml", metadata(song.tags, song.title))):
            ET.indent(root)
            text = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
            archive.writestr(zipfile.ZipInfo(name, _WHEN), text, zipfile.ZIP_DEFLATED)
        for name, sound in sounds.items():
            archive.write(sound, inside[name], zipfile.ZIP_STORED)


def project(song: Material, inside: Mapping[str, str]) -> ET.Element:
    """The tree of project.xml for stems by name and their places inside the zip."""
    seconds = repr(song.files.seconds)
    root = ET.Element("Project", version="1.0")
    ET.SubElement(root, "Application", name="Stemwright", version=version("stemwright"))
    transport = ET.SubElement(root, "Transport")
    ET.SubElement(transport, "Tempo", id="tempo", name="Tempo", unit="bpm", min="20", max="666", value=f"{song.bpm:g}")
    ET.SubElement(transport, "TimeSignature", id="meter", numerator="4", denominator="4")
    structure = ET.SubElement(root, "Structure")
    for number, name in enumerate(inside, start=1):
        _track(structure, f"t{number}", title(name), colour(name), master=False)
    _track(structure, "t0", "Master", None, master=True)
    lanes = ET.SubElement(ET.SubElement(root, "Arrangement", id="a0"), "Lanes", id="l0", timeUnit="seconds")
    for number, (name, place) in enumerate(inside.items(), start=1):
        lane = ET.SubElement(lanes, "Lanes", id=f"l{number}", track=f"t{number}", timeUnit="seconds")
        clips = ET.SubElement(lane, "Clips", id=f"c{number}")
        clip = ET.SubElement(
            clips, "Clip", time="0.0", duration=seconds, contentTimeUnit="seconds", playStart="0.0", name=title(name)
        )
        form = {"channels": "2", "sampleRate": str(song.files.rate), "duration": seconds, "algorithm": "raw"}
        sound = ET.SubElement(clip, "Audio", {"id": f"s{number}", "timeUnit": "seconds", **form})
        ET.SubElement(sound, "File", path=place)
    return root


def metadata(tags: Tags, fallback_title: str) -> ET.Element:
    """The tree of metadata.xml."""
    texts = {"title": fallback_title, **tags.texts, "year": tags.texts.get("date", "")[:4]}
    root = ET.Element("MetaData")
    for name in ("title", "artist", "album", "composer", "year", "genre", "copyright", "comment"):
        if texts.get(name):
            ET.SubElement(root, name.title()).text = xml_text(texts[name])
    return root


def title(name: str) -> str:
    """A stem's name on its track."""
    return xml_text(label(name))


def xml_text(text: str) -> str:
    """Without the characters that XML 1.0 has no way to write."""
    return "".join(c for c in text if c in "\t\n\r" or " " <= c < "\ud800" or "\ue000" <= c < "\ufffe" or c > "\uffff")


def _track(structure: ET.Element, ident: str, name: str, tint: str | None, *, master: bool) -> None:
    about = {"id": ident, "name": name, "contentType": "audio", "loaded": "true"}
    track = ET.SubElement(structure, "Track", about | ({"color": tint} if tint else {}))
    role = {"role": "master"} if master else {"role": "regular", "destination": "m0"}
    channel = ET.SubElement(track, "Channel", {"id": "m0" if master else f"m{ident}", "audioChannels": "2", **role})
    ET.SubElement(channel, "Mute", id=f"mute-{ident}", name="Mute", value="false")
    ET.SubElement(channel, "Pan", id=f"pan-{ident}", name="Pan", unit="normalized", min="0", max="1", value="0.5")
    ET.SubElement(channel, "Volume", id=f"volume-{ident}", name="Volume", unit="linear", min="0", max="2", value="1")
