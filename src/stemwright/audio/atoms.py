"""Atoms of mp4 files (ISO/IEC 14496-12): tags that FFmpeg neither reads nor writes, and room for one atom more."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from typing import BinaryIO

from stemwright.audio.tags import Tags

_HEAD = struct.Struct(">I4s")
_TAGS = (b"moov", b"udta", b"meta", b"ilst")
# There is no atom for these: DJ programs keep them in atoms that carry a name.
_NAMED = {"key": b"initialkey", "isrc": b"ISRC", "publisher": b"LABEL"}
_UTF8 = 1
_MOST_ATOMS = 4096  # beside one another: a file may claim any number


def atom(kind: bytes, body: bytes) -> bytes:
    """One atom."""
    return _HEAD.pack(_HEAD.size + len(body), kind) + body


def told_tempo(file: BinaryIO) -> dict[str, str]:
    """The tempo in an mp4's tags, by iTunes' name for it; nothing for other files. Leaves the file anywhere."""
    with suppress(OSError):
        file.seek(0)
        if file.read(_HEAD.size)[4:] != b"ftyp":
            return {}
        place = _within(file, *_TAGS, b"tmpo", b"data")
        if place is not None:
            start, end = place[0] + 8, place[1]  # behind its type and its language
            file.seek(start)
            bpm = int.from_bytes(file.read(max(0, min(4, end - start))), "big")
            return {"tmpo": str(bpm)} if bpm else {}
    return {}


def add_named_tags(file: BinaryIO, tags: Tags) -> None:
    """Adds what an mp4 has only named atoms for; its moov is its last."""
    texts = {name: tags.texts[key] for key, name in _NAMED.items() if key in tags.texts}
    if texts:
        add(file, _TAGS, b"".join(_named(name, text) for name, text in texts.items()))


def add(file: BinaryIO, path: tuple[bytes, ...], more: bytes) -> None:
    """Puts atoms at the end of the one at `path`, whose first is the file's last: what offsets point at stays there."""
    place = _within(file, path[0])
    assert place is not None, "the muxer wrote no moov"
    start, end = place
    file.seek(start)
    body = _grown(file.read(end - start), path[1:], more)
    file.seek(start - _HEAD.size)
    file.write(atom(path[0], body))


def _grown(body: bytes, path: tuple[bytes, ...], more: bytes) -> bytes:
    """The body of an atom with more at the end of what is at `path` in it; an atom that is not there is made."""
    if not path:
        return body + more
    kind, place = path[0], 0
    while place < len(body):
        size, name = _HEAD.unpack_from(body, place)
        if name == kind:
            inner = body[place + _HEAD.size : place + size]
            version = inner[: _before(kind)]
            inside = version + _grown(inner[len(version) :], path[1:], more)
            return body[:place] + atom(kind, inside) + body[place + size :]
        place += size
    return body + atom(kind, bytes(_before(kind)) + _grown(b"", path[1:], more))


def _named(name: bytes, text: str) -> bytes:
    mean = atom(b"mean", bytes(4) + b"com.apple.iTunes")
    data = atom(b"data", struct.pack(">II", _UTF8, 0) + text.encode())
    return atom(b"----", mean + atom(b"name", bytes(4) + name) + data)


def _before(kind: bytes) -> int:
    """How many bytes stand before the atoms in one: its version and flags."""
    return 4 if kind == b"meta" else 0


def _within(file: BinaryIO, *path: bytes) -> tuple[int, int] | None:
    """Where the body of the atom at `path` begins and ends; None where there is none."""
    place, end = 0, file.seek(0, os.SEEK_END)
    for kind in path:
        found = _find(file, kind, place, end)
        if found is None:
            return None
        place, end = found[0] + _before(kind), found[1]
    return place, end


def _find(file: BinaryIO, kind: bytes, start: int, end: int) -> tuple[int, int] | None:
    for _ in range(_MOST_ATOMS):
        file.seek(start)
        head = file.read(_HEAD.size)
        if start >= end or len(head) < _HEAD.size:
            return None
        size, name = _HEAD.unpack(head)
        body = start + _HEAD.size
        if size == 1:  # a 64-bit size follows
            size, body = int.from_bytes(file.read(8), "big"), body + 8
        after = start + size if size else end  # 0: up to the end
        if not body <= after <= end:
            return None
        if name == kind:
            return body, after
        start = after
    return None
