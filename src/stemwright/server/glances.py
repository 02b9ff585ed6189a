"""What is looked up for all who ask, and may never be answered: nobody waits for it longer than they say."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
MOMENT_SECONDS = 2.0  # whoever asks whether a process is ready gives up soon after that


class Glance(Generic[T]):
    """A look by one thread at a time; what it found is told for some seconds."""

    def __init__(self, look: Callable[[], T], *, fresh_seconds: float = 0.0) -> None:
        self._look, self._fresh_seconds = look, fresh_seconds
        self._lock = Lock()
        self._found: Future[T] | None = None
        self._ended = -math.inf

    def begin(self) -> Future[T]:
        """The look that is under way, one that has just been, or a new one."""
        with self._lock:
            stale = time.monotonic() - self._ended > self._fresh_seconds
            if self._found is None or (self._found.done() and stale):
                self._found = Future()
                # A daemon, as no pool's is: the process may end while nobody answers.
                look = Thread(target=self._run, args=(self._found,), daemon=True)
                try:
                    look.start()
                except RuntimeError as fault:  # the machine has no thread left: whoever asks next tries again
                    self._found.set_exception(fault)
            return self._found

    def _run(self, found: Future[T]) -> None:
        try:
            said = self._look()
        except Exception as fault:  # noqa: BLE001  it goes to those who asked
            self._ended = time.monotonic()
            found.set_exception(fault)
        else:
            self._ended = time.monotonic()
            found.set_result(said)
