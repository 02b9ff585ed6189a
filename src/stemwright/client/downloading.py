"""Files of the server on this disk: written aside, resumed by Range, and in place only when they are whole."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx2

from stemwright.client.records import RemoteStem
from stemwright.errors import CannotWrite, KeptNoMore, NotDownloaded

_ATTEMPTS, _PAUSE_SECONDS = 5, 0.5


class _Interrupted(Exception):
    """The connection broke off; what has come counts."""


def file_names(stems: Sequence[RemoteStem]) -> list[str]:
    """One file name for each stem, different from all others.

    >>> file_names([RemoteStem("drums", "https://x/a_Drums.mp3"), RemoteStem("drums", "https://x/b_Drums.flac")])
    ['drums.mp3', 'drums_2.flac']
    """
    seen: dict[str, int] = {}
    names = []
    for stem in stems:
        seen[stem.name] = number = seen.get(stem.name, 0) + 1
        names.append(f"{stem.name}{'' if number == 1 else f'_{number}'}.{stem.format}")
    return names


def download(http: httpx2.Client, url: str, path: Path) -> Path:
    """Fetches `url` into `path`, going on where an earlier attempt broke off; raises NotDownloaded, CannotWrite."""
    for attempt in range(_ATTEMPTS):
        try:
            return _fetch(http, url, path)
        except (_Interrupted, httpx2.TransportError) as fault:
            if attempt == _ATTEMPTS - 1:
                raise NotDownloaded(url=url, reason=str(fault) or type(fault).__name__) from fault
            time.sleep(_PAUSE_SECONDS * 2**attempt)
        except OSError as fault:
            raise CannotWrite(path=path, reason=fault.strerror or fault) from fault
    raise AssertionError


def _fetch(http: httpx2.Client, url: str, path: Path) -> Path:
    head = http.head(url, headers={"Accept-Encoding": "identity"})
    size = _size(head.headers) if head.is_success else None
    part = path.with_name(f".{path.name}.{_version(url, head)}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the size a rest cannot be told from the whole.
    have = part.stat().st_size if size is not None and part.exists() else 0
    if have == 0 or have != size:
        _receive(http, url, part, have if size and have < size else 0)
    if size is not None and part.stat().st_size != size:
        raise _Interrupted(f"{part.stat().st_size} of {size} bytes came")
    part.replace(path)
    return path


def _receive(http: httpx2.Client, url: str, part: Path, have: int) -> None:
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with http.stream("GET", url, headers=headers) as answer:
        if answer.status_code >= 500 or answer.status_code in (408, 429):
            raise _Interrupted(f"HTTP status {answer.status_code}")
        if answer.status_code in (404, 410):
            raise KeptNoMore(url=url, status=answer.status_code)
        if not answer.is_success and answer.status_code != 416:
            raise NotDownloaded(url=url, reason=f"HTTP status {answer.status_code}")
        goes_on = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status_code == 416 or (answer.status_code == 206 and not goes_on):
            part.unlink(missing_ok=True)
            raise _Interrupted("the server gave another part than the one asked for")
        with part.open("ab" if goes_on else "wb") as file:
            for (
                block
            ) in answer.iter_raw():  # as it comes: what waits to fill a block is lost when the connection breaks
                file.write(block)


def _size(headers: Mapping[str, str]) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _version(url: str, head: httpx2.Response) -> str:
    """Names what the bytes are of: of another version, none are gone on from."""
    facts = [url, *(head.headers.get(name, "") for name in ("ETag", "Last-Modified", "Content-Length"))]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]
