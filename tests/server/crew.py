"""Real worker processes for the tests: as many as wanted, of any version, to be stopped, frozen and woken."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stemwright.server import accounts, tasks, tracks
from stemwright.server.clock import now_ms
from stemwright.server.settings import Settings
from stemwright.server.store.blobs import open_blobs
from stemwright.server.store.database import Database
from tests.crash.house import Receiver, receiver

from .conftest import STUB, keep

Submit = Callable[..., str]
PLAIN = "from stemwright.server import worker; worker.version = lambda _: {version!r}; worker.main()"


class Crew:
    """Worker processes on one deployment; what they log is in `log`."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings, self.log = settings, log
        self._began: list[subprocess.Popen[bytes]] = []

    def start(self, *, version: str = "1.0", program: str = PLAIN, **given: object) -> subprocess.Popen[bytes]:
        """Starts one; `given` are settings."""
        usual = {
            "data": self.settings.data,
            "database_url": self.settings.database_url,
            "blobs_url": self.settings.blobs_url,
            "allow_networks": "127.0.0.0/8",
            "separator_command": f"{sys.executable},{STUB}",
            "callback_delays_seconds": "0,0.1",
            "heartbeat_seconds": 0.5,
            "dead_after_seconds": 3,
            "sweep_seconds": 0.5,
        }
        environment = os.environ | {f"STEMWRIGHT_{name.upper()}": str(value) for name, value in (usual | given).items()}
        command = [sys.executable, "-c", program.format(version=version)]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=log)
        self._began.append(process)
        return process

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it has said so."""
        return any(f"-{process.pid}-" in line and "is ready" in line for line in self.log.read_text().splitlines())

    def close(self) -> None:
        """Ends those that still run."""
        for process in self._began:
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()


@pytest.fixture
def crew(settings: Settings, database: Database, tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(settings, tmp_path / "log")
    yield crew
    crew.close()
    sys.stderr.write(crew.log.read_text() if crew.log.exists() else "no worker was begun\n")  # for a test that failed


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


@pytest.fixture
def submit(database: Database, settings: Settings, account: accounts.Account, hook: Receiver) -> Submit:
    blobs = open_blobs(settings.blobs)

    def one(
        kind: str = "split_stem",
        stem_name: str | None = None,
        account: accounts.Account = account,
        callback_url: str = hook.url,
        **script: object,
    ) -> str:
        name = f"song-{time.time_ns()}"
        keep(blobs, name, json.dumps(script).encode())
        with database.transaction() as tx:
            track = tracks.register(tx, account.id, blob=name, size=1, now=now_ms())
            told = {"callback_url": f"{callback_url}/hook?secret=hunter2", "request_id": "request-of-a-test"}
            told |= {"base_url": "https://stems.example"}
            asked = tasks.Submission(account.id, kind, "mp3", "apikley", 5, track, stem_name=stem_name, **told)
            return tasks.submit(tx, asked, now=now_ms()).id

    return one


@pytest.fixture
def worker(crew: Crew) -> subprocess.Popen[bytes]:
    return crew.start()


def wait(done: Callable[[], bool], *, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
