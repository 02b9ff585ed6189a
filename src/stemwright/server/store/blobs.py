"""Bytes by name: a local folder now, object storage by the same four verbs."""

from __future__ import annotations

import glob
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from stemwright.errors import BlobNotFound, UnknownBlobs


class Folder:
    """Blobs as files of one folder, two levels deep. Every file appears whole and on disk, or not at all."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Where the blob lies; raises BlobNotFound when the name could not be one of ours."""
        if not name or name.startswith(".") or any(part in name for part in ("/", "\\", "\0")):
            raise BlobNotFound(name=name)
        return self.root / name[:2] / name

    def put(self, name: str, source: Path) -> int:
        """Stores a copy of the file; returns its size in bytes. The same name again replaces it."""
        with self.writing(name) as file, source.open("rb") as original:
            shutil.copyfileobj(original, file, 1 << 20)
            return file.tell()

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file to write the blob into: stored at the end, forgotten by any exception."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _sync_folder(path.parent)
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """The blob as a file on this machine, for as long as the context lasts; raises BlobNotFound."""
        path = self.path(name)
        if not path.is_file():
            raise BlobNotFound(name=name)
        yield path

    def delete(self, name: str) -> None:
        """Removes the blob; no error when it is not there."""
        self.path(name).unlink(missing_ok=True)

    def names(self, prefix: str) -> list[str]:
        """The blobs whose names begin so; the prefix has at least two characters."""
        found = self.path(prefix).parent.glob(f"{glob.escape(prefix)}*")
        return sorted(path.name for path in found)

    def forget_parts(self, prefix: str = "", *, older_than_seconds: float = 0) -> int:
        """Removes what writers that were killed left of blobs whose names begin so; returns how many."""
        parts = [
            part
            for part in self.root.glob(f"{glob.escape(prefix[:2]) or '*'}/.{glob.escape(prefix)}*.part")
            if part.stat().st_mtime <= time.time() - older_than_seconds
        ]
        for part in parts:
            part.unlink(missing_ok=True)
        return len(parts)

    def __contains__(self, name: str) -> bool:
        return self.path(name).is_file()


Blobs = Folder


def open_blobs(url: str) -> Blobs:
    """The store that a `file://` URL names; raises UnknownBlobs for any other."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        raise UnknownBlobs(url=url)
    return Folder(Path(unquote(parts.path)))


def _sync_folder(folder: Path) -> None:
    """A renamed file survives a power cut only when its folder is on disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
