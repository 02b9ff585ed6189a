"""Uploads: a file in by form, by base64 or by address, registered as a song that can be separated."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import sqlalchemy as sa
from starlette.types import Receive

from stemwright import errors
from stemwright.audio import naming
from stemwright.audio.formats import EXTENSIONS
from stemwright.server import accounts, arrivals, maintenance, tracks
from stemwright.server.http import answers, wire
from stemwright.server.http.answers import Answer
from stemwright.server.http.calls import Admit, Call, Read, bounded, known_first
from stemwright.server.http.limits import Held
from stemwright.server.http.multipart import Received, to_disk
from stemwright.server.http.routes.files import looked_up
from stemwright.server.http.routes.separation import own_blob
from stemwright.server.store.blob_names import kind_of, suffix_of

_BASE64_BODY_BYTES = 20 << 20  # a larger file belongs into a form, which is not held in memory
_FETCH_SECONDS = 30.0
_DAY_MS = 86_400_000
_SPACE = re.compile(r"\s")
_IN_BASE64 = re.compile(r";\s*base64\s*$", re.IGNORECASE)
_SAFE = re.compile(r"[^A-Za-z0-9._-]+")
_URL_SAFE = str.maketrans("-_", "+/")  # of the other alphabet, which mostly goes without padding (RFC 4648, section 5)
_DATA_URL = re.compile(r"data:([\w/.+-]+)", re.IGNORECASE)


async def read_form(call: Call, receive: Receive) -> None:
    """Read a multipart form for `by_form`; raises UploadsFull."""
    call.beside["success"] = False
    await form_reader(Call.authenticate)(call, receive)


def form_reader(admit: Admit) -> Read:
    """A reader of multipart forms, as far as the account of whom `admit` lets in has room; raises UploadsFull."""

    def with_room(call: Call) -> None:
        admit(call)
        with call.api.database.read() as tx:
            _refuse_full(tx, call, 1)

    async def read(call: Call, receive: Receive) -> None:
        arriving, count_in = call.api.arriving, _counting(call, call.api.arriving)

        def hold(count: int) -> None:
            """Many forms at once may take no more of the disk than one after another."""
            try:
                count_in(count)
            except errors.TooManyUploads:
                raise _full(call, kept=arriving.held(call.caller.account_id)) from None

        await to_disk(call, receive, hold=hold)

    return known_first(read, with_room)


async def read_base64(call: Call, receive: Receive) -> None:
    """Read the JSON body for `by_base64`, as far as there is memory for it; raises TooManyUploads."""
    call.beside["success"] = False
    settings, held = call.api.settings, call.api.held
    largest = min(settings.max_upload_bytes * 4 // 3 + settings.max_body_bytes, _BASE64_BODY_BYTES, held.largest)
    await known_first(bounded(largest, hold=_counting(call, held)))(call, receive)


def _counting(call: Call, held: Held) -> Callable[[int], None]:
    """Counts what comes as its account's, once that is known, until the call is over; raises TooManyUploads."""
    kept = 0

    def count_in(count: int) -> None:
        nonlocal kept
        held.take(call.caller.account_id, count)
        kept += count

    call.closing.callback(lambda: kept and held.give_back(call.caller.account_id, kept))
    return count_in


async def read_url(call: Call, receive: Receive) -> None:
    """Read the JSON body for `by_url`."""
    call.beside["success"] = False
    await known_first(bounded(call.api.settings.max_body_bytes))(call, receive)


def by_form(call: Call) -> Answer:
    """`POST /api/file-stream-upload`: multipart/form-data with `file`."""
    received: Received = call.received
    fields = received.fields
    name = fields.get("fileName") or received.name
    return _register(call, received.path, name=name, folder=fields.get("uploadPath"), kind=received.kind)


def by_base64(call: Call) -> Answer:
    """`POST /api/file-base64-upload`: JSON with `base64Data`, plain or as a data: URL."""
    asked = wire.parse(call.body).to(wire.Base64Upload, base64Data="file")
    call.body = b""  # the text is enough to hold
    content = _decoded(asked.data)
    if len(content) > (limit := call.api.settings.max_upload_bytes):
        raise errors.BodyTooLarge(max_bytes=limit)
    path = _arriving(call)
    path.write_bytes(content)
    told = _DATA_URL.match(asked.data)
    return _register(call, path, name=asked.file_name, folder=asked.upload_path, kind=told[1] if told else "")


def by_url(call: Call) -> Answer:
    """`POST /api/file-url-upload`: JSON with `fileUrl`, fetched now; an address of ours is taken from the store."""
    asked = wire.parse(call.body).to(wire.UrlUpload, fileUrl="url")
    if blob := own_blob(call, asked.url):
        return _again(call, blob, asked)
    path = _arriving(call)
    limit = call.api.settings.max_upload_bytes
    fetched = call.api.network.get_to_file(asked.url, path, max_bytes=limit, seconds=_FETCH_SECONDS)
    name = asked.file_name or fetched.name
    return _register(call, path, name=name, folder=asked.upload_path, kind=fetched.content_type)


