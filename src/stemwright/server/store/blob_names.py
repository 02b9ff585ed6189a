"""What blobs may be called, and what a name says of its blob."""

from __future__ import annotations

import mimetypes

from stemwright.audio.formats import CONTENT_TYPES
from stemwright.errors import BlobNotFound

_SUFFIXES = {kind: suffix for suffix, kinds in reversed(CONTENT_TYPES.items()) for kind in kinds.split()}


def checked(name: str) -> str:
    """The name, unless it could not be one of ours: BlobNotFound."""
    if not name or name.startswith(".") or any(part in name for part in ("/", "\\", "\0")):
        raise BlobNotFound(name=name)
    return name


def kind_of(name: str) -> str:
    """The content type of a file, by its extension."""
    known = CONTENT_TYPES.get(f".{name.rpartition('.')[2].lower()}", "").partition(" ")[0]
    return known or mimetypes.guess_type(name)[0] or "application/octet-stream"


def suffix_of(kind: str) -> str:
    """The extension of files of this content type, `.mp3`; empty for what is neither sound nor film."""
    return _SUFFIXES.get(kind.lower(), "")


def headers_of(name: str) -> dict[str, str]:
    """The Content-Type that a blob is served as, by its extension, and how: what a stranger uploaded is never shown
    as a page of ours, nor run as a script of one."""
    kind = kind_of(name)
    if kind.startswith(("audio/", "video/")):
        return {"Content-Type": kind}
    return {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment"}
