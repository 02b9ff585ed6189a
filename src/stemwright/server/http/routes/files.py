"""Files by their names: the uuid in a name is the permission to read it."""

from __future__ import annotations

import mimetypes

from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp

from stemwright import errors
from stemwright.server import tasks, tracks
from stemwright.server.http import answers
from stemwright.server.http.answers import Answer
from stemwright.server.http.calls import Call
from stemwright.server.http.routes.separation import own_blob
from stemwright.server.http.wire import DownloadUrl, parse

_LONGEST_CACHED_SECONDS = 86_400
_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "opus": "audio/ogg", "m4a": "audio/mp4"}
_EVERYWHERE = {"access-control-allow-origin": "*", "x-content-type-options": "nosniff"}


def download(call: Call) -> ASGIApp:
    """`GET|HEAD /s/{name}`: the bytes, whole or by Range; HTTP 410 once their time is over."""
    name = call.scope["path_params"]["name"]
    call.headers |= {"Access-Control-Allow-Origin": "*"}
    expires = _expiry(call, name)
    etag = f'"{name.partition("_")[0]}"'
    headers = {**_EVERYWHERE, "etag": etag, "cache-control": _caching(expires, call.now)}
    if etag in [tag.strip().removeprefix("W/") for tag in call.sent.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    media_type = media_type_of(name)
    if not media_type.startswith(("audio/", "video/")):
        headers["content-disposition"] = "attachment"  # what a stranger uploaded is never shown as a page of ours
    with call.api.blobs.local(name) as path:
        return FileResponse(path, media_type=media_type, headers=headers)


def download_url(call: Call) -> Answer:
    """`POST /api/v1/common/download-url`: a link for one of the caller's files, good until the file's time is over."""
    url = parse(call.body).to(DownloadUrl).url
    blob = own_blob(call, url)
    if blob is None:
        raise errors.WrongUrl
    with call.api.database.read() as tx:
        track, stem = tracks.by_blob(tx, blob), tasks.by_stem(tx, blob)
    owner = track.account_id if track else stem[0].account_id if stem else None
    if owner != call.caller.account_id:
        raise errors.WrongUrl
    return answers.success(f"{call.base_url.rstrip('/')}/s/{blob}")


def media_type_of(name: str) -> str:
    """What a file is served as, by its extension."""
    suffix = name.rpartition(".")[2].lower()
    return _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _expiry(call: Call, name: str) -> int | None:
    with call.api.database.read() as tx:
        found = tasks.by_stem(tx, name)
        kept = found[0] if found else tracks.by_blob(tx, name)
    if kept is None:
        raise errors.BlobNotFound(name=name)
    if kept.gone is not None or (kept.expires is not None and kept.expires <= call.now):
        raise errors.FileGone(name=name)
    return kept.expires


def _caching(expires: int | None, now: int) -> str:
    left = _LONGEST_CACHED_SECONDS if expires is None else (expires - now) // 1000
    return f"public, max-age={min(left, _LONGEST_CACHED_SECONDS)}, immutable"
