"""What a fleet can carry: the real API, database, queue, callbacks and workers, with a separator that only sleeps.

    python bench/scale.py fleet [--workers 10] [--slots 2] [--tasks 100000] [--sleep 1.5] [--rate 11.6] [--postgresql]
                                [--folder F]
    python bench/scale.py workers [--counts 1,2,4] [--sleep 2] [--postgresql]
    python bench/scale.py idle [--postgresql]
    python bench/scale.py calls [--stored 1000000] [--seconds 5] [--postgresql]

`fleet` asks for tasks at a rate (0: as fast as they are taken), waits for their ends and callbacks, and tells what
each cost; in a folder that stays, the same line goes on with a run that was stopped or killed, and the table tells the
sum of all runs. `workers` compares what 1, 2 and 4 workers do with a full queue; `idle` counts what one worker asks of
the database while there is nothing to do, and for each task; `calls` fills the database and counts creates and
record-infos.
PostgreSQL comes from a wheel, with its settings as they are (durable commits); files go into a folder.
"""

from __future__ import annotations

import argparse
import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))

import api as calls
from service import Fleet, Journal, Receiver, Run, fleet, wait
from stemwright.server import credits
from stemwright.server.clock import now_ms
from stemwright.server.store.tables import callbacks as callback_rows
from stemwright.server.store.tables import stems as stem_rows
from stemwright.server.store.tables import tasks as task_rows

ACCOUNTS = 20
IDLE_SECONDS = 2  # after which a connection is not used again: the service closes those that lie idle
NOTE_SECONDS = 30  # how often a run that goes on is written down
UNFINISHED = "SELECT count(*) FROM tasks WHERE completed IS NULL"
PENDING = "SELECT count(*) FROM callbacks WHERE state = 'pending'"
console = Console()


# ---- what is measured ------------------------------------------------------------------------------------------------


def measure_fleet(asked: argparse.Namespace) -> None:
    """Tasks arrive, are worked on and told of; what did each cost, and is everything right?"""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with fleet(asked, slots=asked.slots, sleep=asked.sleep) as house:
        journal = Journal.open(house.folder)
        receiver = Receiver(journal.port)
        if not journal.clients:
            house.open_accounts(ACCOUNTS)
            journal.clients, journal.port = house.clients, receiver.server_address[1]
            journal.write()
        house.clients = journal.clients
        house.start_workers(asked.workers)
        size = house.bytes() if not journal.runs else None
        _run(house, journal, receiver, asked, stop)
        house.stop_workers()
        _tell(house, journal, asked, size)


def _run(house: Fleet, journal: Journal, receiver: Receiver, asked: argparse.Namespace, stop: threading.Event) -> None:
    """Asks for what is missing and waits until all is over, or until it is told to stop; notes how far it is."""
    time.sleep(5)
    idle, idle_cpu = _per_second(house, 10)
    there = house.look("SELECT count(*) FROM tasks")
    left = house.look(UNFINISHED)
    run = Run(now_ms(), asked.rate, idle_cpu=idle_cpu)
    journal.runs.append(run)
    arrivals = Arrivals(house, range(there, asked.tasks), rate=asked.rate, callback=receiver.url, stop=stop)
    began, before, transactions = time.monotonic(), house.seconds(), house.transactions()

    def note() -> int:
        unfinished = house.look(UNFINISHED)
        run.seconds, run.created = time.monotonic() - began, len(arrivals.took)
        run.ended, run.callbacks = left + run.created - unfinished, receiver.count
        run.create_ms = _median_and_p99(arrivals.took)
        run.cpu_seconds = {name: used - before[name] for name, used in house.seconds().items()}
        run.connections = max(run.connections, _connections(house))
        run.transactions = int(house.transactions() - transactions - idle * run.seconds)
        journal.write()
        return unfinished

    arrivals.start()
    while not stop.is_set():
        over = arrivals.are_over() and not house.look(UNFINISHED) and not house.look(PENDING)
        if over or stop.wait(1) or time.monotonic() - began - run.seconds > NOTE_SECONDS:
            note()
        if over:
            break
    arrivals.join()
    note()


def _per_second(house: Fleet, seconds: float) -> tuple[float, dict[str, float]]:
    """What the fleet does each second while there is nothing to do: transactions, and seconds of CPU of each part."""
    began, before, used = time.monotonic(), house.transactions(), house.seconds()
    time.sleep(seconds)
    transactions, after, took = house.transactions() - before, house.seconds(), time.monotonic() - began
    return transactions / took, {name: (each - used[name]) / took for name, each in after.items()}


class Arrivals:
    """Asks for tasks on eight connections, at a rate; `took` has the milliseconds to each answer."""

    def __init__(
        self, house: Fleet, numbers: range, *, rate: float = 0, callback: str = "", stop: threading.Event | None = None
    ) -> None:
        self.took: list[float] = []
        self._house, self._rate, self._callback = house, rate, callback
        self._numbers, self._first = iter(numbers), numbers.start
        self._stop, self._lock = stop or threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(8)]

    def start(self) -> None:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def are_over(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        stream, used = self._connect(), time.monotonic()
        while (number := self._next()) is not None:
            if self._rate and self._stop.wait(self._until(number)):
                return
            if time.monotonic() - used > IDLE_SECONDS:
                stream.close()
                stream = self._connect()
            sent = time.monotonic()
            stream.sendall(self._house.create(number, self._callback))
            calls.receive(stream)
            used = time.monotonic()
            self.took.append(1000 * (used - sent))

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._house.port))

    def _next(self) -> int | None:
        with self._lock:
            return None if self._stop.is_set() else next(self._numbers, None)

    def _until(self, number: int) -> float:
        """Seconds to the time at which this task is to be asked for."""
        return max(0.0, self._began + (number - self._first) / self._rate - time.monotonic())


