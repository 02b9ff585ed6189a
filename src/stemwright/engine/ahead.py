"""Works one item ahead: a stage of the pipeline runs in its own thread while the last item is used."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import ExitStack
from typing import TypeVar

from stemwright.engine.threads import Threads, awaited

T = TypeVar("T")
_END = object()


def ahead(items: Iterable[T]) -> Generator[T]:
    """The same items in the same order; the next one is being made while the caller works on this one.

    An error of the maker is raised at its place in the sequence. Who leaves early waits until the item under way is
    made, or given up at its next `go_on`; then the maker is closed.
    """
    iterator = iter(items)
    with ExitStack() as leave:
        if isinstance(iterator, Generator):
            leave.callback(iterator.close)
        thread = leave.enter_context(Threads(1, "ahead"))
        under_way = thread.submit(next, iterator, _END)
        while (item := awaited(under_way)) is not _END:
            under_way = thread.submit(next, iterator, _END)
            yield item  # pyright: ignore[reportReturnType]
