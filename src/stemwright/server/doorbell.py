"""A doorbell for threads that would otherwise look every so often whether there is something to do."""

from __future__ import annotations

import threading
import time


class Doorbell:
    """Wakes every thread that waits by one of its `instead_of` events; a ring while a thread is at work is not lost."""

    def __init__(self, *, seldom_seconds: float) -> None:
        self._seldom_seconds = seldom_seconds
        self._condition = threading.Condition()
        self._rings = 0
        self._closed = False

    def ring(self) -> None:
        """There may be something to do."""
        with self._condition:
            self._rings += 1
            self._condition.notify_all()

    def close(self) -> None:
        """From now on everyone waits for as long as they like: a program that ends is not kept waiting."""
        with self._condition:
            self._closed = True
        self.ring()

    def instead_of(self, stop: threading.Event) -> threading.Event:
        """An event that is set when `stop` is, and whose `wait` also returns at a ring, else only seldom."""
        return _Waiting(self, stop)

    def _wait(self, stop: threading.Event, seen: int, timeout: float | None) -> int:
        """Waits for a ring after number `seen`; returns the number of the last one."""
        deadline = time.monotonic() + max(timeout or 0, self._seldom_seconds)
        with self._condition:
            while self._rings == seen and not self._closed and not stop.is_set() and time.monotonic() < deadline:
                self._condition.wait(0.2)  # `stop` does not ring
            return self._rings

    @property
    def is_closed(self) -> bool:
        """Whether it rings no more."""
        return self._closed


class _Waiting(threading.Event):
    """What a thread waits by; each thread remembers the last ring that it has followed."""

    def __init__(self, bell: Doorbell, stop: threading.Event) -> None:
        super().__init__()
        self._bell, self._stop = bell, stop
        self._followed = threading.local()

    def is_set(self) -> bool:
        return self._stop.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        if self._bell.is_closed:
            return self._stop.wait(timeout)
        self._followed.ring = self._bell._wait(self._stop, getattr(self._followed, "ring", 0), timeout)
        return self._stop.is_set()