def _ask_for(house: Fleet, count: int) -> None:
    """So many tasks, as fast as they are taken, and their ends."""
    arrivals = Arrivals(house, range(count))
    arrivals.start()
    arrivals.join()
    wait(lambda: not house.look(UNFINISHED), 3600)


def _tell(house: Fleet, journal: Journal, asked: argparse.Namespace, size: int | None) -> None:
    """Whether everything is right, and what each task cost, over all runs; then how long tasks waited, run by run."""
    runs = journal.runs
    ended = max(sum(run.ended for run in runs), 1)
    seconds = sum(run.seconds for run in runs)
    used: Counter[str] = Counter()
    polling: Counter[str] = Counter()
    for run in runs:
        used.update(run.cpu_seconds)
        polling.update({name: each * run.seconds for name, each in run.idle_cpu.items()})
    rows = {"workers × slots, seconds of sleep": f"{asked.workers} × {asked.slots}, {asked.sleep:g}"}
    rows |= {"runs, seconds of running": f"{len(runs)}, {seconds:.0f}"} | _checked(house, asked)
    rows |= {
        "callbacks taken": str(sum(run.callbacks for run in runs)),
        "transactions of the database for each task": f"{sum(run.transactions for run in runs) / ended:.0f}",
        "connections to the database, at most": str(max(run.connections for run in runs)),
    }
    if size is not None:
        rows["bytes of the database for each task"] = f"{(house.bytes() - size) / ended:.0f}"
    rows |= {f"CPU ms for each task, {name}": f"{1000 * each / ended:.1f}" for name, each in used.items()}
    net = {name: each - polling[name] for name, each in used.items()}
    rows |= {f"the same without polling, {name}": f"{1000 * each / ended:.1f}" for name, each in net.items()}
    _show(rows | _rows(house, ended))
    told = ("began", "seconds", "asked/s", "asked for", "ended", "ended/s", "create ms", "wait s", "CPU ms, worker")
    table = Table(*told, title="run by run: median, 99th percentile")
    for run in runs:
        table.add_row(*_run_row(house, run))
    console.print(table)


def _run_row(house: Fleet, run: Run) -> list[str]:
    wait_seconds = (task_rows.c.started - task_rows.c.created) / sa.literal(1000.0)
    mine = task_rows.c.created.between(run.began, run.until)
    with house.database.read() as tx:
        waited = list(tx.execute(sa.select(wait_seconds).where(mine, task_rows.c.started <= run.until)).scalars())
    return [
        time.strftime("%Y-%m-%d %H:%M", time.gmtime(run.began / 1000)),
        f"{run.seconds:.0f}",
        f"{run.rate:g}",
        str(run.created),
        str(run.ended),
        f"{run.ended / max(run.seconds, 1):.2f}",
        "{:.0f}, {:.0f}".format(*run.create_ms),
        "{:.2f}, {:.2f}".format(*_median_and_p99(waited)),
        f"{1000 * run.cpu_seconds.get('workers', 0) / max(run.ended, 1):.0f}",
    ]


def _checked(house: Fleet, asked: argparse.Namespace) -> dict[str, str]:
    """Whether everything is right with the tasks that have ended."""
    with house.database.read() as tx:
        states = Counter(
            dict(tx.execute(sa.select(task_rows.c.state, sa.func.count()).group_by(task_rows.c.state)).all())
        )
        finished = task_rows.c.state == "finished"
        again = tx.execute(sa.select(sa.func.sum(task_rows.c.attempt - 1)).where(finished)).scalar_one()
        files = sa.select(stem_rows.c.task_id).group_by(stem_rows.c.task_id).having(sa.func.count() == 12).subquery()
        whole = tx.execute(sa.select(sa.func.count()).select_from(files)).scalar_one()
        told = Counter(dict(tx.execute(sa.select(callback_rows.c.state, sa.func.count()).group_by("state")).all()))
        wrong = credits.audit(tx)
        names = set(tx.execute(sa.select(stem_rows.c.blob)).scalars())
    there = {path.name for path in (Path(house.settings.data) / "blobs").rglob("*") if path.is_file()}
    left = sum(1 for path in (Path(house.settings.data) / "work").glob("*") if len(path.name) == 32)
    return {
        "tasks wanted, there, ended as": f"{asked.tasks}, {states.total()}, {dict(states)}",
        "attempts beyond the first": str(again or 0),
        "finished with other than twelve stems": str(states["finished"] - whole),
        "callbacks": str(dict(told)),
        "faults in the ledger": str(len(wrong)),
        "files missing, files too many, folders left": f"{len(names - there)}, {_beside(there - names)}, {left}",
    }


def _beside(names: set[str]) -> int:
    """How many of the files belong to no task: the accounts' songs do."""
    return sum(1 for name in names if not name.startswith("song"))


def _median_and_p99(found: list[float]) -> tuple[float, float]:
    ordered = sorted(found) or [0.0]
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]


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
    _ask_for(house, count)
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

        statements = _statements(house, lambda: _ask_for(house, 50))
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
    parser.add_argument("--folder", type=lambda text: Path(text).resolve(), help="of a run that may be stopped")
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--sleep", type=float, default=1.5)
    parser.add_argument("--rate", type=float, default=11.6, help="creates each second; 0: as fast as they are taken")
    parser.add_argument("--counts", type=lambda text: [int(each) for each in text.split(",")], default=[1, 2, 4])
    parser.add_argument("--each", type=int, default=20, help="tasks for each worker")
    parser.add_argument("--stored", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=16)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and the database that we started with us
    measures = {"fleet": measure_fleet, "workers": measure_workers, "idle": measure_idle, "calls": measure_calls}
    measures[asked.what](asked)


if __name__ == "__main__":
    main()
