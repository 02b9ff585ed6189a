"""`stemwright serve` as it is, once for each dialect; only the model is a stand-in."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from stemwright import Client

STUB = Path(__file__).parents[1] / "server" / "stub_child.py"


@dataclass(frozen=True)
class Served:
    """A running service, and its data folder."""

    url: str
    key: str
    data: Path
    dialect: str

    def client(self, **options: object) -> Client:
        return Client(self.url, self.key, **options)  # type: ignore[arg-type]

    def account(self, name: str, balance: int) -> dict[str, str]:
        """Another account with so many credits; its key and its secret."""
        command = ["keys", "create", "--account", name, "--credits", str(balance), "--data", str(self.data), "--json"]
        environment = os.environ | {"STEMWRIGHT_DIALECT": self.dialect}
        done = subprocess.run(
            [sys.executable, "-m", "stemwright", *command], capture_output=True, check=True, env=environment
        )
        return json.loads(done.stdout)


@contextmanager
def serving(data: Path, dialect: str) -> Iterator[Served]:
    settings = {"DIALECT": dialect, "ALLOW_NETWORKS": "127.0.0.1/32", "SEPARATOR_COMMAND": f"{sys.executable},{STUB}"}
    settings |= {"MAX_UPLOAD_BYTES": "20000000", "RATE_LIMIT_CREATES": "1000"}
    environment = os.environ | {f"STEMWRIGHT_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "stemwright", "serve", "--data", str(data), "--port", "0", "--json"]
    with (data.parent / f"{data.name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment)
        assert process.stdout
        try:
            ready = json.loads(process.stdout.readline())
            yield Served(ready["url"], ready["key"], data, dialect)
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()


@pytest.fixture(scope="session", params=["apikley", "sunoapi"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served"), request.param) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with served.client(most_pause_seconds=0.1) as client:
        yield client


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """What the stand-in takes for a song."""
    path = tmp_path / "Meine Übung.mp3"
    path.write_text(json.dumps({}))
    return path
