"""A multipart upload, written to disk while it arrives."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from anyio import to_thread
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from stemwright import errors
from stemwright.server.http.calls import FORGOTTEN_BYTES, Call
from stemwright.server.tracks import new_audio_id

_LONGEST_FIELD = 64 * 1024
_LONGEST_BOUNDARY = 256  # the parser takes no longer one
# How .NET and older urllib3 send a name that is not ASCII (RFC 8187); the parser passes it over.
_EXTENDED = re.compile(rb";\s*filename\*\s*=\s*(utf-8|iso-8859-1)'[^']*'([^\s;]+)", re.IGNORECASE)
_ESCAPED = {"%22": '"', "%0D": "\r", "%0A": "\n"}  # by browsers, in the names of fields and files, and nothing else


@dataclass
class Received:
    """What came: the file's bytes at `path`, the name its sender gave it, and the form's other fields."""

    path: Path
    name: str = ""
    kind: str = ""  # its Content-Type
    size: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    found: bool = False


async def to_disk(call: Call, receive: Receive, *, hold: Callable[[int], None]) -> None:
    """Stream the form's first file to disk; `hold` is told of each piece before it is kept.

    Raises InvalidRequest, BodyTooLarge, and what `hold` raises.
    """
    call.api.uploads.mkdir(parents=True, exist_ok=True)
    received = Received(call.api.uploads / f"{new_audio_id()}.part")
    call.closing.callback(received.path.unlink, missing_ok=True)
    with received.path.open("wb") as file:
        limits = {"max_bytes": call.api.settings.max_upload_bytes, "max_beside": call.api.settings.max_body_bytes}
        form = _Form(received, file, boundary=_boundary(call), hold=hold, **limits)
        await _feed(form, receive)
    form.check()
    call.received = received


async def _feed(form: _Form, receive: Receive) -> None:
    more, forgotten = True, 0
    while more and forgotten < FORGOTTEN_BYTES:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientDisconnect
        more, body = event.get("more_body", False), event.get("body", b"")
        if form.refused is None:
            await to_thread.run_sync(form.feed, body)
        else:
            forgotten += len(body)


def _boundary(call: Call) -> bytes:
    kind, options = parse_options_header(call.sent.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise errors.InvalidRequest(field="Content-Type", problem="must be multipart/form-data with a boundary")
    return boundary


class _Form:
    """Takes the parser's events: one file goes to disk, small fields to memory."""

    def __init__(
        self,
        received: Received,
        file: IO[bytes],
        *,
        boundary: bytes,
        hold: Callable[[int], None],
        max_bytes: int,
        max_beside: int,
    ) -> None:
        self._hold = hold
        self._received = received
        self._file = file
        self._max_bytes = max_bytes
        self._max_beside = max_beside  # of all that is not the file: what is held in memory
        self._fed = 0
        self._header = (bytearray(), bytearray())
        self._disposition: dict[bytes, bytes] = {}
        self._kind = b""
        self._value = bytearray()
        self._is_file = False
        self._complete = False
        self.refused: errors.StemwrightError | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Take some more of the body; what is wrong with it is kept in `refused`."""
        self._fed += len(chunk)
        try:
            self._parser.write(chunk)
        except MultipartParseError:
            self.refused = errors.InvalidRequest(field="body", problem="is not a well-formed multipart form")
        except errors.ServiceError as fault:
            self.refused = fault
        if self._fed - self._received.size > self._max_beside:
            self.refused = errors.BodyTooLarge(max_bytes=self._max_beside)

    def check(self) -> None:
        """Raises what was wrong with the form."""
        if self.refused is not None:
            raise self.refused
        if not self._complete:
            raise errors.InvalidRequest(field="body", problem="ends before the multipart form does")
        if not self._received.found:
            raise errors.InvalidRequest(field="file", problem="Field required")

    def _finish(self) -> None:
        self._complete = True

    def _begin(self) -> None:
        self._disposition = {}
        self._kind = b""
        self._value = bytearray()
        self._is_file = False

    def _header_end(self) -> None:
        name, value = (bytes(part) for part in self._header)
        if name.lower() == b"content-disposition":
            self._disposition = parse_options_header(value)[1]
            if extended := _EXTENDED.search(value):
                charset, name = (part.decode("latin-1") for part in extended.groups())
                self._disposition[b"filename"] = unquote(name, charset).encode()
        elif name.lower() == b"content-type":
            self._kind = parse_options_header(value)[0]
        self._header[0].clear()
        self._header[1].clear()

    def _headers_finished(self) -> None:
        is_file = b"filename" in self._disposition or self._disposition.get(b"name") == b"file"
        self._is_file = is_file and not self._received.found
        if self._is_file:
            self._received.found = True
            self._received.name = self._named(b"filename")
            self._received.kind = self._kind.decode("latin-1")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._value += data[start:end][: _LONGEST_FIELD - len(self._value)]
            return
        self._received.size += end - start
        if self._received.size > self._max_bytes:
            raise errors.BodyTooLarge(max_bytes=self._max_bytes)
        self._hold(end - start)
        self._file.write(data[start:end])

    def _end(self) -> None:
        if not self._is_file:
            self._received.fields[self._named(b"name")] = self._value.decode("utf-8", "replace")

    def _named(self, what: bytes) -> str:
        name = self._disposition.get(what, b"").decode("utf-8", "replace")
        for escape, sign in _ESCAPED.items():
            name = name.replace(escape, sign)
        return name
