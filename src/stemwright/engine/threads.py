"""Threads that can be left: who does not wait for their answer any more need not wait for the work behind it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from threading import Event
from types import TracebackType
from typing import ParamSpec, TypeVar

from stemwright.engine.progress import heed

T = TypeVar("T")
P = ParamSpec("P")


class Threads(ThreadPoolExecutor):
    """A pool whose work heeds what the one who submits it heeds, and ends at its next `go_on` once the pool is left."""

    def __init__(self, most: int, name: str) -> None:
        super().__init__(most, thread_name_prefix=name)
        self._left = Event()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Calls fn in a thread, in a copy of this context."""
        context = copy_context()
        context.run(heed, self._left.is_set)
        return super().submit(context.run, fn, *args, **kwargs)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._left.set()
        return super().__exit__(kind, error, trace)
