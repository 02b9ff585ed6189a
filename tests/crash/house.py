"""A whole service to be killed: real processes, a real receiver, a real database that the test may look into."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import obstore
import sqlalchemy as sa

from stemwright.server import accounts, credits, keys, retention, tasks
from stemwright.server.clock import now_ms
from stemwright.server.settings import Settings
from stemwright.server.store.blobs import Blobs, Folder, open_blobs
from stemwright.server.store.database import Database
from stemwright.server.store.objects import PROBE
from stemwright.server.store.tables import callbacks as callback_rows
from stemwright.server.store.tables import stems as stem_rows
from stemwright.server.store.tables import tasks as task_rows
from stemwright.server.store.tables import tracks as track_rows

STUB = Path(__file__).parent.parent / "server" / "stub_child.py"
SERVE = "from stemwright.server.commands import serve; serve(as_json=True, no_worker={no_worker})"
LIMIT_MS = 120_000  # every task here is to be over by then, whatever was killed
DAY_MS = 86_400_000


class Receiver(ThreadingHTTPServer):
    """Takes callbacks and hands out songs; `answer` decides what a callback gets."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: dict[str, list[tuple[str, dict]]] = defaultdict(list)  # task id → (webhook-id, body)
        self.answer: Callable[[int], int] = lambda number: 200
        self.busy = 0
        self.song = b"{}"
        self.song_seconds = 0.0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def is_idle(self) -> bool:
        """Whether no callback is being answered."""
        return self.busy == 0


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        got = self.server.got[body["data"]["task_id"]]
        got.append((self.headers["webhook-id"], body))
        self.server.busy += 1
        try:
            if status := self.server.answer(len(got)):  # none: hangs up
                self._send(status, b"")
        finally:
            self.server.busy -= 1

    def do_GET(self) -> None:
        time.sleep(self.server.song_seconds)
        self._send(200, self.server.song)

    def _send(self, status: int, body: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass  # the one who asked was killed meanwhile: that is what these tests are for

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class House:
    """`stemwright serve` on one deployment, started, killed and started again; with workers of its own or beside it."""

    def __init__(self, places: dict[str, Any], receiver: Receiver, *, workers: int = 0, **given: object) -> None:
        self.data, self.receiver = Path(places["data"]), receiver
        chosen = Settings(**places)
        self.database, self.blobs = Database(chosen.database), open_blobs(chosen.blobs)
        self.faults = self.data.parent / "faults"
        self.faults.mkdir(exist_ok=True)
        self.log = (self.data.parent / "log").open("ab")
        self.url = ""
        self.has_jumped = False  # then no time in the database means anything
        self.process: subprocess.Popen[str] | None = None
        self.client = httpx2.Client(timeout=60, trust_env=False)
        self.places = places
        self._given = places | given
        self.crew = Crew(workers, self._start_worker)

    def open(self) -> None:
        """The first start, and an account with credits."""
        self.start()
        with self.database.transaction() as tx:
            self.account = accounts.create(tx, "someone", now=now_ms())
            credits.grant(tx, self.account.id, 1_000_000, now=now_ms())
            _, secret = keys.create(tx, self.account.id, now=now_ms())
        self.client.headers["Authorization"] = f"Bearer {secret}"
        self.crew.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE.format(no_worker=bool(self.crew.count))],
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.stdout.close()
            self.process.wait()
        assert line, self.said()
        self.url = json.loads(line)["url"]

    def _start_worker(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "from stemwright.server.commands import worker; worker()"]
        return subprocess.Popen(command, env=self._environment(), stderr=self.log, start_new_session=True)

    def said(self) -> str:
        """The end of the log."""
        return self.log_text()[-4000:]

    def log_text(self) -> str:
        """The whole log."""
        return (self.data.parent / "log").read_text()

    def arm(self, point: str) -> None:
        """Lets the process die that comes to this point first: `function before|after`, see faults/."""
        (self.faults / "died").unlink(missing_ok=True)
        (self.faults / "die").write_text(point)

    def command(self, *words: str) -> int:
        """Runs a command of the operator's on this service; returns its exit status."""
        run = [sys.executable, "-m", "stemwright", *words]
        return subprocess.run(run, env=self._environment(), stdout=self.log, stderr=self.log, check=False).returncode

    def kill_holder(self, task_id: str) -> None:
        """Kills the one of the crew that has begun with the task; any, if that one has ended by itself."""
        holder, crew = self.task(task_id).worker or "", self.crew.processes
        next((each for each in crew if f"-{each.pid}-" in holder), crew[0]).kill()

    def kill_worker(self, number: int = 0) -> bool:
        """Kills one of the crew, and its child with it."""
        self.crew.processes[number].kill()
        return True

    def kill_children(self, chance: random.Random) -> None:
        """Kills one separation process of the crew, if there is any."""
        groups = {process.pid for process in self.crew.processes}
        if found := [pid for pid, group, command in _processes() if group in groups and STUB.name in command]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(found), signal.SIGKILL)

    def untold(self) -> list[str]:
        """Callbacks that have not been taken yet."""
        with self.database.read() as tx:
            pending = sa.select(callback_rows.c.id).where(callback_rows.c.state == "pending")
            return list(tx.execute(pending).scalars())

    def has_died(self) -> bool:
        """Whether a process has died at the armed point."""
        return (self.faults / "died").exists()

    def set_clock(self, seconds: float) -> None:
        """Moves the clock of every process by so much."""
        (self.faults / "clock").write_text(str(seconds))
        self.has_jumped = True

    def _environment(self) -> dict[str, str]:
        quick = {
            "PORT": 0,
            "PUBLIC_URL": "http://stems.example",
            "ALLOW_NETWORKS": "127.0.0.0/8",
            "SEPARATOR_COMMAND": f"{sys.executable},{STUB}",
            "CALLBACK_DELAYS_SECONDS": "0,0.2,0.4,0.8,1",
            "HEARTBEAT_SECONDS": 0.5,
            "DEAD_AFTER_SECONDS": 4,
            "SWEEP_SECONDS": 0.5,
            "TASK_SECONDS": 60,
            "RATE_LIMIT_CREATES": 100_000,
            "MAX_QUEUED_PER_ACCOUNT": 100_000,
            "CONCURRENT_TASKS": 2,
            "RETENTION_CRON": "* * * * * *",
            "DRAIN_SECONDS": 0,
        } | {name.upper(): value for name, value in self._given.items()}
        found_first = [str(Path(__file__).parent / "faults"), *filter(None, [os.environ.get("PYTHONPATH")])]
        faults = {"STEMWRIGHT_FAULTS": str(self.faults), "PYTHONPATH": os.pathsep.join(found_first)}
        return os.environ | {f"STEMWRIGHT_{name}": str(value) for name, value in quick.items()} | faults

    def kill_everything(self) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def kill(self, module: str) -> bool:
        """Kills the processes whose command names `module`: the worker or the separation process."""
        killed = False
        for pid in self._pids(module):
            os.kill(pid, signal.SIGKILL)
            killed = True
        return killed

    def freeze(self, *modules: str) -> list[int]:
        """Stops the processes between two transactions: one frozen inside holds SQLite's only lock for as long."""
        pids = [pid for module in modules for pid in self._pids(module)]
        while True:
            _signal(pids, signal.SIGSTOP)
            with self.database.engine.connect() as connection:
                connection.connection.driver_connection.execute("PRAGMA busy_timeout=20")
                try:
                    connection.exec_driver_sql("SELECT 1")
                except sa.exc.OperationalError:
                    _signal(pids, signal.SIGCONT)
                else:
                    return pids
                finally:
                    connection.connection.driver_connection.execute("PRAGMA busy_timeout=30000")

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def close(self) -> None:
        self.crew.stop()
        if self.process is not None and self.process.poll() is None:
            self.kill_everything()
        self.client.close()
        self.database.dispose()
        self.log.close()

    def upload(self, **script: object) -> dict[str, str]:
        answer = self.try_upload(**script).json()
        assert answer["code"] == 200, answer
        return {name: answer["data"][name] for name in ("taskId", "audioId")}

    def try_upload(self, **script: object) -> httpx2.Response:
        return self.post("/api/file-stream-upload", files={"file": ("song.mp3", json.dumps(script).encode())})

    def look(self) -> httpx2.Response:
        """Whether it is ready."""
        return self.client.get(f"{self.url}/readyz")

    def create(self, **body: object) -> str:
        body = {"callBackUrl": f"{self.receiver.url}/hook", "type": "split_stem"} | body
        answer = self.client.post(f"{self.url}/api/v1/vocal-removal/generate", json=body).json()
        assert answer["code"] == 200, answer
        return answer["data"]["taskId"]

    def submit(self, **script: object) -> str:
        return self.create(**self.upload(**script))

    def post(self, url: str, **what: Any) -> httpx2.Response:
        return self.client.post(f"{self.url}{url}", **what)

    def count(self) -> int:
        """How many tasks there are."""
        with self.database.read() as tx:
            return tx.execute(sa.select(sa.func.count()).select_from(task_rows)).scalar_one()

    def task(self, task_id: str) -> tasks.Task:
        with self.database.read() as tx:
            return tasks.find(tx, task_id)

    def wait_for(self, what: Callable[[], object], seconds: float = 120, *, every_seconds: float = 0.03) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            if time.monotonic() > deadline:
                raise AssertionError(self.said())
            time.sleep(every_seconds)

    def wait_for_state(self, task_id: str, *states: str) -> None:
        """Looks often: a state may be over in milliseconds."""
        self.wait_for(lambda: self.task(task_id).state in states, every_seconds=0.003)

    def wait_until_told(self, *task_ids: str) -> None:
        """Until every task has ended and its callback has been taken."""

        def done() -> bool:
            with self.database.read() as tx:
                told = [tasks.delivery(tx, task_id) for task_id in task_ids]
            return all(delivery and delivery.state == "delivered" for delivery in told)

        self.wait_for(done)

    def check(self, *task_ids: str, state: str = "finished") -> None:
        """What must hold whatever was killed; `state`: how these tasks have ended."""
        for task_id in task_ids:
            assert self.task(task_id).state == state, self.said()
        self.wait_for(lambda: not self._folders(), 30)  # tidying comes after the end
        self.wait_for(self.receiver.is_idle, 30)
        broken = {what: found for what, found in self.broken(task_ids).items() if found}
        assert not broken, broken

    def broken(self, task_ids: Iterable[str]) -> dict[str, list[str]]:
        """Everything that must be empty once `task_ids` have ended and a day has passed, by whichever clock."""
        retention.purge(self.database, self.blobs, self._settings(), now=now_ms() + 2 * DAY_MS)
        there = self._stored()
        with self.database.read() as tx:
            ended = {row.id: row for row in tx.execute(sa.select(task_rows))}
            owned = {blob for row in ended.values() for blob in (row.peaks, row.mix) if blob}
            of_task = Counter(tx.execute(sa.select(stem_rows.c.task_id)).scalars())
            owned |= set(tx.execute(sa.select(stem_rows.c.blob)).scalars())
            owned |= set(tx.execute(sa.select(track_rows.c.blob)).scalars())
            charged = sum(row.cost for row in ended.values() if row.state == "finished")
            right = credits.balance(tx, self.account.id) == 1_000_000 - charged
            audit = credits.audit(tx)
        known = set(task_ids)
        told = {task: self.receiver.got[task] for task in known}
        return {
            "accepted and lost": sorted(known - ended.keys()),
            "not ended": [task for task, row in ended.items() if row.completed is None],
            "over their time limit": []
            if self.has_jumped
            else [t for t, r in ended.items() if r.completed and r.completed - r.started > LIMIT_MS],
            "files missing or doubled": [
                t for t, r in ended.items() if of_task[t] != (12 if r.state == "finished" else 0)
            ],
            "ledger": audit + ([] if right else ["the balance is not grants − charges + refunds"]),
            "never told": [task for task, got in told.items() if not got],
            "told under two ids": [task for task, got in told.items() if len({message for message, _ in got}) > 1],
            "told two things": [task for task, got in told.items() if len({json.dumps(body) for _, body in got}) > 1],
            "orphan blobs": sorted(there - owned),
            "blobs that are gone": sorted(owned - there),
            "folders left": self._folders() + [path.name for path in (self.data / "uploads").glob("*")],
        }

    def _stored(self) -> set[str]:
        """The names of all blobs, seen while nobody tries the store: who starts does, with a blob of its own."""
        deadline = time.monotonic() + 30
        while PROBE in (there := everything(self.blobs)) and time.monotonic() < deadline:
            time.sleep(0.003)
        return there

    def _settings(self) -> Settings:
        return Settings(
            **{name: self._given[name] for name in ("data", "database_url", "blobs_url") if name in self._given}
        )

    def _folders(self) -> list[str]:
        work = self.data / "work"
        return [path.name for path in work.iterdir() if len(path.name) == 32] if work.is_dir() else []

    def _pids(self, module: str) -> list[int]:
        assert self.process is not None
        return [pid for pid, group, command in _processes() if group == self.process.pid and module in command]


def _processes() -> Iterator[tuple[int, int, str]]:
    """Number, group and command of every process that runs."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                group = int((entry / "stat").read_text().rpartition(")")[2].split()[2])
                yield int(entry.name), group, (entry / "cmdline").read_text()  # empty once it is dead


class Crew:
    """Workers in processes of their own, each started again as soon as it has ended."""

    def __init__(self, count: int, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        self.count, self._start = count, start
        self.processes: list[subprocess.Popen[bytes]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        self.processes = [self._start() for _ in range(self.count)]
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopping.wait(0.05):
            self.processes = [self._start() if one.poll() is not None else one for one in self.processes]

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def everything(blobs: Blobs) -> set[str]:
    """The names of all blobs, half written ones included."""
    if isinstance(blobs, Folder):
        return {path.name for path in blobs.root.rglob("*") if path.is_file()}
    found = [meta["path"] for page in obstore.list(blobs._store) for meta in page]  # type: ignore[attr-defined]
    return {path.rpartition("/")[2] for path in found}


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        os.kill(pid, number)
