"""What blobs may be called, and what a name says of its blob."""

from __future__ import annotations

import mimetypes

from stemwright.errors import BlobNotFound

_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "opus": "audio/ogg", "m4a": "audio/mp4"}


def checked(name: str) -> str:
    """The name, unless it could not be one of ours: BlobNotFound."""
    if not name or name.startswith(".") or any(part in name for part in ("/", "\\", "\0")):
        raise BlobNotFound(name=name)
    return name


def headers_of(name: str) -> dict[str, str]:
    """The Content-Type that a blob is served as, by its extension, and how: what a stranger uploaded is never shown
    as a page of ours, nor run as a script of one."""
    kind = _TYPES.get(name.rpartition(".")[2].lower()) or mimetypes.guess_type(name)[0] or ""
    if kind.startswith(("audio/", "video/")):
        return {"Content-Type": kind}
    return {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment"}
