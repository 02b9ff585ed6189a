"""Server-sent events: one account's tasks, told as they change, until the browser goes or its session ends."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import Any

import anyio
from anyio import to_thread
from starlette.types import Receive, Scope, Send

from stemwright.errors import NotSignedIn
from stemwright.server.http import cookies, wire_console
from stemwright.server.http.answers import encoded
from stemwright.server.http.calls import Call

STILL_THERE_SECONDS = 15.0
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class TaskEvents:
    """`event: tasks`, first with every unfinished task, then with those that changed; `event: over` ends it."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._send: Send | None = None

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Stream (ASGI)."""
        self._send = send
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        async with anyio.create_task_group() as group:
            group.start_soon(self._until_gone, receive, group.cancel_scope)
            await self._tell()
            await send({"type": "http.response.body", "body": b""})
            group.cancel_scope.cancel()

    async def _tell(self) -> None:
        first, checked = True, time.monotonic()
        async with aclosing(self._call.api.live.follow(self._call.caller.account_id)) as batches:
            async for news in batches:
                if news or first:
                    await self._event(
                        "tasks", {"first": first, "tasks": [wire_console.progress(each) for each in news]}
                    )
                    first = False
                if time.monotonic() - checked > STILL_THERE_SECONDS:
                    checked = time.monotonic()
                    if not await to_thread.run_sync(self._still_signed_in):
                        await self._event("over", {})
                        return
                    await self._write(b": still there\n\n")

    def _still_signed_in(self) -> bool:
        try:
            cookies.look_up(self._call)
        except NotSignedIn:
            return False
        return True

    async def _event(self, name: str, data: dict[str, Any]) -> None:
        await self._write(b"event: " + name.encode() + b"\ndata: " + encoded(data) + b"\n\n")

    async def _write(self, body: bytes) -> None:
        assert self._send is not None
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    @staticmethod
    async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()
