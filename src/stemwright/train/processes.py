"""Processes that render beside this one, and end with it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children


@contextmanager
def processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes; at an interrupt or an error they end at once, whatever they are at."""
    others = set(active_children())
    with ProcessPoolExecutor(count, initializer=leave_interrupts) as pool:
        try:
            yield pool
        except BaseException:
            for process in set(active_children()) - others:
                process.terminate()
            raise  # the pool, without its processes, gives up what was waiting, and its end is waited for


def leave_interrupts() -> None:
    """In a process of its own: a terminal's Ctrl-C is for the one that started it, which ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
