"""Files by their names: the uuid in a name is the permission to read it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from stemwright import errors
from stemwright.server import tasks, tracks
from stemwright.server.http import answers, passing
from stemwright.server.http.auth import upstream_secret_of
from stemwright.server.http.calls import Call
from stemwright.server.http.routes.separation import own_blob
from stemwright.server.http.wire import DownloadUrl, parse
from stemwright.server.store.blob_names import checked, headers_of

_LONGEST_CACHED_SECONDS = 86_400
_SIGNED_SECONDS = 3600  # a download that has begun goes on beyond that
_PART = re.compile(r"bytes=(\d{1,15})-(\d{1,15})")
_LARGEST_PART_BYTES = 2 << 20
_PIECE_BYTES = 256 << 10
_RANGE = re.compile(rb"bytes=\s*(\d{1,15}-\d{0,15}|-\d{1,15})(\s*,\s*(\d{1,15}-\d{0,15}|-\d{1,15}))*", re.IGNORECASE)
_BOTH_ENDS = re.compile(rb"(\d+)-(\d+)")
_EVERYWHERE = {"access-control-allow-origin": "*", "x-content-type-options": "nosniff"}


def download(call: Call) -> ASGIApp:
    """`GET|HEAD /s/{name}`: the bytes, whole or by Range, from here or by redirect to object storage; HTTP 410 once
    their time is over. A small part always comes from here: players ask for them, and read from us alone. So does
    `?download`: behind a redirect a browser forgets what the file is to be called, and plays it."""
    name = call.scope["path_params"]["name"]
    call.headers |= {"Access-Control-Allow-Origin": "*"}
    size, expires = looked_up(call, name)
    etag = f'"{name.partition("_")[0]}"'
    headers = {**_EVERYWHERE, "etag": etag, "cache-control": _caching(expires, call.now)}
    known = [tag.strip().removeprefix("W/") for tag in call.sent.get("if-none-match", "").split(",")]
    if etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    headers |= headers_of(name) | ({"content-disposition": "attachment"} if "download" in call.query else {})
    link = call.api.blobs.link(name, seconds=_seconds_left(expires, call.now, _SIGNED_SECONDS))
    if link is None:
        with call.api.blobs.local(name, call.api.uploads) as path:
            return _File(path, headers=headers)
    length = call.api.blobs.size(name) if size is None else size
    if part := _small_part(call):
        return _sent(call, name, length, part, headers)
    if call.scope["method"] == "HEAD":  # a signed address is good for one method, and the size is told from here
        return Response(headers=headers | {"content-length": str(length), "accept-ranges": "bytes"})
    if "download" in call.query:
        return StreamingResponse(_pieces(call, name), headers=headers | {"content-length": str(length)})
    return Response(status_code=302, headers={**_EVERYWHERE, "location": link, "cache-control": "no-store"})


def _pieces(call: Call, name: str) -> Iterator[bytes]:
    with call.api.blobs.reading(name) as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


class _File(FileResponse):
    """Ignores a Range that it cannot read, as object storage does: it may be in units that others know; and that of a
    HEAD, which asks for the size of the whole (RFC 9110, section 14.2)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_get = scope["method"] == "GET"
        sent = [(name, value) for name, value in scope["headers"] if name != b"range" or (is_get and _is_range(value))]
        await super().__call__({**scope, "headers": sent}, receive, send)


def _is_range(sent: bytes) -> bool:
    ordered = all(int(first) <= int(last) for first, last in _BOTH_ENDS.findall(sent))
    return _RANGE.fullmatch(sent) is not None and ordered


def _small_part(call: Call) -> tuple[int, int] | None:
    """The first and the last byte of a Range that has both and is short."""
    asked = _PART.fullmatch(call.sent.get("range", ""))
    if asked is None or call.scope["method"] != "GET" or "if-range" in call.sent:
        return None
    first, last = int(asked[1]), int(asked[2])
    return (first, last) if 0 <= last - first < _LARGEST_PART_BYTES else None


def _sent(call: Call, name: str, size: int, part: tuple[int, int], headers: dict[str, str]) -> Response:
    first, stop = part[0], min(part[1] + 1, size)
    if first >= size:
        headers = {**_EVERYWHERE, "content-range": f"bytes */{size}"}
        return Response("The file ends before that.", 416, headers, "text/plain")
    told = {"content-range": f"bytes {first}-{stop - 1}/{size}", "accept-ranges": "bytes"}
    return Response(call.api.blobs.part(name, first, stop), status_code=206, headers=headers | told)


def download_url(call: Call) -> ASGIApp:
    """`POST /api/v1/common/download-url`: a link for one of the caller's files, good until the file's time is over; for
    an address that is not ours, what the upstream says."""
    url = parse(call.body).to(DownloadUrl).url
    blob = own_blob(call, url)
    if blob is None:
        if upstream_secret_of(call.sent) and (there := passing.asking(call, body=call.body)):
            return there
        raise errors.WrongUrl
    with call.api.database.read() as tx:
        track, stem = tracks.by_blob(tx, blob), tasks.by_stem(tx, blob)
    kept = track or (stem[0] if stem else None)
    if kept is None or kept.account_id != call.caller.account_id:
        raise errors.WrongUrl
    _refuse_gone(kept, blob, call.now)
    return answers.success(f"{call.base_url.rstrip('/')}/s/{blob}")


def looked_up(call: Call, name: str) -> tuple[int | None, int | None]:
    """The size, where it is known, and the expiry of a stored file; raises BlobNotFound, FileGone."""
    checked(name)
    with call.api.database.read() as tx:
        found = tasks.by_stem(tx, name)
        kept = found[0] if found else tasks.by_file_beside(tx, name) or tracks.by_blob(tx, name)
        size = found[1].bytes if found else kept.bytes if isinstance(kept, tracks.Track) else None
    if kept is None:
        raise errors.BlobNotFound(name=name)
    _refuse_gone(kept, name, call.now)
    return size, kept.expires


def _refuse_gone(kept: tracks.Kept, name: str, now: int) -> None:
    if not kept.is_kept(now):
        raise errors.FileGone(name=name)


def _caching(expires: int | None, now: int) -> str:
    return f"public, max-age={_seconds_left(expires, now, _LONGEST_CACHED_SECONDS)}, immutable"


def _seconds_left(expires: int | None, now: int, most: int) -> int:
    return most if expires is None else max(1, min((expires - now) // 1000, most))
