"""How far a separation is, how long it will still take, and whether it shall stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass

from stemwright.errors import Cancelled


@dataclass(frozen=True)
class Progress:
    """How far the work is, from 0 to 1, and the seconds that it will still take, once that can be told."""

    stage: str
    fraction: float
    seconds_left: float | None = None


OnProgress = Callable[[Progress], None]
IsCancelled = Callable[[], bool]

ASK_SECONDS = 0.1
"""How often who waits for work that cannot ask asks in its place."""

_HEEDED: ContextVar[tuple[IsCancelled, ...]] = ContextVar("heeded", default=())


def heed(cancelled: IsCancelled) -> Token[tuple[IsCancelled, ...]]:
    """From now on `go_on` asks this too, in this context and in copies of it."""
    return _HEEDED.set((*_HEEDED.get(), cancelled))


@contextmanager
def heeding(cancelled: IsCancelled | None) -> Iterator[None]:
    """Within it `go_on` asks this too."""
    before = heed(cancelled or (lambda: False))
    try:
        yield
    finally:
        _HEEDED.reset(before)


def go_on() -> None:
    """Raises Cancelled where nobody waits for this any more; work that takes seconds asks every few milliseconds."""
    if any(is_cancelled() for is_cancelled in _HEEDED.get()):
        raise Cancelled


class Clock:
    """Turns fractions of the work into Progress; the time left follows from the time spent so far."""

    def __init__(self, on_progress: OnProgress | None) -> None:
        self._on_progress = on_progress
        self._started = time.monotonic()

    def at(self, stage: str, fraction: float) -> None:
        """Reports a fraction of the work done; raises what `go_on` does."""
        go_on()
        if self._on_progress is not None:
            spent = time.monotonic() - self._started
            left = spent / fraction - spent if fraction > 0 else None
            self._on_progress(Progress(stage, fraction, left))
