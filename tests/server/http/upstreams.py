"""A service that makes music, played from shapes as they were recorded: what it is asked, and every way to go wrong."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "their-Key.0123456789abcdef=="
OPERATOR = "the-operators-own-key"
TASK = "091fbbaa1d20d47e9576ce84d5254b18"
FIRST, SECOND, UNMADE = (f"8551662c-0000-4000-8000-00000000000{number}" for number in range(3))
NOT_HTTP = b"SSH-2.0-none-of-your-business\r\n\r\n"


@dataclass
class Upstream:
    """The server, and what came: method, path with query, headers, body."""

    url: str
    song: bytes = b"{}"
    asked: list[tuple[str, str, list[tuple[str, str]], bytes]] = field(default_factory=list)
    mood: Callable[[BaseHTTPRequestHandler], None] | None = None  # instead of what it should do
    gone: threading.Event = field(default_factory=threading.Event)  # a client went away in the middle

    def everything(self) -> str:
        """All that ever arrived, as one text."""
        return repr(self.asked)

    def record(self) -> dict[str, Any]:
        songs = [(FIRST, "/first.mp3"), (SECOND, "/second.mp3"), (UNMADE, None)]
        made = [
            {
                "id": audio_id,
                "audioUrl": self.url + path if path else "",
                "streamAudioUrl": f"{self.url}/stream/{audio_id}",
                "imageUrl": f"{self.url}/cover.jpeg",
                "prompt": "[Verse] la la",
                "modelName": "chirp-v4-5",
                "title": "Night Bus",
                "tags": "calm, piano",
                "createTime": 1777386000000,
                "duration": 198.44,
            }
            for audio_id, path in songs
        ]
        about = {"taskId": TASK, "parentMusicId": "", "param": "{}", "status": "SUCCESS", "type": "GENERATE"}
        return about | {
            "response": {"taskId": TASK, "sunoData": made},
            "operationType": "generate",
            "errorCode": None,
            "errorMessage": None,
        }


def tells(
    body: object, status: int = 200, *, kind: str = "application/json;charset=UTF-8", **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    """One whole answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)

    return answer


def envelope(code: int, msg: str = "success", data: object = None) -> Callable[[BaseHTTPRequestHandler], None]:
    """As the real one answers: whatever the code, with HTTP status 200."""
    return tells({"code": code, "msg": msg, "data": data})


def pours(request: BaseHTTPRequestHandler) -> None:
    """JSON without an end."""
    request.send_response(200)
    request.send_header("Content-Type", "application/json")
    request.end_headers()
    try:
        request.wfile.write(b'{"code":200,"data":"')
        while True:
            request.wfile.write(b"x" * 65536)
    except OSError:
        request.server.told.gone.set()  # type: ignore[attr-defined]


def lies(request: BaseHTTPRequestHandler) -> None:
    """Announces more than it gives."""
    request.send_response(200)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", "100000")
    request.end_headers()
    request.wfile.write(b'{"code":200,')
    request.close_connection = True


def drips(request: BaseHTTPRequestHandler) -> None:
    """A header, a byte at a time, for ever."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    with suppress(OSError):
        while True:
            request.wfile.write(b"x")
            time.sleep(0.05)


def hangs(_request: BaseHTTPRequestHandler) -> None:
    """Takes the request and says nothing."""
    time.sleep(5)


def raw(content: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """Bytes that are no answer."""
    return lambda request: request.wfile.write(content) and None


PAGE = tells(b"<html><h1>Bad gateway", 502, kind="text/html")


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    told: Upstream

    def handle_error(self, request, client_address) -> None:
        """A client that goes away is no news here."""


class _Handler(BaseHTTPRequestHandler):
    server: _Quiet

    def _answer(self) -> None:
        told = self.server.told
        told.asked.append((self.command, self.path, self.headers.items(), self._body()))
        with suppress(OSError):
            (told.mood or self._manners)(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _manners(self, _request: BaseHTTPRequestHandler) -> None:
        told, parts = self.server.told, urlsplit(self.path)
        if parts.path.endswith(".mp3"):
            tells(told.song, kind="audio/mpeg")(self)
        elif self.headers.get("Authorization") not in (f"Bearer {KEY}", f"Bearer {OPERATOR}"):
            envelope(401, "You do not have access permissions")(self)
        elif parts.path == "/api/v1/generate/record-info":
            mine = parse_qs(parts.query)["taskId"] == [TASK]
            envelope(200, data=told.record() if mine else None)(self)
        elif parts.path == "/api/v1/generate":
            envelope(200, data={"taskId": TASK})(self)
        else:
            tells({"timestamp": "2026-04-28T10:00:00", "status": 404, "error": "Not Found"}, 404)(self)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Serve until the end of the block."""
    server = _Quiet(("127.0.0.1", 0), _Handler)
    server.told = Upstream(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server.told
    finally:
        server.shutdown()
        server.server_close()
