"""A whole service to be killed: real processes, a real receiver, a real database that the test may look into."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import sqlalchemy as sa

from stemwright.server import accounts, credits, keys, tasks
from stemwright.server.clock import now_ms
from stemwright.server.store.database import Database
from stemwright.server.store.tables import stems as stem_rows
from stemwright.server.store.tables import tasks as task_rows
from stemwright.server.store.tables import tracks as track_rows

STUB = Path(__file__).parent.parent / "server" / "stub_child.py"
SERVE = [sys.executable, "-c", "from stemwright.server.commands import serve; serve(as_json=True)"]


class Receiver(ThreadingHTTPServer):
    """Takes callbacks and hands out songs; `answer` decides what a callback gets."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: dict[str, list[tuple[str, dict]]] = defaultdict(list)  # task id → (webhook-id, body)
        self.answer: Callable[[int], int] = lambda number: 200
        self.song = b"{}"
        self.song_seconds = 0.0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        got = self.server.got[body["data"]["task_id"]]
        got.append((self.headers["webhook-id"], body))
        self._send(self.server.answer(len(got)), b"")

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
    """`stemwright serve` in one data folder, started, killed and started again."""

    def __init__(self, data: Path, receiver: Receiver) -> None:
        self.data, self.receiver = data, receiver
        self.log = (data.parent / "log").open("ab")
        self.url = ""
        self.process: subprocess.Popen[str] | None = None
        self.client = httpx2.Client(timeout=60, trust_env=False)
        self.database = Database(f"sqlite:///{data / 'stemwright.db'}")

    def open(self) -> None:
        """The first start, and an account with credits."""
        self.start()
        with self.database.transaction() as tx:
            self.account = accounts.create(tx, "someone", now=now_ms())
            credits.grant(tx, self.account.id, 1000, now=now_ms())
            _, secret = keys.create(tx, self.account.id, now=now_ms())
        self.client.headers["Authorization"] = f"Bearer {secret}"

    def start(self) -> None:
        environment = os.environ | self._settings()
        self.process = subprocess.Popen(
            SERVE, env=environment, stdout=subprocess.PIPE, stderr=self.log, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.stdout.close()
            self.process.wait()
        assert line, (self.data.parent / "log").read_text()[-3000:]
        self.url = json.loads(line)["url"]

    def _settings(self) -> dict[str, str]:
        quick = {
            "DATA": self.data,
            "PORT": 0,
            "PUBLIC_URL": "http://stems.example",
            "ALLOW_NETWORKS": "127.0.0.0/8",
            "SEPARATOR_COMMAND": f"{sys.executable},{STUB}",
            "CALLBACK_DELAYS_SECONDS": "0,0.2,0.4,0.8,1",
            "HEARTBEAT_SECONDS": 0.5,
            "DEAD_AFTER_SECONDS": 4,
            "SWEEP_SECONDS": 0.5,
            "TASK_SECONDS": 60,
            "RATE_LIMIT_CREATES": 1000,
            "CONCURRENT_TASKS": 2,
            "RETENTION_CRON": "* * * * * *",
            "DRAIN_SECONDS": 0,
        }
        return {f"STEMWRIGHT_{name}": str(value) for name, value in quick.items()}

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
        if self.process is not None and self.process.poll() is None:
            self.kill_everything()
        self.client.close()
        self.database.dispose()
        self.log.close()

    def upload(self, **script: object) -> dict[str, str]:
        files = {"file": ("song.mp3", json.dumps(script).encode())}
        answer = self.client.post(f"{self.url}/api/file-stream-upload", files=files).json()
        assert answer["code"] == 200, answer
        return {name: answer["data"][name] for name in ("taskId", "audioId")}

    def create(self, **body: object) -> str:
        body = {"callBackUrl": f"{self.receiver.url}/hook", "type": "split_stem"} | body
        answer = self.client.post(f"{self.url}/api/v1/vocal-removal/generate", json=body).json()
        assert answer["code"] == 200, answer
        return answer["data"]["taskId"]

    def submit(self, **script: object) -> str:
        return self.create(**self.upload(**script))

    def task(self, task_id: str) -> tasks.Task:
        with self.database.read() as tx:
            return tasks.find(tx, task_id)

    def wait_for(self, what: Callable[[], object], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            if time.monotonic() > deadline:
                raise AssertionError((self.data.parent / "log").read_text()[-4000:])
            time.sleep(0.003)

    def wait_for_state(self, task_id: str, *states: str) -> None:
        self.wait_for(lambda: self.task(task_id).state in states)

    def wait_until_told(self, *task_ids: str) -> None:
        """Until every task has ended and its callback has been taken."""

        def done() -> bool:
            with self.database.read() as tx:
                told = [tasks.delivery(tx, task_id) for task_id in task_ids]
            return all(delivery and delivery.state == "delivered" for delivery in told)

        self.wait_for(done)

    def check(self, *task_ids: str, state: str = "finished") -> None:
        """What must hold whatever was killed: one end, one charge or refund, one id for its callbacks, no orphans."""
        with self.database.read() as tx:
            assert credits.audit(tx) == []
            for task_id in task_ids:
                assert tasks.find(tx, task_id).state == state
            lost = tx.execute(sa.select(task_rows.c.id).where(task_rows.c.completed.is_(None))).all()
            assert lost == []
            known = set(tx.execute(sa.select(stem_rows.c.blob)).scalars())
            known |= set(tx.execute(sa.select(track_rows.c.blob)).scalars())
        for task_id in task_ids:
            got = self.receiver.got[task_id]
            assert got, "no callback"
            assert len({message for message, _ in got}) == 1
            assert len({json.dumps(body) for _, body in got}) == 1
        self.wait_for(lambda: self._blobs() == known)  # tidying comes after the end
        self.wait_for(lambda: not self._folders())

    def _blobs(self) -> set[str]:
        return {path.name for path in (self.data / "blobs").rglob("*") if path.is_file()}

    def _folders(self) -> list[str]:
        work = self.data / "work"
        return [path.name for path in work.iterdir() if len(path.name) == 32] if work.is_dir() else []

    def _pids(self, module: str) -> list[int]:
        assert self.process is not None
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                group = int((entry / "stat").read_text().rpartition(")")[2].split()[2])
                command = (entry / "cmdline").read_text()  # empty once it is dead
            except OSError:
                continue
            if group == self.process.pid and module in command:
                found.append(int(entry.name))
        return found


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        os.kill(pid, number)
