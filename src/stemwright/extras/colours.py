"""The colour of every stem: one in all programs, far enough from its neighbours to be told apart."""

from __future__ import annotations

import zlib

_OF = {
    "vocals": "#e5484d",
    "backing_vocals": "#f08ca0",
    "drums": "#f2a20c",
    "bass": "#3e63dd",
    "guitar": "#2f9e5b",
    "keyboard": "#8e4ec6",
    "strings": "#b5651d",
    "brass": "#c9a400",
    "woodwinds": "#12a594",
    "percussion": "#e2703a",
    "synth": "#0f9fd8",
    "fx": "#7c8594",
    "other": "#8e4ec6",
    "instrumental": "#3e63dd",
}
_OTHERS = ("#8e4ec6", "#2f9e5b", "#0f9fd8", "#b5651d", "#12a594", "#e2703a", "#c9a400", "#7c8594")


def colour(stem: str) -> str:
    """As #rrggbb; a stem of an unknown name always gets the same one.

    >>> colour("drums")
    '#f2a20c'
    """
    return _OF.get(stem) or _OTHERS[zlib.crc32(stem.encode()) % len(_OTHERS)]


def rgb(stem: str) -> tuple[int, int, int]:
    """The same as three bytes."""
    red, green, blue = bytes.fromhex(colour(stem)[1:])
    return red, green, blue
