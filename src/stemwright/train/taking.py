"""Takes songs whose stems somebody has into a data set, where training finds them beside composed ones."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stemwright.audio.signal import Samples
from stemwright.errors import NotForTaking, SilentSong, SpoiledSong, StemsTooCoarse, StemwrightError, TakenElsewhere
from stemwright.train.dataset import save_song
from stemwright.train.learning.songs import PARTS, RATE, SPLITS, SUMS, TAKEN, WHOLE, Song
from stemwright.train.measuring.references import NATIVE, Reference, Waiting, waiting
from stemwright.train.song import Rendered

PEAK = 0.99  # of the loudest stem: all that 16 bits have room for, and nothing clipped
ORIGIN = {"name": "songs that its user gave", "licence": "not known here, theirs to clear"}
Parts = dict[str, Samples]


@dataclass
class Taken:
    """How many songs were taken, were there as they are, and were left out."""

    taken: int = 0
    kept: int = 0
    left_out: int = 0


def take(
    folder: Path,
    data: Path,
    *,
    split: str = "train",
    mapping: Mapping[str, str] | None = None,
    on_song: Callable[[str], None] = lambda _: None,
    on_problem: Callable[[StemwrightError], None] = lambda _: None,
) -> Taken:
    """Writes the songs of a folder (every layout that `references.waiting` reads) into a split of a data set.

    What is there already is kept, and taken anew where a file of it has changed; a song is whole or not there. Of one
    that cannot be taken `on_problem` hears. Raises NoReferences, UnknownTitle, NotForTaking, CannotWrite, DiskFull.
    """
    if any(folder.glob("*/song.json")):
        raise NotForTaking(folder=folder)
    done = Taken()
    for song in waiting(folder, mapping):
        place = data / split / song_id(song)
        stamp = _stamp(song, mapping or {})
        if _is_there(place, stamp):
            done.kept += 1
            continue
        try:
            _refuse_twice(song, data, split)
            facts, parts = _read(song)
        except StemwrightError as error:
            done.left_out += 1
            on_problem(error)
        else:
            save_song(place, Rendered(parts, {**facts, "stamp": stamp}))
            done.taken += 1
            on_song(f"{song.name}: {', '.join(parts)}")
    return done


def song_id(song: Waiting) -> str:
    """The folder name of a song: what it is called and, from whichever folder it is taken, where it lies."""
    first = song.files[0].resolve()
    home = first if first.name.lower().endswith(NATIVE) else first.parent
    readable = re.sub(r"\W+", "-", home.name.split(".")[0], flags=re.ASCII).strip("-")[:60].lower()
    return f"{TAKEN}-{readable or 'song'}-{hashlib.sha256(bytes(home)).hexdigest()[:8]}"


def _stamp(song: Waiting, mapping: Mapping[str, str]) -> str:
    """What changes when a file of the song does, or what is said of it."""
    known = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in song.files]
    said = sorted((title, mapping[title]) for title in song.titles if title in mapping)
    return hashlib.sha256(json.dumps([known, said]).encode()).hexdigest()[:16]


def _is_there(place: Path, stamp: str) -> bool:
    try:
        return Song(place, ()).read_facts().get("stamp") == stamp
    except SpoiledSong:
        return False


def _refuse_twice(song: Waiting, data: Path, split: str) -> None:
    """A song that is trained on and measured too would make the model look better than it is."""
    for other in SPLITS:
        if other != split and (data / other / song_id(song) / "song.json").exists():
            raise TakenElsewhere(name=song.name, folder=data / other)


def _read(song: Waiting) -> tuple[dict[str, Any], Parts]:
    """Facts and parts [samples, 2] of a song, at the level that 16 bits have room for."""
    parts = _parts(song.read())
    if not parts:  # each below what counts as sound, though their sum is not
        raise SilentSong(name=song.name)
    gain = np.float32(PEAK / max(float(np.abs(sound).max()) for sound in parts.values()))
    seconds = next(iter(parts.values())).shape[1] / RATE
    facts = {"name": song.name, "seconds": round(seconds, 3), "stems": list(parts), "sources": [ORIGIN]}
    return facts, {part: (sound * gain).T for part, sound in parts.items()}


def _parts(song: Reference) -> Parts:
    """The stems of a song as the parts [2, n] that it can be taught by."""
    found: Parts = {}
    named = {title: _part(song, title) for title in song.stems}
    is_whole = WHOLE in named.values()  # what else is no voice is heard in it, and not told apart
    for title, sound in song.stems.items():
        part = WHOLE if is_whole and set(song.sums[title]) <= set(SUMS[WHOLE]) else named[title]
        found[part] = found[part] + sound if part in found else sound
    return {part: found[part] for part in PARTS if part in found}


def _part(song: Reference, title: str) -> str:
    held = song.sums[title]
    if held == (title,):
        return title
    for part, family in SUMS.items():
        if held and set(held) <= set(family):
            return part
    raise StemsTooCoarse(name=song.name, title=title, stems=", ".join(held) or "nothing that the model has")
