"""Threads that can be left: who does not wait for their answer any more need not wait for the work behind it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from threading import Condition
from types import TracebackType
from typing import ParamSpec, TypeVar

from stemwright.engine.progress import ASK_SECONDS, go_on, heed
from stemwright.errors import Cancelled

T = TypeVar("T")
P = ParamSpec("P")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def after_fork(act: Callable[[], object]) -> None:
    """Has every process that is forked off this one begin with it: threads do not go along with it."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=act)


class Threads(ThreadPoolExecutor):
    """A pool whose work heeds what the one who submits it heeds, and ends at its next `go_on` once the pool is left.

    Who leaves waits for all work that has begun; none begins after that. The pool itself does not know of a thread
    whose start an interrupt broke into.
    """

    def __init__(self, most: int, name: str) -> None:
        super().__init__(most, thread_name_prefix=name)
        self._is_left, self._at_work, self._change = False, 0, Condition()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Calls fn in a thread, in a copy of this context."""
        context = copy_context()
        context.run(heed, lambda: self._is_left)
        return super().submit(self._work, lambda: context.run(fn, *args, **kwargs))

    def _work(self, call: Callable[[], T]) -> T:
        with self._change:
            if self._is_left:
                raise Cancelled
            self._at_work += 1
        try:
            return call()
        finally:
            with self._change:
                self._at_work -= 1
                self._change.notify_all()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        with self._change:
            self._is_left = True
            while not self._change.wait_for(lambda: not self._at_work, ASK_SECONDS):
                pass  # as in `awaited`: the next signal is to be heard too
        return super().__exit__(kind, error, trace)


def awaited(running: Future[T]) -> T:
    """Its answer, unless `go_on` says that nobody waits for it any more.

    Looked for again and again: a signal that arrives just before a wait without end begins is heard only after it.
    """
    while not wait([running], ASK_SECONDS).done:
        go_on()
    return running.result()
