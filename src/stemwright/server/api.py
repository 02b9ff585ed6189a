"""`stemwright serve`: the API process, and the one worker that it starts, watches and ends."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import uvicorn
from starlette.types import ASGIApp

from stemwright.errors import PortInUse
from stemwright.server import logs, opening, parentage, tracing, workflows
from stemwright.server.clock import now_ms
from stemwright.server.http import patience
from stemwright.server.http.app import create_app
from stemwright.server.http.calls import Api
from stemwright.server.settings import Settings

WORKER = (sys.executable, "-m", "stemwright.server.worker")
RESTART_SECONDS = (0.2, 1, 5, 15)
STOP_SECONDS = 15
GRACE_SECONDS = 10  # for answers that are on their way when the API ends

log = logging.getLogger("stemwright.api")

Ready = Callable[[str, str | None], None]  # gets the address, and at the first start the admin's key


def serve(settings: Settings, *, worker: bool = True, on_ready: Ready) -> None:
    """Serves until SIGTERM or SIGINT. Raises CannotOpenData, CannotReachDatabase, CannotOpenBlobs, DataInUse,
    DataTooNew, PortInUse."""
    logs.configure(settings.log_level, form=settings.log_format)
    tracing.configure(on=settings.otel, process="api")
    with ExitStack() as stack:
        stack.enter_context(opening.only_server(settings.data))
        listening = stack.enter_context(_listen(settings.host, settings.port))
        settings = settings.model_copy(update={"port": listening.getsockname()[1]})
        database = opening.open_database(settings)
        stack.callback(database.dispose)
        api = Api(settings, database, opening.open_store(settings))
        with opening.telling(settings.data, database=settings.database):  # last: a key that is made is shown
            secret = opening.first_key(database, settings, now=now_ms())
        supervisor = Supervisor(settings)

        def started() -> None:
            on_ready(_address(settings), secret)
            threading.Thread(target=workflows.warm_up, daemon=True).start()
            if worker:
                supervisor.start()

        stack.callback(supervisor.stop)
        _run(create_app(api), listening, settings, started=started, stopping=api.live.stop)
        log.info("stopping")


class Supervisor:
    """Keeps one worker process running; starts it again when it ends by itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        # Linux ends the worker with the thread that started it: this one lasts until the server stops.
        self._thread = threading.Thread(target=self._watch, name="worker-supervisor", daemon=True)

    def start(self) -> None:
        """Starts the worker, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the worker to end, waits a little, and ends it."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            started = now_ms()
            self._process = subprocess.Popen(WORKER, stdin=subprocess.PIPE, env=self._environment())
            self._wait()
            if self._stopping.is_set():
                return
            failures = 0 if now_ms() - started > 60_000 else failures + 1
            pause = RESTART_SECONDS[min(failures, len(RESTART_SECONDS)) - 1] if failures else RESTART_SECONDS[0]
            log.error("the worker ended with status %s; it is started again in %g s", self._process.returncode, pause)
            self._stopping.wait(pause)

    def _wait(self) -> None:
        process = self._process
        assert process is not None
        moved = time.monotonic()
        while process.poll() is None and not self._stopping.wait(0.2):
            if not parentage.is_stopped(process.pid):
                moved = time.monotonic()
            elif time.monotonic() - moved > self._settings.dead_after_seconds:
                log.error("the worker has stood still for too long and is ended")
                process.kill()  # stopped inside a transaction, it would hold SQLite's only lock for as long
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(self._settings.drain_seconds + STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdin:
            process.stdin.close()

    def _environment(self) -> dict[str, str]:
        settings = self._settings
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("STEMWRIGHT_UPSTREAM_")}
        return inherited | {
            "STEMWRIGHT_DATA": str(settings.data.resolve()),
            "STEMWRIGHT_HOST": settings.host,
            "STEMWRIGHT_PORT": str(settings.port),
            "STEMWRIGHT_PARENT_PID": str(os.getpid()),
        }


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, *, started: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell_started = started
        self._tell_stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._tell_stopping()  # streams that have no end of their own would be waited for
        await super().shutdown(sockets)


def _run(
    app: ASGIApp,
    listening: socket.socket,
    settings: Settings,
    *,
    started: Callable[[], None],
    stopping: Callable[[], None],
) -> None:
    config = patience.configuration(app, settings, server_header=False, timeout_graceful_shutdown=GRACE_SECONDS)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn stops on them, then sends them again
    _Server(config, started=started, stopping=stopping).run([listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        option = "--port, 0 for any free one, or another --host"
        raise PortInUse(host=host, port=port, reason=reason, option=option) from error


def _address(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://{host}:{settings.port}"
