"""A worker's own small port: whether it lives and is ready, and its figures. It listens only when a setting says so."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from stemwright.errors import PortInUse
from stemwright.server import fleet, metrics
from stemwright.server.glances import MOMENT_SECONDS, Glance
from stemwright.server.running import Workshop
from stemwright.server.settings import Settings


def take(settings: Settings) -> ThreadingHTTPServer | None:
    """The port that the settings name, if they do; whoever asks there waits until it is opened. Raises PortInUse."""
    host, number = settings.host, settings.worker_port
    if not number:
        return None
    kind = _Server6 if ":" in host else _Server
    try:
        return kind((host, number), _Handler)
    except OSError as error:
        raise PortInUse(host=host, port=number, reason=error.strerror, option="STEMWRIGHT_WORKER_PORT") from error


def open_to_all(server: ThreadingHTTPServer, shop: Workshop) -> str:
    """Answers on a thread from now on; returns the address."""
    taking = Glance(lambda: _is_taking(shop))
    server.RequestHandlerClass = type("Handler", (_Handler,), {"shop": shop, "taking": taking})
    threading.Thread(target=server.serve_forever, name="port", daemon=True).start()
    return f"http://{shop.settings.host}:{server.server_address[1]}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    shop: Workshop
    taking: Glance[bool]
    timeout = 10

    def do_GET(self) -> None:
        """Answer `/livez`, `/readyz` and `/metrics`."""
        shop = self.shop
        if self.path == "/livez":
            self._send(200, "application/json", json.dumps({"status": "ok"}).encode())
        elif self.path == "/readyz":
            status, told = _ready(self.taking)
            self._send(status, "application/json", json.dumps(told).encode())
        elif self.path == "/metrics":
            shop.work.busy.set(shop.separations)
            shop.work.warm.set(shop.warm)
            self._send(200, metrics.CONTENT_TYPE, shop.work.text())
        else:
            self._send(404, "text/plain", b"There are /livez, /readyz and /metrics.\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: who asks for figures does so every few seconds."""

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _ready(look: Glance[bool]) -> tuple[int, dict[str, str]]:
    """The answer within a moment: a database that says nothing is away."""
    try:
        taking = look.begin().result(MOMENT_SECONDS)
    except (SQLAlchemyError, TimeoutError, RuntimeError):  # the last: no thread is left that could look
        return 503, {"status": "unavailable", "database": "unavailable"}
    return (200, {"status": "ready", "database": "ok"}) if taking else (503, {"status": "draining", "database": "ok"})


def _is_taking(shop: Workshop) -> bool:
    """Whether the worker lives by the database's clock and takes tasks."""
    with shop.database.read() as tx:
        dead_after_ms = int(shop.settings.dead_after_seconds * 1000)
        return shop.worker_id in fleet.slots(tx, dead_after_ms=dead_after_ms, now=fleet.clock(tx))
