"""How fast the service takes and tells tasks, beside a bare FastAPI route that does one insert or one indexed read.

    python bench/api.py [--seconds 5] [--rounds 3] [--connections 16] [--stored 100000]

Both are real processes on this machine, served by uvicorn with one event loop and asked by the same client over
kept-alive connections; both databases are SQLite in WAL mode with synchronous=FULL. The bare route has no keys, no
credits, no limits and no queue: it is what the machine can do at most. Rounds alternate, and the median round is told.
Our limits are lifted, and no worker runs beside us.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from stemwright.server import accounts, credits, keys, opening, tasks, tracks
from stemwright.server.clock import now_ms
from stemwright.server.settings import Settings

HERE = Path(__file__).parent
READY = "ready on "
OURS = "from stemwright.server.api import serve; from stemwright.server.settings import Settings; "
OURS += f"serve(Settings(), worker=False, on_ready=lambda url, key: print('{READY}' + url, flush=True))"


# ---- the bare routes, in a process of their own ----------------------------------------------------------------------


class Body(BaseModel):
    """What the bare route takes."""

    taskId: str  # noqa: N815
    audioId: str  # noqa: N815
    type: str


def bare(folder: Path) -> None:
    import uvicorn
    from fastapi import FastAPI

    database = sqlite3.connect(folder / "bare.db", check_same_thread=False, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    lock = threading.Lock()
    app = FastAPI()

    @app.post("/create")
    def create(body: Body) -> dict:
        task_id = uuid.uuid4().hex
        with lock:
            database.execute(
                "INSERT INTO tasks VALUES (?,?,?,?,?)", (task_id, body.taskId, body.audioId, body.type, now_ms())
            )
        return {"code": 200, "msg": "success", "data": {"taskId": task_id}}

    @app.get("/read")
    def read(taskId: str) -> dict:
        with lock:
            row = database.execute("SELECT * FROM tasks WHERE id = ?", (taskId,)).fetchone()
        names = ("taskId", "musicId", "audioId", "type", "createTime")
        return {"code": 200, "msg": "success", "data": dict(zip(names, row, strict=True))}

    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        print(f"{READY}http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run([listening])


def fill_bare(folder: Path, stored: int) -> list[str]:
    """A bare table with as many rows as ours."""
    ids = [uuid.uuid4().hex for _ in range(stored)]
    with contextlib.closing(sqlite3.connect(folder / "bare.db")) as database:
        database.execute("CREATE TABLE tasks (id TEXT PRIMARY KEY, music TEXT, audio TEXT, kind TEXT, created INTEGER)")
        database.executemany("INSERT INTO tasks VALUES (?,'m','a','split_stem',1)", ((each,) for each in ids))
        database.commit()
    return ids


# ---- the client ------------------------------------------------------------------------------------------------------


@dataclass
class Load:
    """What a round came to."""

    per_second: float
    median_ms: float
    p99_ms: float


def ask(port: int, requests: Callable[[int], bytes], *, seconds: float, connections: int) -> Load:
    """Ask as fast as the answers come, on each connection one request after another."""
    with socket.create_connection(("127.0.0.1", port)) as stream:  # the first one may have to load something
        stream.sendall(requests(0))
        receive(stream)
    times: list[list[float]] = [[] for _ in range(connections)]
    until = time.perf_counter() + seconds

    def one(number: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            count = number
            while (begun := time.perf_counter()) < until:
                stream.sendall(requests(count))
                receive(stream)
                times[number].append(time.perf_counter() - begun)
                count += connections

    threads = [threading.Thread(target=one, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = sorted(taken for each in times for taken in each)
    return Load(len(every) / seconds, 1000 * statistics.median(every), 1000 * every[int(0.99 * len(every))])


def receive(stream: socket.socket) -> bytes:
    """One answer; fails loudly when it is not a good one."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(stream)
    head, _, body = data.partition(b"\r\n\r\n")
    at = head.lower().index(b"content-length:") + 15
    length = int(head[at : at + 12].split(b"\r")[0])
    while len(body) < length:
        body += _more(stream)
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"{head.decode()}\n\n{body.decode()}")
    return body


def _more(stream: socket.socket) -> bytes:
    if not (data := stream.recv(65536)):
        raise SystemExit("the service closed the connection")
    return data


def get(path: str, key: str = "") -> bytes:
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{authorization}\r\n".encode()


def post(path: str, body: str, key: str = "") -> bytes:
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{authorization}Content-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


