"""Native Instruments' Stem files: the song and its four parts as tracks of one mp4, named in an atom of their own."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import BinaryIO

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
_HEAD = struct.Struct(">I4s")


def write_native(song: Material, path: Path) -> None:
    """Writes `path`: five AAC tracks, the song first and alone enabled, at one gain with which none of them clips."""
    gain = song.unclipped(SONG, *(QUARTER + name for name in PARTS))
    sounds = {"Mix": song.waiting[SONG]} | {name.title(): song.quarters[name] for name in PARTS}
    tracks = {title: times(spool.blocks(), gain) for title, spool in sounds.items()}
    with whole_file(path) as file:
        write_tracks(file, tracks, rate=song.files.rate, tags=song.tags.titled(song.title))
        _add_atom(file, b"stem", manifest())


def manifest() -> bytes:
    """What the `stem` atom says: JSON, version 1."""
    stems = [{"name": name.title(), "color": colour(name).upper()} for name in PARTS]
    return json.dumps({"mastering_dsp": _MASTERING, "version": 1, "stems": stems}, separators=(",", ":")).encode()


def _add_atom(file: BinaryIO, kind: bytes, body: bytes) -> None:
    """Puts an atom into moov/udta of an mp4 whose moov is its last: nothing that offsets point at moves."""
    start, size = _find(file, b"moov", 0, file.seek(0, os.SEEK_END))
    file.seek(start)
    moov = bytearray(file.read(size))
    atom = _HEAD.pack(_HEAD.size + len(body), kind) + body
    place = 8
    while place < size:
        length, name = _HEAD.unpack_from(moov, place)
        if name == b"udta":
            moov[place : place + 4] = struct.pack(">I", length + len(atom))
            moov[place + length : place + length] = atom
            break
        place += length
    else:
        moov += _HEAD.pack(_HEAD.size + len(atom), b"udta") + atom
    moov[:4] = struct.pack(">I", len(moov))
    file.seek(start)
    file.write(moov)


def _find(file: BinaryIO, kind: bytes, start: int, end: int) -> tuple[int, int]:
    while start < end:
        file.seek(start)
        size, name = _HEAD.unpack(file.read(_HEAD.size))
        if size == 1:  # a 64-bit size follows
            size = int.from_bytes(file.read(8), "big")
        if name == kind:
            return start, size
        start += size
    raise AssertionError("the muxer wrote no moov")
