"""Processes that render beside this one, and end with it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, parent_process


@contextmanager
def processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes; at an interrupt, an error or a kill of this one they end at once, whatever they are at."""
    others = set(active_children())
    with ProcessPoolExecutor(count, initializer=begin) as pool:
        try:
            yield pool
        except BaseException:
            for process in set(active_children()) - others:
                process.terminate()
            raise  # the pool, without its processes, gives up what was waiting, and its end is waited for


def begin() -> None:
    """In a process of its own: a terminal's Ctrl-C is for the one that started it, with which this one ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent ends nobody by itself: its children would wait for work for ever, or go on beside the next run.

    Its process number is of no use: it may have been killed before this process could ask for it.
    """
    if parent := parent_process():
        parent.join()
        os._exit(1)
