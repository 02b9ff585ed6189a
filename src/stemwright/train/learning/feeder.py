"""Builds batches in processes of their own and hands them over in shared memory, in the order of the steps."""

from __future__ import annotations

import multiprocessing as mp
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np

from stemwright.nets.bandsplit import BandSplitConfig
from stemwright.train.learning.batches import Drawer, Sizes
from stemwright.train.learning.songs import complete_songs
from stemwright.train.learning.targets import TargetMaker, Targets
from stemwright.train.processes import begin
from stemwright.zoo import machine

SLOTS = 2  # per worker: one is being filled while the other is in use
RESCAN = 50  # steps after which new songs are looked for


@dataclass(frozen=True)
class Feed:
    """What the batches are made of."""

    songs: Path
    sizes: Sizes
    config: BandSplitConfig
    seed: int
    workers: int = 1


def view(memory: SharedMemory, feed: Feed) -> Targets:
    """The targets that lie in a piece of shared memory."""
    arrays, offset = {}, 0
    for name, (shape, kind) in Targets.shapes(feed.sizes, feed.config).items():
        arrays[name] = np.ndarray(shape, kind, memory.buf, offset)
        offset += arrays[name].nbytes
    return Targets(**arrays)


def size(feed: Feed) -> int:
    """Bytes of one batch."""
    return sum(
        int(np.prod(shape)) * np.dtype(kind).itemsize
        for shape, kind in Targets.shapes(feed.sizes, feed.config).values()
    )


@contextmanager
def batches(feed: Feed, first_step: int) -> Iterator[Iterator[Targets]]:
    """Targets of first_step, first_step + 1, …; each is overwritten once the next one is asked for. Raises NoSongs."""
    complete_songs(feed.songs)
    context = mp.get_context("spawn")
    memories = [SharedMemory(create=True, size=size(feed)) for _ in range(SLOTS * feed.workers)]
    free = [context.Queue() for _ in range(feed.workers)]
    ready = [context.Queue() for _ in range(feed.workers)]
    workers = []
    for i in range(feed.workers):
        own = memories[i * SLOTS : (i + 1) * SLOTS]
        for slot in range(SLOTS):
            free[i].put(slot)
        names = [memory.name for memory in own]
        workers.append(
            context.Process(target=_work, args=(feed, (first_step, i), names, free[i], ready[i]), daemon=True)
        )
        workers[-1].start()
    try:
        yield _in_order(feed, memories, free, ready, workers)
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()
        for memory in memories:
            memory.unlink()


def _in_order(feed: Feed, memories: list[SharedMemory], free: list, ready: list, workers: list) -> Iterator[Targets]:
    views = [view(memory, feed) for memory in memories]
    turn = 0
    while True:
        slot = _next(ready[turn], workers[turn])
        yield views[turn * SLOTS + slot]
        free[turn].put(slot)
        turn = (turn + 1) % feed.workers


def _next(ready: mp.Queue, worker: mp.Process) -> int:  # type: ignore[type-arg]
    while True:
        try:
            got = ready.get(timeout=1.0)
        except queue.Empty:
            if not worker.is_alive():
                raise RuntimeError("the process that builds batches ended") from None
            continue
        if isinstance(got, Exception):
            raise got
        return got


def _work(feed: Feed, start: tuple[int, int], names: list[str], free: mp.Queue, ready: mp.Queue) -> None:  # type: ignore[type-arg]
    """The life of a worker."""
    begin()
    machine.keep_pages()
    memories = [SharedMemory(name) for name in names]
    views = [view(memory, feed) for memory in memories]
    maker, drawer, step = TargetMaker(feed.sizes, feed.config), None, sum(start)
    while True:
        slot = free.get()
        try:
            if drawer is None or (step // feed.workers) % RESCAN == 0:
                drawer = Drawer(complete_songs(feed.songs), feed.sizes)
            maker.fill(drawer.batch(feed.seed, step), views[slot])
        except Exception as error:  # noqa: BLE001 - it is raised again by the trainer
            ready.put(error)
            return
        ready.put(slot)
        step += feed.workers