# ---- the two services ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def started(command: list[str], environment: dict[str, str]) -> Iterator[int]:
    """A server process; yields its port."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout
        for line in process.stdout:
            if line.startswith(READY):
                yield int(line.rsplit(":", 1)[1])
                break
    finally:
        process.terminate()
        process.wait()


@dataclass
class Stored:
    """Our database, filled."""

    key: str
    ids: dict[str, str]
    task_ids: list[str]


def fill(settings: Settings, stored: int) -> Stored:
    """An account, a song, and `stored` finished tasks of twelve stems each."""
    database = opening.open_database(settings)
    now = now_ms()
    with database.transaction() as tx:
        account = accounts.create(tx, "bench", now=now)
        _, key = keys.create(tx, account.id, now=now)
        track = tracks.register(tx, account.id, blob="song.mp3", size=1, now=now)
        credits.grant(tx, account.id, 10**9, now=now)
        task = tasks.submit(tx, submission(account.id, track), max_queued=10**9, now=now)
    database.dispose()
    with contextlib.closing(sqlite3.connect(settings.data / "stemwright.db", isolation_level=None)) as raw:
        copy_task(raw, task.id, stored)
        ids = [row[0] for row in raw.execute("SELECT id FROM tasks WHERE state = 'finished'")]
    return Stored(key, {"taskId": track.task_id, "audioId": track.audio_id}, ids)


def submission(account_id: str, track: tracks.Track) -> tasks.Submission:
    return tasks.Submission(
        account_id=account_id, kind="split_stem", format="mp3", dialect="apikley", cost=5, track=track
    )


def copy_task(raw: sqlite3.Connection, task_id: str, stored: int) -> None:
    """Rows by the hundred thousand, finished long ago: the ledger is left out, because nothing reads it here."""
    raw.execute("PRAGMA synchronous=OFF")
    raw.execute("PRAGMA cache_size=-500000")
    raw.execute("BEGIN")
    raw.execute(
        f"""
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {stored})
        INSERT INTO tasks (id, account_id, kind, music_id, audio_id, format, dialect, cost, state, progress, attempt,
                           model, device, duration_seconds, created, started, completed, expires)
        SELECT lower(hex(randomblob(16))), account_id, kind, music_id, audio_id, format, dialect, cost, 'finished', 100,
               1, 'twelve', 'cpu', 240.0, created - 86400000, created - 86400000, created - 86390000, created + 86400000
        FROM tasks, n WHERE id = '{task_id}'
        """
    )
    raw.execute(
        """
        WITH s(position, name, label) AS (VALUES (0,'vocals','Vocals'),(1,'backing_vocals','Backing_Vocals'),
          (2,'drums','Drums'),(3,'bass','Bass'),(4,'guitar','Guitar'),(5,'keyboard','Keyboard'),(6,'strings','Strings'),
          (7,'brass','Brass'),(8,'woodwinds','Woodwinds'),(9,'percussion','Percussion'),
          (10,'synth','Synth'),(11,'fx','FX'))
        INSERT INTO stems (id, task_id, position, name, label, blob, format, bytes, duration_seconds, silent,
                           experimental, loudness_dbfs)
        SELECT substr(tasks.id, 1, 30) || printf('%06d', position), tasks.id, position, name, label,
               tasks.id || '_' || label || '.mp3', 'mp3', 9600000, 240.0, 0, 0, -20.0
        FROM tasks, s WHERE state = 'finished'
        """
    )
    raw.execute("COMMIT")


# ---- the comparison --------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--stored", type=int, default=100_000)
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.bare:
        bare(chosen.bare)
        return
    folder = Path(tempfile.mkdtemp(prefix="stemwright-bench-"))
    try:
        compare(folder, chosen)
    finally:
        shutil.rmtree(folder)


def compare(folder: Path, chosen: argparse.Namespace) -> None:
    console = Console()
    console.print(f"storing {chosen.stored} tasks …")
    settings = Settings(data=folder, rate_limit_creates=10**9, rate_limit_burst=10**9, max_queued_per_account=10**9)
    stored, bare_ids = fill(settings, chosen.stored), fill_bare(folder, chosen.stored)
    environment = os.environ | {
        "STEMWRIGHT_DATA": str(folder),
        "STEMWRIGHT_PORT": "0",
        "STEMWRIGHT_RATE_LIMIT_SECONDS": "1",
        **{
            f"STEMWRIGHT_{name}": str(10**9)
            for name in ("RATE_LIMIT_CREATES", "RATE_LIMIT_BURST", "MAX_QUEUED_PER_ACCOUNT")
        },
    }
    body = '{{"taskId":"{taskId}","audioId":"{audioId}","type":"separate_vocal"}}'.format(**stored.ids)
    record = "/api/v1/vocal-removal/record-info?taskId="
    ours, bares = stored.task_ids, bare_ids
    with (
        started([sys.executable, "-c", OURS], environment) as our_port,
        started([sys.executable, __file__, "--bare", str(folder)], dict(os.environ)) as bare_port,
    ):
        create = post("/api/v1/vocal-removal/generate", body, stored.key)
        bare_create = post("/create", body)
        asked: dict[str, tuple[int, Callable[[int], bytes]]] = {
            "create, bare": (bare_port, lambda _: bare_create),
            "create": (our_port, lambda _: create),
            "record-info, bare": (bare_port, lambda n: get(f"/read?taskId={bares[n * 7919 % len(bares)]}")),
            "record-info": (our_port, lambda n: get(record + ours[n * 7919 % len(ours)], stored.key)),
        }
        found: dict[str, list[Load]] = {name: [] for name in asked}
        for number in range(chosen.rounds + 1):
            for name, (port, requests) in asked.items():
                seconds = chosen.seconds if number else 1  # the first round only warms up
                load = ask(port, requests, seconds=seconds, connections=chosen.connections)
                if number:
                    found[name].append(load)
    show(console, found)


def show(console: Console, found: dict[str, list[Load]]) -> None:
    table = Table("", "per second", "median", "p99", "of bare")
    rates = {name: statistics.median(load.per_second for load in loads) for name, loads in found.items()}
    for name, loads in found.items():
        median = statistics.median(load.median_ms for load in loads)
        p99 = statistics.median(load.p99_ms for load in loads)
        share = "" if name.endswith("bare") else f"{100 * rates[name] / rates[f'{name}, bare']:.0f} %"
        table.add_row(name, f"{rates[name]:.0f}", f"{median:.1f} ms", f"{p99:.1f} ms", share)
    console.print(table)


if __name__ == "__main__":
    main()
