"""A web server of our own that serves files slowly, cut, with lies about their length, or wrong."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """Files by path; `behaviour` by path: slow, stalls, cut, often, lies, more, wrong, elsewhere, no-range,
    busy, gone.

    `versions`: whether answers have an ETag and If-Range is kept, "ignored" (a 206 all the same), or there are "none".
    """

    files: dict[str, bytes] = field(default_factory=dict)
    behaviour: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    versions: str = "kept"
    together: int = 0
    most_together: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_over: threading.Event = field(default_factory=threading.Event)

    def asked(self, path: str) -> list[str | None]:
        return [range_ for asked, range_ in self.requests if asked == path]


class _Handler(BaseHTTPRequestHandler):
    state: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        state = self.state
        with state.lock:
            state.requests.append((self.path, self.headers.get("Range")))
            state.together += 1
            state.most_together = max(state.most_together, state.together)
        try:
            with suppress(ConnectionError):  # who asked has heard enough
                self._answer(state.behaviour.get(self.path, ""), state.files.get(self.path))
        finally:
            with state.lock:
                state.together -= 1

    def _answer(self, behaviour: str, data: bytes | None) -> None:
        times = len(self.state.asked(self.path))
        if data is None or behaviour == "gone" or (behaviour == "busy" and times == 1):
            self.send_response(503 if behaviour == "busy" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        ranged = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
        version = f'"{zlib.crc32(data):x}"'
        is_other = self.state.versions == "kept" and self.headers.get("If-Range", version) != version
        start = 0 if behaviour == "no-range" or is_other else int(ranged)
        start = start and start + (5 if behaviour == "elsewhere" else 0)
        body = bytes(len(data)) if behaviour == "wrong" else data[start:] * (3 if behaviour == "more" else 1)
        self.send_response(206 if start else 200)
        length = len(body) + {"lies": 7}.get(behaviour, 0)
        if behaviour == "more":
            self.close_connection = True  # how long it is, only its end tells
        else:
            self.send_header("Content-Length", str(length))
        if self.state.versions != "none":
            self.send_header("ETag", version)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        self._send(behaviour, body)

    def _send(self, behaviour: str, body: bytes) -> None:
        if behaviour in ("cut", "no-range", "elsewhere") and len(self.state.asked(self.path)) < 4:
            body = body[: len(body) // 3]
            self.close_connection = True
        if behaviour == "often":
            body = body[:100_000]
        self.close_connection = self.close_connection or behaviour in ("lies", "often")
        step = max(1, len(body) // 8) if behaviour in ("slow", "stalls") else max(1, len(body))
        for place in range(0, len(body), step):
            self.wfile.write(body[place : place + step])
            if behaviour == "slow":
                time.sleep(0.03)
            if behaviour == "stalls":
                self.state.is_over.wait()
                return


@contextmanager
def serving() -> Iterator[Server]:
    state = Server()
    handler: Callable[..., BaseHTTPRequestHandler] = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        state.is_over.set()
        server.shutdown()
        thread.join()
        server.server_close()
