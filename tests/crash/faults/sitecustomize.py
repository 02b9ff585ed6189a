"""Loaded by every Python process of a service under test: makes it die at a named point, or live by another clock.

STEMWRIGHT_FAULTS names a folder. The file `die` in it holds a point, `module:Class.function before|after`: the process
that comes there first takes the file away and kills itself. The file `clock` holds seconds that are added to the time,
the file `patience` those for which a worker waits for the storage.
"""

import functools
import importlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

FUNCTIONS = {
    "running": ("fetch", "separate", "end", "tidy", "deliver", "note_delivery"),
    "tasks": ("begin", "keep_source", "advance", "finish", "submit", "delivered", "fail", "cancel"),
    "tracks": ("register",),
    "arrivals": ("announce", "settle"),
    "callbacks": ("attempt",),
    "workflows": ("enqueue_callback", "release", "take_over"),
    "fleet": ("forget",),
    "retention": ("purge_files",),
    "closing": ("_shut", "_silence", "_cancel", "_clear", "_forget"),
}
METHODS = {
    "network": ("Client.get_to_file",),
    "separating": ("Child.separate",),
    "store.blobs": ("Folder.put", "Folder.delete"),
    "store.objects": ("Objects.put", "Objects.delete", "obstore.put"),
    "store.database": ("Database.together",),
}


def watch(folder: Path, owner: Any, name: str, point: str) -> None:
    function = getattr(owner, name)

    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Any:
        die_at(folder, f"{point} before")
        answer = function(*args, **kwargs)
        die_at(folder, f"{point} after")
        return answer

    setattr(owner, name, watched)


def die_at(folder: Path, point: str) -> None:
    armed = folder / "die"
    try:
        if armed.read_text() != point:
            return
        armed.rename(folder / "died")  # only one process dies of it
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def watch_everything(folder: Path) -> None:
    for table in (FUNCTIONS, METHODS):
        for module, names in table.items():
            for point in names:
                owner: Any = importlib.import_module(f"stemwright.server.{module}")
                *classes, name = point.split(".")
                for part in classes:
                    owner = getattr(owner, part)
                watch(folder, owner, name, point if classes else f"{module}.{point}")


def live_by(clock: Path) -> None:
    true_time, true_time_ns = time.time, time.time_ns

    def offset() -> float:
        try:
            return float(clock.read_text() or 0)
        except FileNotFoundError:
            return 0.0

    time.time = lambda: true_time() + offset()
    time.time_ns = lambda: true_time_ns() + int(offset() * 1e9)


if "STEMWRIGHT_FAULTS" in os.environ and "stub_child" not in " ".join(sys.orig_argv):
    faults = Path(os.environ["STEMWRIGHT_FAULTS"])
    live_by(faults / "clock")
    if (faults / "patience").exists():
        worker: Any = importlib.import_module("stemwright.server.worker")
        worker.PATIENCE_SECONDS = float((faults / "patience").read_text())
    if (faults / "points").exists():
        watch_everything(faults)
