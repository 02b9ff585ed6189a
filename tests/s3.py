"""An S3 in a process of its own: moto's, and a weather in front of it that loses, refuses and cuts requests off.

Prints its port. `POST /_weather` with {"down": true, "refuse": 0.5, "swallow": 0.5}: shares of the writes that are
answered with 503, or confirmed and forgotten; whoever asks while it is down hears nothing.
"""

import json
import random
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

CLEAR = {"down": False, "refuse": 0.0, "swallow": 0.0}
weather: dict[str, Any] = dict(CLEAR)
SEED = 20261121
chance = random.Random(SEED)
storage = DomainDispatcherApplication(create_backend_app)

Start = Callable[[str, list[tuple[str, str]]], Any]


def answer(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/_weather":
        weather.update(CLEAR | json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
        chance.seed(SEED)  # what a test meets does not depend on those before it
        return said(start, "200 OK")
    if weather["down"]:
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return []
    if environ["REQUEST_METHOD"] == "PUT":
        if chance.random() < weather["refuse"]:
            return said(start, "503 Slow Down")
        if chance.random() < weather["swallow"]:
            return said(start, "200 OK")
    return storage(environ, start)  # type: ignore[arg-type]


def said(start: Start, status: str) -> Iterable[bytes]:
    start(status, [("Content-Length", "0"), ("ETag", '"00000000000000000000000000000000"'), ("Connection", "close")])
    return []


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: object) -> None:
        """Says nothing."""

    def connection_dropped(self, *_: object) -> None:
        """Says nothing either."""


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Quiet)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the one who started us ends, however it does
