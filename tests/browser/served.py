"""`stemwright serve` with the real engine and the console's build; it can be killed and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from stemwright.audio.decode import open_song
from stemwright.audio.encode import open_stem

ROOT = Path(__file__).parents[2]
_SERVE = """
import sys
from pathlib import Path
from stemwright.server.http.routes import console
from stemwright.cli import main
build = Path(sys.argv[1])
console._folder = lambda: build
sys.argv = ["stemwright", "serve", "--json", "--data", sys.argv[2], "--port", sys.argv[3]]
main()
"""
DUO = """about = "A recipe of the operator's: what it gives are not twelve stems"
[split]
model = "twelve"
stems = { vocals = ["vocals", "backing_vocals"] }
rest = "band"
"""


@dataclass
class Served:
    """A running service; `key` is the admin's."""

    build: Path
    data: Path
    url: str = ""
    key: str = ""
    port: int = 0
    _process: Any = field(default=None)

    def start(self) -> None:
        """Start it, on the port it had before."""
        command = [sys.executable, "-c", _SERVE, str(self.build), str(self.data), str(self.port)]
        environment = os.environ | {
            "STEMWRIGHT_ALLOW_NETWORKS": "127.0.0.0/8",
            "STEMWRIGHT_CALLBACK_DELAYS_SECONDS": "0",
            "STEMWRIGHT_MODELS": str(self.data.parent / "models"),
            "STEMWRIGHT_ALLOWED_MODELS": "duo",
        }
        log = (self.data.parent / "log").open("ab")
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment)
        log.close()
        line = self._process.stdout.readline()
        assert line, (self.data.parent / "log").read_text()[-2000:]
        told = json.loads(line)
        self.url, self.key = told["url"], told.get("key") or self.key
        self.port = int(self.url.rpartition(":")[2])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """End it; returns the seconds that took."""
        began = time.monotonic()
        self._process.send_signal(how)
        self._process.wait(30)
        self._process.stdout.close()
        return time.monotonic() - began

    @contextmanager
    def api(self) -> Iterator[httpx2.Client]:
        """A client of the console's API, signed in."""
        with httpx2.Client(base_url=f"{self.url}/console/api", timeout=30) as client:
            told = client.post("/session", json={"key": self.key}).json()["data"]
            client.headers["X-CSRF-Token"] = told["csrf"]
            yield client


@contextmanager
def served(build: Path, folder: Path) -> Iterator[Served]:
    """The service for as long as the context lasts."""
    service = Served(build, folder / "data")
    recipes = folder / "models" / "recipes"
    recipes.mkdir(parents=True)
    (recipes / "duo.toml").write_text(DUO)
    try:
        service.start()
        yield service
    finally:
        service.stop()


def excerpt(path: Path, *, seconds: float, first: float = 4.0) -> Path:
    """A few seconds of the demo song as a file of their own."""
    with open_song(ROOT / "demo" / "song.mp3") as song:
        rate = song.rate
        samples = np.concatenate(list(song.blocks()), axis=1)
    part = samples[:, round(first * rate) : round((first + seconds) * rate)]
    with open_stem(path, rate=rate, format=path.suffix[1:]) as writer:
        writer.write(part)
    return path
