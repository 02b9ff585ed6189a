"""ID3v2.3 tags (id3.org/id3v2.3.0), for mp3 and wav files: UTF-16, which every player reads."""

from __future__ import annotations

import struct

from stemwright.audio.covers import cover_codec
from stemwright.audio.tags import Tags

_TEXTS = {
    "title": "TIT2",
    "artist": "TPE1",
    "album": "TALB",
    "album_artist": "TPE2",
    "composer": "TCOM",
    "genre": "TCON",
    "date": "TYER",
    "track": "TRCK",
    "disc": "TPOS",
    "copyright": "TCOP",
    "publisher": "TPUB",
    "bpm": "TBPM",
    "key": "TKEY",
    "isrc": "TSRC",
}
_LONG_TEXTS = {"comment": "COMM", "lyrics": "USLT"}  # in a language, with a description


def id3(tags: Tags) -> bytes:
    """The tags with their cover, or nothing when there are none."""
    frames = b"".join(_text(_TEXTS[name], text) for name, text in tags.texts.items() if name in _TEXTS)
    for name, frame in _LONG_TEXTS.items():
        if name in tags.texts:
            frames += _frame(frame, b"\x01und" + _utf16("") + _utf16(tags.texts[name]))
    if tags.cover is not None:
        kind = b"image/png" if cover_codec(tags.cover) == "png" else b"image/jpeg"
        frames += _frame("APIC", b"\0" + kind + b"\0\x03\0" + tags.cover)
    size = len(frames)
    synchsafe = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + synchsafe + frames if frames else b""


def wav_chunk(tags: Tags) -> bytes:
    """The same as the last chunk of a wav file: where DAWs and DJ programs look for a cover."""
    tag = id3(tags)
    return b"id3 " + struct.pack("<I", len(tag)) + tag + bytes(len(tag) % 2) if tag else b""


def _text(name: str, text: str) -> bytes:
    return _frame(name, b"\x01" + _utf16(text[:4] if name == "TYER" else text)[:-2])


def _frame(name: str, body: bytes) -> bytes:
    return name.encode() + struct.pack(">IH", len(body), 0) + body


def _utf16(text: str) -> bytes:
    return b"\xff\xfe" + text.encode("utf-16-le", "replace") + b"\0\0"
