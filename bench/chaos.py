"""Kills everything at random while tasks run, for minutes, on both deployments; then counts what is wrong.

    python bench/chaos.py [--tasks 500] [--workers 3] [--seconds 180] [--deployment sqlite|postgresql|both] [--seed 1]

The service is real: the API process, its workers, their children, a receiver of callbacks, SQLite and a folder or
PostgreSQL and S3. Only the separation sleeps and writes small files. A client uploads, asks, and asks again with the
same Idempotency-Key until it is answered. From "tasks doubled" on, every row of the table must be 0; what is not, is
named.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import servers
from tests.crash.conftest import opened
from tests.crash.house import House, Receiver, receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GENERATE = "/api/v1/vocal-removal/generate"


@dataclass
class Storm:
    """One deployment under attack, and a client that does not give up."""

    house: House
    deployment: servers.Deployment
    chance: random.Random
    accepted: list[str] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def ask(self, count: int, seconds: float) -> None:
        """Uploads and asks for `count` tasks, spread over the time."""
        began = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, began + seconds * number / count - time.monotonic()))
            self.accepted.append(self._one(str(uuid.uuid4())))

    def _one(self, key: str) -> str:
        script = {"seconds": self.chance.choice([0, 0.2, 0.5, 1])}
        ids: dict[str, str] = {}
        while True:
            try:
                ids = ids or self.house.upload(**script)
                body = {**ids, "type": "split_stem", "callBackUrl": f"{self.house.receiver.url}/hook"}
                answer = self.house.post(GENERATE, json=body, headers={"Idempotency-Key": key}).json()
                if answer["code"] == 200:
                    return answer["data"]["taskId"]
                if answer["code"] == 422:  # what was confirmed is not there any more
                    self.did["CONFIRMED UPLOADS LOST"] += 1
                    ids = {}
            except (httpx2.TransportError, AssertionError, ValueError):
                self.did["requests that a client had to repeat"] += 1
            time.sleep(0.1)

    def rage(self) -> None:
        """Does something terrible every second or so."""
        while not self.over.wait(self.chance.uniform(0.3, 1.8)):
            name, act = self.chance.choice(self._acts())
            act()
            self.did[name] += 1

    def _acts(self) -> list[tuple[str, Callable[[], None]]]:
        acts = [
            ("API killed", self._kill_api),
            ("worker killed", self._kill_worker),
            ("worker killed", self._kill_worker),
            ("child killed", lambda: self.house.kill_children(self.chance)),
            ("receiver refuses for a while", self._flap),
            ("clock set back or forth", lambda: self.house.set_clock(self.chance.uniform(-5, 5))),
        ]
        if self.deployment.postgresql:
            acts += [("database killed", self._kill_database), ("connections cut", self._cut)]
            acts += [("storage down or losing writes", self._lose)]
        return acts

    def _kill_api(self) -> None:
        self.house.kill_everything()
        self._until_it_starts()

    def _until_it_starts(self) -> None:
        while True:
            try:
                return self.house.start()
            except AssertionError:
                time.sleep(0.2)

    def _kill_worker(self) -> None:
        self.house.kill_worker(self.chance.randrange(len(self.house.crew.processes)))

    def _flap(self) -> None:
        self.house.receiver.answer = lambda _number: 503
        time.sleep(1)
        self.house.receiver.answer = lambda _number: 200

    def _kill_database(self) -> None:
        assert self.deployment.postgresql is not None
        self.deployment.postgresql.kill()
        time.sleep(self.chance.uniform(0, 2))
        self.deployment.postgresql.start()

    def _cut(self) -> None:
        assert self.deployment.postgresql is not None
        self.deployment.postgresql.cut(self.house.database.url.render_as_string(hide_password=False))

    def _lose(self) -> None:
        assert self.deployment.s3 is not None
        self.deployment.s3.weather(**self.chance.choice([{"down": True}, {"refuse": 0.3, "swallow": 0.3}]))
        time.sleep(self.chance.uniform(0.5, 3))
        self.deployment.s3.weather()


@contextmanager
def places(name: str, folder: Path) -> Iterator[servers.Deployment]:
    if name == "sqlite":
        folder.mkdir()
        yield servers.alone(folder)
        return
    with servers.fleet() as fleet:
        yield fleet


def run(name: str, asked: argparse.Namespace) -> dict[str, str]:
    """What the storm left on one deployment: the rows of the table."""
    hook: Receiver
    with tempfile.TemporaryDirectory() as folder, places(name, Path(folder) / "template") as deployment:
        given = {"callback_delays_seconds": "0,0.2,0.5,1,2,4,8,8", "task_attempts": 20, "concurrent_tasks": 4}
        with receiver() as hook, opened(hook, deployment, Path(folder), workers=asked.workers, **given) as house:
            storm = Storm(house, deployment, random.Random(asked.seed))
            began = time.monotonic()
            rage = threading.Thread(target=storm.rage)
            rage.start()
            storm.ask(asked.tasks, asked.seconds)
            storm.over.set()
            rage.join()
            stormed = time.monotonic() - began
            house.set_clock(0)
            house.wait_for(lambda: all(house.task(task).completed for task in storm.accepted), 600)
            house.wait_for(lambda: not house.untold(), 120)
            house.wait_for(lambda: not house._folders(), 60)
            return _rows(storm, stormed, time.monotonic() - began - stormed)


def _rows(storm: Storm, stormed: float, after: float) -> dict[str, str]:
    house = storm.house
    states = Counter(house.task(task).state for task in storm.accepted)
    calls = [len(house.receiver.got[task]) for task in storm.accepted]
    return {
        "tasks accepted": str(len(storm.accepted)),
        "ended as": ", ".join(f"{count} {state}" for state, count in states.items()),
        "done to it": ", ".join(f"{count} × {what}" for what, count in sorted(storm.did.items())),
        "seconds of storm, and until all was done": f"{stormed:.0f} + {after:.0f}",
        "callbacks sent": str(sum(calls)),
        "most attempts of one task": str(max(house.task(task).attempt for task in storm.accepted)),
        "tasks doubled": str(house.count() - len(set(storm.accepted))),
        "tasks failed": str(states["failed"]),
    } | {what: _counted(found) for what, found in house.broken(storm.accepted).items()}


def _counted(found: list[str]) -> str:
    """How many, and which: whoever has to find out why needs their names."""
    return " ".join([str(len(found)), *found[:20]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deployment", choices=["sqlite", "postgresql", "both"], default="both")
    asked = parser.parse_args()
    names = ["sqlite", "postgresql"] if asked.deployment == "both" else [asked.deployment]
    found = {name: run(name, asked) for name in names}
    table = Table("", *({"sqlite": "SQLite + folder", "postgresql": "PostgreSQL + S3"}[name] for name in names))
    for row in next(iter(found.values())):
        table.add_row(row, *(found[name][row] for name in names))
    Console().print(table)


if __name__ == "__main__":
    main()
