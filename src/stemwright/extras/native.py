"""Native Instruments' Stem files: the song and its four parts as tracks of one mp4, named in an atom of their own."""

from __future__ import annotations

import json
from pathlib import Path

from stemwright.audio.atoms import add, atom
from stemwright.audio.multitrack import write_tracks
from stemwright.extras.colours import colour
from stemwright.extras.material import Material, times, whole_file
from stemwright.zoo.choice import QUARTER, SONG

PARTS = ("drums", "bass", "other", "vocals")
# Players may put a compressor and a limiter behind the sum of the parts. Both are off: the sum is the song already.
_MASTERING = {
    "compressor": {
        "enabled": False,
        "ratio": 3,
        "output_gain": 0.5,
        "release": 0.3,
        "attack": 0.003,
        "input_gain": 0.5,
        "threshold": 0,
        "hp_cutoff": 300,
        "dry_wet": 50,
    },
    "limiter": {"enabled": False, "release": 0.05, "threshold": 0, "ceiling": -0.35},
}


def write_native(song: Material, path: Path) -> None:
    """Writes `path`: five AAC tracks, the song first and alone enabled, at one gain with which none of them clips."""
    gain = song.unclipped(SONG, *(QUARTER + name for name in PARTS))
    sounds = {"Mix": song.waiting[SONG]} | {name.title(): song.quarters[name] for name in PARTS}
    tracks = {title: times(spool.blocks(), gain) for title, spool in sounds.items()}
    with whole_file(path) as file:
        write_tracks(file, tracks, rate=song.files.rate, tags=song.tags.titled(song.title))
        add(file, (b"moov", b"udta"), atom(b"stem", manifest()))


def manifest() -> bytes:
    """What the `stem` atom says: JSON, version 1."""
    stems = [{"name": name.title(), "color": colour(name).upper()} for name in PARTS]
    return json.dumps({"mastering_dsp": _MASTERING, "version": 1, "stems": stems}, separators=(",", ":")).encode()
