"""A song at another sample rate on its way into a net, and its stems back at the song's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from stemwright.audio.signal import Resampler, Samples


def stems_resampled(blocks: Iterable[Samples], from_rate: int, to_rate: int) -> Iterator[Samples]:
    """Blocks [stems, 2, n] at one rate → blocks [stems, 2, m] at another, one stream for each stem."""
    if from_rate == to_rate:
        yield from blocks
        return
    streams: list[Resampler] = []
    with ThreadPoolExecutor(thread_name_prefix="resample") as threads:
        for block in blocks:
            streams = streams or [Resampler(from_rate, to_rate) for _ in block]
            yield np.stack(list(threads.map(Resampler.push, streams, block)))
        if streams:
            yield np.stack(list(threads.map(Resampler.finish, streams)))


class Tap:
    """Passes blocks [2, n] on and keeps a copy of each until it is taken: the mix waits here for its stems."""

    def __init__(self, blocks: Iterable[Samples]) -> None:
        self._blocks = blocks
        self._kept: deque[Samples] = deque()

    def __iter__(self) -> Iterator[Samples]:
        for block in self._blocks:
            self._kept.append(block)
            yield block

    def take(self, samples: int | None = None) -> Samples:
        """The next `samples` of what has passed [2, at most that many]; without a number, all of it."""
        taken = [np.zeros((2, 0), np.float32)]
        while self._kept and samples != 0:
            block = self._kept.popleft()
            if samples is not None:
                if block.shape[1] > samples:
                    self._kept.appendleft(block[:, samples:])
                    block = block[:, :samples]
                samples -= block.shape[1]
            taken.append(block)
        return np.concatenate(taken, axis=1)
