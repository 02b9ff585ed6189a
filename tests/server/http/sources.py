"""Real servers on this machine that misbehave in one way each."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SONG = b"ID3" + bytes(range(256)) * 20


@dataclass
class Source:
    """A server, and what it was asked: (method, path with query, headers, body)."""

    url: str
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        """A client that goes away is no news here."""


@contextmanager
def source(answer: Callable[[BaseHTTPRequestHandler], None], *, host: str = "127.0.0.1") -> Iterator[Source]:
    """Serve every request by `answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            served.asked.append((self.command, self.path, headers, body))
            with suppress(OSError):
                answer(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = _Quiet((host, 0), Handler)
    served = Source(f"http://{host}:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


def gives(
    content: bytes = SONG, *, kind: str = "audio/mpeg", status: int = 200
) -> Callable[[BaseHTTPRequestHandler], None]:
    """An honest server."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return answer


def redirects(to: str, status: int = 302) -> Callable[[BaseHTTPRequestHandler], None]:
    """A server that sends everyone elsewhere; to itself when `to` is only a path."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Location", to)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def in_turn(*answers: Callable[[BaseHTTPRequestHandler], None]) -> Callable[[BaseHTTPRequestHandler], None]:
    """One answer after another; the last one for all that come later."""
    left = list(answers)

    def answer(request: BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(request)

    return answer


def hangs(request: BaseHTTPRequestHandler) -> None:
    """Takes the request and says nothing."""
    time.sleep(5)


def drips(request: BaseHTTPRequestHandler) -> None:
    """A byte every 50 ms, for ever."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b"x")
        time.sleep(0.05)


def drips_headers(request: BaseHTTPRequestHandler) -> None:
    """Headers, a byte every 50 ms, for ever."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        request.wfile.write(b"x")
        time.sleep(0.05)


def pours(request: BaseHTTPRequestHandler) -> None:
    """An endless stream, as fast as it goes."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(bytes(1 << 16))


def announces_ten_gigabytes(request: BaseHTTPRequestHandler) -> None:
    """A Content-Length of 10 GB, and a little of it."""
    request.send_response(200)
    request.send_header("Content-Length", str(10 << 30))
    request.end_headers()
    request.wfile.write(bytes(1000))
    time.sleep(5)


def breaks_off(request: BaseHTTPRequestHandler) -> None:
    """Announces more than it gives."""
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b"half")
    request.connection.close()


def talks_nonsense(request: BaseHTTPRequestHandler) -> None:
    """Something that is not HTTP."""
    request.wfile.write(b"SSH-2.0-secret-banner\r\n\r\n")
