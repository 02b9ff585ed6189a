"""What blobs may be called, and what a name says of its blob."""

from __future__ import annotations

import mimetypes

from stemwright.errors import BlobNotFound

# What each is served as, then what else its senders call it. What the system knows beyond that differs from machine to
# machine, and a container knows next to nothing.
_KINDS = {
    "mp3": "audio/mpeg audio/mp3",
    "wav": "audio/wav audio/x-wav audio/wave",
    "wave": "audio/wav",
    "flac": "audio/flac audio/x-flac",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/ogg audio/opus",
    "spx": "audio/ogg",
    "m4a": "audio/mp4 audio/x-m4a",
    "m4b": "audio/mp4",
    "m4r": "audio/mp4",
    "aac": "audio/aac",
    "aiff": "audio/aiff audio/x-aiff",
    "aif": "audio/aiff",
    "aifc": "audio/aiff",
    "wma": "audio/x-ms-wma",
    "mp2": "audio/mpeg",
    "mpga": "audio/mpeg",
    "ac3": "audio/ac3",
    "eac3": "audio/eac3",
    "dts": "audio/vnd.dts",
    "caf": "audio/x-caf",
    "ape": "audio/x-ape",
    "wv": "audio/x-wavpack",
    "tta": "audio/x-tta",
    "tak": "audio/x-tak",
    "au": "audio/basic",
    "snd": "audio/basic",
    "w64": "audio/x-w64",
    "amr": "audio/amr",
    "voc": "audio/x-voc",
    "dsf": "audio/x-dsf",
    "mpc": "audio/x-musepack",
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm audio/webm",
    "mkv": "video/x-matroska",
    "mka": "audio/x-matroska",
    "avi": "video/x-msvideo",
    "flv": "video/x-flv",
    "mpg": "video/mpeg",
    "mpeg": "video/mpeg",
    "ts": "video/mp2t",
    "mts": "video/mp2t",
    "m2ts": "video/mp2t",
    "3gp": "video/3gpp",
    "3g2": "video/3gpp2",
    "ogv": "video/ogg",
}
_SUFFIXES = {kind: f".{suffix}" for suffix, kinds in reversed(_KINDS.items()) for kind in kinds.split()}


def checked(name: str) -> str:
    """The name, unless it could not be one of ours: BlobNotFound."""
    if not name or name.startswith(".") or any(part in name for part in ("/", "\\", "\0")):
        raise BlobNotFound(name=name)
    return name


def kind_of(name: str) -> str:
    """The content type of a file, by its extension."""
    known = _KINDS.get(name.rpartition(".")[2].lower(), "").partition(" ")[0]
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
