"""Object storage as a blob store: S3 and what speaks like it, Google's, Azure's. No blob is held whole in memory."""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import from_url

from stemwright.errors import BlobNotFound, BlobsAway, CannotOpenBlobs
from stemwright.server.store.blob_names import checked, headers_of

PIECE_BYTES = 8 << 20  # of an upload or a download, each asked for again by itself
PROBE = "stemwright.probe"
_PAUSES = (0.1, 0.2, 0.5, 1, 2, 5)  # seconds between two attempts, the last one again and again
_CACHED = {"Cache-Control": "public, max-age=86400, immutable"}
# Some of these come as Python's own.
_MISSING = (NotFoundError, FileNotFoundError)
_FORBIDDEN = (PermissionDeniedError, UnauthenticatedError, PermissionError)
# Where nothing else gives them, they are asked for at the address by which a provider's own machines have theirs.
_ASKED_FOR_KEYS = "://169.254."
_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
T = TypeVar("T")


class Objects:
    """Blobs as objects of one bucket, below the URL's path.

    The URL's query holds what the provider's usual environment variables (AWS_…, GOOGLE_…, AZURE_…) do not:
    `s3://bucket/prefix?endpoint=http://minio:9000`. `public_endpoint` is the one that clients reach the store by.
    """

    def __init__(self, url: str, *, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        options = dict(parse_qsl(urlsplit(url).query))
        public = options.pop("public_endpoint", None)
        self.url = url.partition("?")[0]
        self._store = _opened(self.url, options)
        self._links = _opened(self.url, options | {"endpoint": public}) if public else self._store

    def put(self, name: str, source: Path) -> int:
        """Stores a copy of the file; returns its size in bytes. A write that was confirmed and lost is made again."""
        size = source.stat().st_size
        about: Any = headers_of(name) | _CACHED

        def store() -> None:
            with source.open("rb") as file:
                obstore.put(
                    self._store, checked(name), file, attributes=about, chunk_size=PIECE_BYTES, max_concurrency=2
                )
            if obstore.head(self._store, name)["size"] != size:
                raise _Incomplete

        self._persist(store)
        return size

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """The blob's bytes, fetched piece by piece; raises BlobNotFound, BlobsAway."""
        size = self.size(name)
        yield cast(BinaryIO, io.BufferedReader(_Pieces(lambda start, stop: self.part(name, start, stop), size)))

    @contextmanager
    def local(self, name: str, folder: Path) -> Iterator[Path]:
        """A copy of the blob in `folder`, removed afterwards; raises BlobNotFound, BlobsAway."""
        size = self.size(name)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{secrets.token_hex(4)}_{name}"  # others may have a copy of their own there
        try:
            with path.open("wb") as file:
                for start in range(0, size, PIECE_BYTES):
                    file.write(self.part(name, start, min(start + PIECE_BYTES, size)))
            yield path
        finally:
            path.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """Removes the blob; no error when it is not there."""
        try:
            self._persist(lambda: obstore.delete(self._store, checked(name)), missing_is_final=True)
        except _MISSING:
            return

    def link(self, name: str, *, seconds: int) -> str:
        """A signed address of the blob. Signing asks nobody, so it does not say whether the blob is there."""
        store = cast(Any, self._links)
        return obstore.sign(store, "GET", checked(name), timedelta(seconds=seconds))

    def check(self, probe: bytes = b"", *, patience_seconds: float | None = None) -> None:
        """Raises CannotOpenBlobs unless such bytes can be stored and deleted, tried for so long."""
        try:
            store = lambda: obstore.put(self._store, PROBE, probe)  # noqa: E731
            self._persist(store, missing_is_final=True, patience_seconds=patience_seconds)
            self.clear_probe()
        except _MISSING:
            raise CannotOpenBlobs(url=self.url, reason="there is no such bucket or container") from None
        except BlobsAway as error:
            raise CannotOpenBlobs(url=self.url, reason=error.fields["reason"]) from error

    def clear_probe(self) -> None:
        """Removes what a check left that was killed in between. Raises BlobsAway."""
        self.delete(PROBE)

    def __contains__(self, name: str) -> bool:
        try:
            self.size(name)
        except BlobNotFound:
            return False
        return True

    def size(self, name: str) -> int:
        """How many bytes the blob has; raises BlobNotFound, BlobsAway."""
        try:
            return self._persist(lambda: obstore.head(self._store, checked(name))["size"], missing_is_final=True)
        except _MISSING:
            raise BlobNotFound(name=name) from None

    def part(self, name: str, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`, in one request; raises BlobNotFound, BlobsAway."""

        def read() -> bytes:
            piece = bytes(obstore.get_range(self._store, name, start=start, end=stop))
            if len(piece) != stop - start:
                raise _Incomplete
            return piece

        try:
            return self._persist(read, missing_is_final=True)
        except _MISSING:
            raise BlobNotFound(name=name) from None

    def _persist(
        self, act: Callable[[], T], *, missing_is_final: bool = False, patience_seconds: float | None = None
    ) -> T:
        """What `act` returns, tried again as long as the store does not answer; raises BlobsAway after that."""
        until = time.monotonic() + (self._patience_seconds if patience_seconds is None else patience_seconds)
        attempt = 0
        while True:
            try:
                return act()
            except (BaseError, OSError) as error:
                if isinstance(error, OSError) and error.errno:
                    raise  # our own disk's
                if isinstance(error, _MISSING) and missing_is_final:
                    raise
                if isinstance(error, _FORBIDDEN) or time.monotonic() > until:
                    raise BlobsAway(reason=self._told(error)) from error
            time.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            attempt += 1

    def _told(self, error: Exception) -> str:
        reason = _first_line(error)
        if _ASKED_FOR_KEYS not in reason:
            return reason
        return f"there are no credentials for it, and this machine has none of its own: set {_KEYS[self.url[:2]]}"


class _Incomplete(BaseError):
    """The store said yes, and does not have it."""

    def __init__(self) -> None:
        super().__init__("the store confirmed a write and does not have it")


class _Pieces(io.RawIOBase):
    """A blob as a stream that holds one piece of it."""

    def __init__(self, piece: Callable[[int, int], bytes], size: int) -> None:
        self._piece, self._size = piece, size
        self._at, self._held = 0, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._held and self._at < self._size:
            stop = min(self._at + PIECE_BYTES, self._size)
            self._held, self._at = self._piece(self._at, stop), stop
        taken = self._held[: len(buffer)]
        self._held = self._held[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


def _opened(url: str, options: dict[str, str]) -> Any:
    config: Any = options
    try:
        return from_url(
            url,
            config=config,
            # An endpoint is only ever http: when its address says so.
            client_options={"allow_http": True, "connect_timeout": "5s", "timeout": "60s"},
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=5)},
        )
    except (BaseError, ValueError) as error:
        reason = _first_line(error)
        if "Account must be specified" in reason:
            reason = f"it says not whose it is: set {_KEYS['az']}"
        raise CannotOpenBlobs(url=url, reason=reason) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].strip()
