"""Calls that pass through to the upstream: streamed both ways, the keys and what is meant for one hop left behind."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from urllib.parse import unquote

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from stemwright import errors
from stemwright.server.http.auth import secret_of, upstream_secret_of
from stemwright.server.http.calls import Call
from stemwright.server.network import Streamed
from stemwright.server.upstream import Upstream, refusal

ROOT = "/api/v1/"

_ONE_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade".split()
)
# Our own keys and cookies, what this server decides anew, and what a proxy in front of us said about the client.
_OURS = frozenset(
    b"host authorization x-api-key x-upstream-authorization cookie expect forwarded via x-csrf-token x-real-ip".split()
)
# What would speak for this server to a browser.
_THEIRS = frozenset(b"server date set-cookie strict-transport-security alt-svc clear-site-data".split())

log = logging.getLogger("stemwright.http")


def through(call: Call) -> Passed:
    """Any call that is not ours, with the caller's own upstream key; raises NoSuchRoute, UpstreamKeyMissing."""
    path = call.scope["path"]
    if {".", ".."} & set(unquote(path).split("/")):  # would lead out of the part that passes
        raise errors.NoSuchRoute(method=call.scope["method"], path=path)
    key = upstream_secret_of(call.sent)
    if not key:
        raise errors.UpstreamKeyMissing
    return Passed(call, key)


def asking(call: Call, *, body: bytes | None = b"") -> Passed | None:
    """A call of ours about something that is not here; None without an upstream, or a key for it. `body` is read."""
    key = key_of(call)
    return Passed(call, key, body=body) if key else None


def key_of(call: Call) -> str:
    """The key to look things up with: the caller's own, or the operator's; empty without an upstream."""
    upstream = call.api.upstream
    return (upstream_secret_of(call.sent) or upstream.key) if upstream else ""


@dataclass
class Passed:
    """An answer of the upstream's (ASGI); `body` is the request's, where it has been read already."""

    call: Call
    key: str
    body: bytes | None = None
    code: int = 0  # for counting; 0 while nothing was answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on and its answer back, until either side goes away."""
        began = time.perf_counter()
        client = _Client(receive, self.body if _has_body(scope) else b"")
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(client.until_gone, group.cancel_scope)
                await self._pass(client, scope, send)
                group.cancel_scope.cancel()
        finally:
            route = scope.get("raw_path", b"").decode("latin-1")[:200]
            told = (scope["method"], route, self.code or "gone", 1000 * (time.perf_counter() - began))
            log.info("upstream %s %s %s in %.0f ms", *told, extra={"request_id": self.call.request_id})

    async def _pass(self, client: _Client, scope: Scope, send: Send) -> None:
        upstream = self.call.api.upstream
        assert upstream is not None
        begun = False
        try:
            async with self._exchange(upstream, client, scope) as answer:
                client.sent.set()
                self._refuse(answer)
                self.code = answer.status
                begun = True
                await send({"type": "http.response.start", "status": answer.status, "headers": _back(answer)})
                async for chunk in answer.chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except ClientDisconnect:
            return
        except errors.ServiceError as fault:
            if begun:  # no end is sent: the connection closes, and the client sees that something is missing
                self.code = 500
                return
            failed = self.call.failed(fault)
            self.code = failed.code
            await failed(scope, client.receive, send)

    def _exchange(self, upstream: Upstream, client: _Client, scope: Scope) -> AbstractAsyncContextManager[Streamed]:
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        headers = [*_onward(scope, (secret_of(self.call.sent), self.key)), _bearer(self.key)]
        if self.body is not None:  # it has been read, and unpacked
            headers = [field for field in headers if field[0] not in (b"content-length", b"content-encoding")]
        content = client.body if self.body is not None else client.chunks() if _has_body(scope) else None
        return upstream.exchange(scope["method"], target, headers=headers, content=content or None)

    def _refuse(self, answer: Streamed) -> None:
        """A proxy's page of an error becomes an error of the dialect; JSON goes back as it came."""
        kind = answer.header(b"content-type").partition(";")[0].strip().lower()
        if kind.endswith("json") or answer.status < 400:
            return
        if answer.status == 404:
            raise errors.NoSuchRoute(method=self.call.scope["method"], path=self.call.scope["path"])
        if fault := refusal(answer.status, answer.header(b"retry-after")):
            raise fault


class _Client:
    """The client's side: its body while that arrives, then only whether it is still there."""

    def __init__(self, receive: Receive, body: bytes | None) -> None:
        self.receive = receive
        self.body = body or b""
        self.sent = anyio.Event()
        if body is not None:
            self.sent.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives; raises ClientDisconnect."""
        more = True
        while more:
            event = await self.receive()
            if event["type"] == "http.disconnect":
                raise ClientDisconnect
            more = event.get("more_body", False)
            if event.get("body"):
                yield event["body"]
        self.sent.set()

    async def until_gone(self, scope: anyio.CancelScope) -> None:
        """Ends the call once the client has gone: nobody would read the rest."""
        await self.sent.wait()
        while (await self.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()


def _has_body(scope: Scope) -> bool:
    names = {name for name, _ in scope["headers"]}
    return bool(names & {b"content-length", b"transfer-encoding"})


def _onward(scope: Scope, secrets: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    """The request's headers but those of this hop, ours, and any other that carries a key."""
    left = _named(scope["headers"]) | _ONE_HOP | _OURS
    if any(name == b"transfer-encoding" for name, _ in scope["headers"]):
        left |= {b"content-length"}
    hidden = [secret.encode("latin-1") for secret in secrets]
    return [
        (name, value)
        for name, value in scope["headers"]
        if name not in left and not name.startswith(b"x-forwarded-") and not any(each in value for each in hidden)
    ]


def _back(answer: Streamed) -> list[tuple[bytes, bytes]]:
    headers = [(name.lower(), value) for name, value in answer.headers]
    left = _named(headers) | _ONE_HOP | _THEIRS
    return [(name, value) for name, value in headers if name not in left and not name.startswith(b"access-control-")]


def _named(headers: list[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """What `Connection` says is for this hop alone."""
    fields = (value.lower() for name, value in headers if name == b"connection")
    return frozenset(part.strip() for value in fields for part in value.split(b","))


def _bearer(key: str) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + key.encode("latin-1")
