"""Works one item ahead: a stage of the pipeline runs in its own thread while the last item is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items in the same order; the next one is being made while the caller works on this one.

    An error of the maker is raised at its place in the sequence. Leaving early waits for the item under way.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        under_way = thread.submit(next, iterator, _END)
        while (item := under_way.result()) is not _END:
            under_way = thread.submit(next, iterator, _END)
            yield item  # pyright: ignore[reportReturnType]
