"""Request bodies that came packed: unpacked while they are read, so that every limit counts what they become."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from anyio.lowlevel import checkpoint
from starlette.types import Message, Receive

from stemwright.errors import InvalidRequest

_PIECE_BYTES = 256 << 10  # unpacked at once, in a millisecond: nobody else waits for longer
_GZIP = 31  # zlib's windowBits for a gzip member


def unpacked(sent: Mapping[str, str], receive: Receive, *, forgotten_bytes: int) -> Receive:
    """Receives the body of a request with these headers as it was before its Content-Encoding (ASGI receive).

    It raises InvalidRequest where that is not gzip, or the body is not so: once the rest of it, or `forgotten_bytes`,
    has come.
    """
    coding = sent.get("content-encoding", "").strip().lower()
    return receive if coding in ("", "identity") else _Unpacking(receive, coding, forgotten_bytes)


class _Unpacking:
    def __init__(self, receive: Receive, coding: str, forgotten_bytes: int) -> None:
        self._receive = receive
        self._forgotten_bytes = forgotten_bytes
        self._gzip = zlib.decompressobj(_GZIP)
        self._packed = b""
        self._more = True
        self._ahead = 0  # how much more has come than was given: of what is packed, next to nothing
        known = coding in ("gzip", "x-gzip")
        self._fault = None if known else InvalidRequest(field="Content-Encoding", problem="must be gzip, or left out")

    async def __call__(self) -> Message:
        """The body's next event (ASGI receive)."""
        while True:
            if piece := self._piece():
                await checkpoint()
                self._ahead -= len(piece)
                return {"type": "http.request", "body": piece, "more_body": True}
            if not self._more or self._ahead > self._forgotten_bytes:
                if self._fault or not self._gzip.eof:
                    raise self._fault or _broken()
                return {"type": "http.request", "body": b"", "more_body": False}
            event = await self._receive()
            if event["type"] == "http.disconnect":
                return event
            self._packed, self._more = event.get("body", b""), event.get("more_body", False)
            self._ahead += len(self._packed)

    def _piece(self) -> bytes:
        """Some more of it; empty when that has not come yet."""
        if self._fault:
            return b""
        try:
            piece = self._gzip.decompress(self._packed, _PIECE_BYTES)
        except zlib.error:
            self._fault = _broken()
            return b""
        self._packed = self._gzip.unconsumed_tail
        if self._gzip.unused_data:  # a second member, of the thousands in which a bomb may come
            self._fault = _broken()
        return piece


def _broken() -> InvalidRequest:
    return InvalidRequest(field="body", problem="is not packed as its Content-Encoding says")
