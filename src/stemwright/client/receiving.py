"""A small HTTP server on this machine that takes callbacks, so that waiting costs no polling."""

from __future__ import annotations

import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from stemwright.client.records import Record
from stemwright.client.webhooks import Form, read_callback, verify_webhook
from stemwright.errors import ClientError

_MOST_BYTES, _IDLE_SECONDS = 1 << 20, 15
_REMEMBERED = 10_000


class Receiver:
    """Takes callbacks while it is open; give its `url` to `Client.create` and itself to `Client.wait`.

    `host` and `port` are where it listens; `public_url` is how the server reaches it, where that is another address.
    Its path holds a random token, so that a stranger cannot guess it; with a `secret` every signature is checked too.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        public_url: str | None = None,
        secret: str | None = None,
        form: Form = "any",
    ) -> None:
        self.path = f"/{secrets.token_urlsafe(16)}"
        self._secret = secret
        self._form: Form = form
        self._arrived: dict[str, tuple[dict[str, str], Record]] = {}
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer((host, port), _handler(self))
        self._server.daemon_threads = True
        base = public_url or f"http://{host}:{self._server.server_port}"
        self.url = base.rstrip("/") + self.path

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, name="callbacks", args=(0.1,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self, task_id: str, *, seconds: float) -> Record | None:
        """What the task's callback told, or None when none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: task_id in self._arrived, timeout=max(0, seconds))
            return self._arrived[task_id][1] if task_id in self._arrived else None

    def headers(self, task_id: str) -> dict[str, str]:
        """The headers that the task's callback came with; KeyError before it came."""
        with self._changed:
            return self._arrived[task_id][0]

    def take(self, headers: dict[str, str], body: bytes) -> bool:
        """Whether a request is a callback that may be believed; one that comes twice counts once."""
        try:
            if self._secret is None:
                record = read_callback(body)
            else:
                record = verify_webhook(headers, body, self._secret, form=self._form)
        except ClientError:
            return False
        with self._changed:
            if record.task_id not in self._arrived and len(self._arrived) >= _REMEMBERED:
                del self._arrived[next(iter(self._arrived))]
            self._arrived.setdefault(record.task_id, (headers, record))
            self._changed.notify_all()
        return True


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _IDLE_SECONDS

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if urlsplit(self.path).path.rpartition("/")[2] != receiver.path[1:]:
                self._answer(404)
            elif not length.isascii() or not length.isdigit() or int(length) > _MOST_BYTES:
                self._answer(413)
            else:
                headers = {name.lower(): value for name, value in self.headers.items()}
                self._answer(200 if receiver.take(headers, self.rfile.read(int(length))) else 401)

        def _answer(self, status: int) -> None:
            body = b'{"status":"received"}' if status == 200 else b"{}"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a library does not print."""

    return Handler