def _again(call: Call, blob: str, asked: wire.UrlUpload) -> Answer:
    try:
        looked_up(call, blob)
        with call.api.blobs.local(blob, call.api.uploads) as path:
            name = asked.file_name or blob.partition("_")[2]
            return _register(call, path, name=name, folder=asked.upload_path, kind="")
    except (errors.BlobNotFound, errors.FileGone):
        raise errors.WrongUrl from None


def _refuse_full(tx: sa.Connection, call: Call, size: int) -> None:
    kept = tracks.kept_bytes(tx, call.caller.account_id)
    if kept + size > call.api.settings.account_uploads_bytes:
        raise _full(call, kept=kept)


def _full(call: Call, *, kept: int) -> errors.UploadsFull:
    settings = call.api.settings
    return errors.UploadsFull(kept=kept, limit=settings.account_uploads_bytes, days=f"{settings.upload_days:g}")


def _arriving(call: Call) -> Path:
    call.api.uploads.mkdir(parents=True, exist_ok=True)
    path = call.api.uploads / f"{tracks.new_audio_id()}.part"
    call.closing.callback(path.unlink, missing_ok=True)
    return path


def _decoded(text: str) -> bytes:
    try:
        if text[:5].lower() == "data:":
            head, _, text = text.partition(",")
            if not _IN_BASE64.search(head):  # urllib's unquote would take eighty times the memory of the text
                return binascii.a2b_qp(text.replace("=", "=3D").replace("%", "="))
        text = ("".join(text.split()) if _SPACE.search(text) else text).translate(_URL_SAFE)
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        problem = "Base64 decoding failed: Invalid Base64 format"
        raise errors.InvalidRequest(field="base64Data", problem=problem) from None


def _register(call: Call, path: Path, *, name: str | None, folder: str | None, kind: str) -> Answer:
    size = path.stat().st_size
    if size == 0:
        raise errors.InvalidRequest(field="file", problem="is empty")
    file_name = safe_name(name or "upload")
    if bare(file_name) == file_name:  # else players and clients could not tell that there is sound at its address
        file_name += suffix_of(kind)  # browsers call what they record "blob", base64 has no name at all
    blob = f"{tracks.new_audio_id()}_{file_name}"

    def announce(tx: sa.Connection) -> None:
        maintenance.refuse(tx)
        _refuse_full(tx, call, size)
        arrivals.announce(tx, [blob], now=call.now)

    def register(tx: sa.Connection) -> tracks.Track:
        accounts.hold_open(tx, call.caller.account_id)
        _refuse_full(tx, call, size)  # others may have come meanwhile
        arrivals.settle(tx, [blob])
        return tracks.register(
            tx,
            call.caller.account_id,
            blob=blob,
            size=size,
            title=title_of(name or "upload"),
            file_name=file_name,
            mime=kind_of(file_name),
            expires=call.now + int(call.api.settings.upload_days * _DAY_MS),
            now=call.now,
        )

    call.api.database.together(announce)
    call.api.blobs.put(blob, path)
    try:
        track = call.api.database.together(register)
    except errors.ServiceError:  # nobody will own it: its account was closed meanwhile, or is full
        call.api.blobs.delete(blob)
        call.api.database.together(lambda tx: arrivals.settle(tx, [blob]))
        raise
    data = wire.uploaded(track, path=safe_folder(folder or ""), base_url=call.base_url)
    return answers.success(data, msg="File uploaded successfully", success=True)


def safe_name(name: str) -> str:
    """The last part of a client's file name, fit for a URL and a disk: at most 100 characters."""
    last = re.split(r"[/\\]", name)[-1]
    stem, dot, suffix = last.rpartition(".")
    stem, suffix = (_SAFE.sub("_", part).strip("._") for part in (stem if dot else last, suffix if dot else ""))
    return (stem[:80] or "upload") + (f".{suffix[:16].lower()}" if suffix else "")


def title_of(name: str) -> str:
    """What people know a song by: its file's name as its sender wrote it, without the extension."""
    last = re.split(r"[/\\]", name)[-1]
    return normalize("NFC", bare(naming.shown(last))).strip()[:200] or "upload"


def bare(name: str) -> str:
    """A song's name without the extension that a file of sound or video has."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot + suffix.lower() in EXTENSIONS else name


def kept_name(song: str, *, room: int) -> str:
    """What a file of a song is called, up to `room` bytes behind it: as every system takes it, without an extension."""
    return naming.safe(bare(song)[:100], room=room)


def safe_folder(folder: str) -> str:
    """A client's upload path without what could lead elsewhere. It is only told back: files have names of our own."""
    parts = (_SAFE.sub("_", part).strip(".") for part in re.split(r"[/\\]", folder))
    return "/".join(part for part in parts if part)
