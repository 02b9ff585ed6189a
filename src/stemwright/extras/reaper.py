"""A REAPER project: plain text that names the files of the stems, each on its own track."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from stemwright.extras.colours import rgb
from stemwright.extras.dawproject import title
from stemwright.extras.material import Material, whole_file

_SOURCES = {"wav": "WAVE", "flac": "FLAC"}
_CUSTOM_COLOUR = 1 << 24


def write_reaper(song: Material, path: Path, sounds: Mapping[str, Path]) -> None:
    """Writes `path`: every stem on its own named, coloured track from 0, the tempo set; paths are relative to it."""
    with whole_file(path) as file:
        file.write("\n".join(_lines(song, path, sounds)).encode() + b"\n")


def _lines(song: Material, path: Path, sounds: Mapping[str, Path]) -> Iterator[str]:
    yield '<REAPER_PROJECT 0.1 "7.0/stemwright" 0'
    yield f"  TEMPO {song.bpm:g} 4 4"
    yield f"  SAMPLERATE {song.files.rate} 1 0"
    source = _SOURCES[song.lossless_format]
    for name, sound in sounds.items():
        place = Path(os.path.relpath(sound, path.parent))
        yield from (f"  {line}" for line in _track(name, place, source, song.files.seconds))
    yield ">"


def _track(name: str, sound: Path, source: str, seconds: float) -> Iterator[str]:
    red, green, blue = rgb(name)
    ident = f"{{{uuid.uuid5(uuid.NAMESPACE_URL, sound.as_posix())}}}".upper()
    yield f"<TRACK {ident}"
    yield f"  NAME {quoted(title(name))}"
    yield f"  PEAKCOL {_CUSTOM_COLOUR | blue << 16 | green << 8 | red}"
    yield "  VOLPAN 1 0 -1 -1 1"
    yield "  MUTESOLO 0 0 0"
    yield "  NCHAN 2"
    yield f"  TRACKID {ident}"
    yield "  <ITEM"
    yield "    POSITION 0"
    yield f"    LENGTH {seconds!r}"
    yield "    LOOP 0"
    yield f"    NAME {quoted(title(name))}"
    yield "    SOFFS 0"
    yield f"    <SOURCE {source}"
    yield f"      FILE {quoted(sound.as_posix())}"
    yield "    >"
    yield "  >"
    yield ">"


def quoted(text: str) -> str:
    """A text as one word of REAPER's: in the kind of quotes that is not in it, and on one line.

    >>> quoted('the "drums"')
    '\\'the "drums"\\''
    """
    line = " ".join(text.split())
    mark = next((mark for mark in ('"', "'", "`") if mark not in line), None)
    return f"{mark}{line}{mark}" if mark else f"`{line.replace('`', chr(39))}`"
