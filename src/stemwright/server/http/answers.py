"""Answers: the envelope, encoded once, sent as one ASGI message pair."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from stemwright import errors
from stemwright.server.http.errors import meaning, message, retry_after, status

_JSON = "application/json;charset=UTF-8"
_OURS_ALONE = {"Cache-Control": "no-store"}  # else a browser's disk has it still when its person has signed out


@dataclass(frozen=True)
class Answer:
    """A complete answer; `code` is what stands in its envelope, for counting."""

    status: int
    body: bytes
    content_type: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    code: int = 200

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it (ASGI); a HEAD request gets the headers alone."""
        raw = [
            (b"content-type", self.content_type.encode()),
            (b"content-length", str(len(self.body)).encode()),
            *((name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self.body})


def encoded(value: object) -> bytes:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def success(data: object, *, msg: str = "success", headers: Mapping[str, str] | None = None, **more: object) -> Answer:
    """The envelope around `data`; `more` are fields beside it."""
    body = encoded({**more, "code": 200, "msg": msg, "data": data})
    return Answer(200, body, headers={**_OURS_ALONE, **(headers or {})})


def repeated(body: str, *, headers: Mapping[str, str]) -> Answer:
    """A stored answer, word for word."""
    return Answer(200, body.encode(), headers={**_OURS_ALONE, **headers, "Idempotent-Replayed": "true"})


def plain(data: object, *, status_code: int = 200) -> Answer:
    """JSON without an envelope."""
    return Answer(status_code, encoded(data), "application/json", code=status_code)


def failure(
    fault: Exception,
    *,
    request_id: str,
    dialect: str,
    always_200: bool,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Answer:
    """The envelope for an error, with the request id by which the log has the rest."""
    code = meaning(fault).code(dialect)
    body = {**more, "code": code, "msg": message(fault), "data": None, "requestId": request_id}
    sent = {**_OURS_ALONE, **(headers or {})}
    if (seconds := retry_after(fault)) is not None:
        sent["Retry-After"] = str(seconds)
    if isinstance(fault, errors.InvalidKey):
        sent["WWW-Authenticate"] = "Bearer"
    return Answer(status(code, always_200=always_200), encoded(body), headers=sent, code=code)


def attached(name: str) -> str:
    """The Content-Disposition of a file that is kept under this name: plain first, for what knows no other signs."""
    plain = re.sub(r"[^A-Za-z0-9._ -]+", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
