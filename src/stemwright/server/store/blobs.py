"""Bytes by name: a folder of this machine, or object storage, by the same few verbs."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from stemwright.audio.parts import settle, settle_folder
from stemwright.errors import BlobNotFound, CannotOpenBlobs, UnknownBlobs
from stemwright.server.store.blob_names import checked


class Blobs(Protocol):
    """A store of bytes. Every blob appears whole, or not at all; the same name again replaces it."""

    def put(self, name: str, source: Path) -> int:
        """Stores a copy of the file; returns its size in bytes. Raises BlobsAway."""
        ...

    def size(self, name: str) -> int:
        """How many bytes the blob has; raises BlobNotFound, BlobsAway."""
        ...

    def reading(self, name: str) -> AbstractContextManager[BinaryIO]:
        """The blob's bytes, from the first to the last; raises BlobNotFound, BlobsAway."""
        ...

    def part(self, name: str, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`, all of which it has to have; raises BlobNotFound, BlobsAway."""
        ...

    def local(self, name: str, folder: Path) -> AbstractContextManager[Path]:
        """The blob as a file on this machine, for as long as the context lasts: where it lies, or a copy in `folder`.

        Raises BlobNotFound, BlobsAway.
        """
        ...

    def delete(self, name: str) -> None:
        """Removes the blob, and what a killed writer left of it; no error when it is not there. Raises BlobsAway."""
        ...

    def link(self, name: str, *, seconds: int) -> str | None:
        """An address that hands out the blob for so long, to whoever has it; None where we serve it ourselves."""
        ...

    def check(self, probe: bytes = b"", *, patience_seconds: float | None = None) -> None:
        """Raises CannotOpenBlobs unless such bytes can be stored and deleted right now, or as soon as one waits for."""
        ...

    def clear_probe(self) -> None:
        """Removes what a check left that was killed in between. Raises BlobsAway."""
        ...

    def __contains__(self, name: str) -> bool: ...


class Folder:
    """Blobs as files of one folder, two levels deep. Every file appears whole and on disk, or not at all."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Where the blob lies; raises BlobNotFound when the name could not be one of ours."""
        checked(name)
        return self.root / name[:2] / name

    def put(self, name: str, source: Path) -> int:
        """Stores a copy of the file; returns its size in bytes. The same name again replaces it."""
        with self._writing(name) as file, source.open("rb") as original:
            shutil.copyfileobj(original, file, 1 << 20)
            return file.tell()

    @contextmanager
    def _writing(self, name: str) -> Iterator[BinaryIO]:
        path = self.path(name)
        folder = path.parent
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{name}.{os.getpid()}.part"
        try:
            with part.open("wb") as file:
                yield file
                settle(file)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        settle_folder(folder)

    def size(self, name: str) -> int:
        """How many bytes the blob has; raises BlobNotFound."""
        with self.local(name) as path:
            return path.stat().st_size

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """The blob's bytes; raises BlobNotFound."""
        with self.local(name) as path, path.open("rb") as file:
            yield file

    def part(self, name: str, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`; raises BlobNotFound."""
        with self.reading(name) as file:
            file.seek(start)
            return file.read(stop - start)

    @contextmanager
    def local(self, name: str, folder: Path | None = None) -> Iterator[Path]:  # noqa: ARG002
        """The blob's own file; raises BlobNotFound."""
        path = self.path(name)
        if not path.is_file():
            raise BlobNotFound(name=name)
        yield path

    def delete(self, name: str) -> None:
        """Removes the blob, and what a killed writer left of it; no error when it is not there."""
        path = self.path(name)
        path.unlink(missing_ok=True)
        for part in path.parent.glob(f".{glob.escape(name)}.*.part"):
            part.unlink(missing_ok=True)

    def link(self, name: str, *, seconds: int) -> None:  # noqa: ARG002
        """None: files of this machine are served by us."""
        return

    def check(self, probe: bytes = b"", *, patience_seconds: float | None = None) -> None:  # noqa: ARG002
        """Raises CannotOpenBlobs unless such bytes can be stored and deleted right now."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as file:  # without a name: it goes with whoever is killed here
                file.write(probe)
        except OSError as error:
            raise CannotOpenBlobs(url=self.root.as_uri(), reason=error.strerror or error) from error

    def clear_probe(self) -> None:
        """Nothing: a check leaves nothing here."""

    def __contains__(self, name: str) -> bool:
        return self.path(name).is_file()


def open_blobs(url: str, *, patience_seconds: float = 10) -> Blobs:
    """The store that a `file:`, `s3:`, `gs:` or `az:` URL names; raises UnknownBlobs for any other.

    Object storage that does not answer is asked again for `patience_seconds`.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Folder(Path(unquote(parts.path)))
    if parts.scheme not in ("s3", "gs", "az"):
        raise UnknownBlobs(url=url.partition("?")[0])
    from stemwright.server.store.objects import Objects  # loaded on use: most have a folder

    return Objects(url, patience_seconds=patience_seconds)
