"""The only loop over time in the repository: spans, fades, and finished blocks while the song still streams in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from stemwright.audio.signal import Samples
from stemwright.engine.separator import Separator


def plan(length: int, segment: int, hop: int) -> list[int]:
    """Starts of the spans that cover `length` samples; the last one may reach past the end.

    >>> plan(10, 4, 3)
    [0, 3, 6]
    >>> plan(1, 4, 3)
    [0]
    """
    if not 0 < hop <= segment:
        msg = f"a hop of {hop} samples leaves gaps between spans of {segment}"
        raise ValueError(msg)
    return list(range(0, max(length - segment, 0) + hop, hop)) if length > 0 else []


def fade(segment: int) -> Samples:
    """A triangle that never reaches zero, so the first and last span need no case of their own.

    >>> fade(5).tolist()
    [1.0, 2.0, 3.0, 2.0, 1.0]
    """
    rising = np.arange(1, segment + 1, dtype=np.float32)
    return np.minimum(rising, rising[::-1])


def over_time(separator: Separator, blocks: Iterable[Samples], *, batch: int = 1) -> Iterator[Samples]:
    """Blocks of a mix [2, n] of any size → finished blocks [stems, 2, n], as many samples as went in.

    A finished block is one hop long (the last one is what remains), so memory is a few segments whatever the song's
    length. `batch` spans go through the separator at once: it changes speed and memory, never the answer.
    """
    overlap = _Overlap(separator)
    for spans, ends in _batches(_spans(blocks, separator.segment, separator.hop), batch):
        for stems, end in zip(separator(np.stack(spans)), ends, strict=True):
            yield overlap.add(stems, end)


def _spans(blocks: Iterable[Samples], segment: int, hop: int) -> Iterator[tuple[Samples, int]]:
    """Each span [2, segment] and how many of its samples are finished by it; zeros stand after the song's end."""
    waiting = np.zeros((2, 0), np.float32)
    # One sample more than a segment must be waiting: otherwise this span may be the last, and finishes all of it.
    for piece in gathered(blocks, segment + 1):
        waiting = np.concatenate([waiting, piece], axis=1)
        while waiting.shape[1] > segment:
            yield waiting[:, :segment], hop
            waiting = waiting[:, hop:]
    if waiting.shape[1]:
        yield np.pad(waiting, ((0, 0), (0, segment - waiting.shape[1]))), waiting.shape[1]


def gathered(blocks: Iterable[Samples], least: int) -> Iterator[Samples]:
    """Small blocks [2, n] joined into ones of at least `least` samples; only the last may be shorter."""
    held: list[Samples] = []
    samples = 0
    for block in blocks:
        held.append(block)
        samples += block.shape[1]
        if samples >= least:
            yield np.concatenate(held, axis=1)
            held, samples = [], 0
    if samples:
        yield np.concatenate(held, axis=1)


def _batches(spans: Iterable[tuple[Samples, int]], batch: int) -> Iterator[tuple[list[Samples], list[int]]]:
    group: list[tuple[Samples, int]] = []
    for span in spans:
        group.append(span)
        if len(group) == batch:
            yield [mix for mix, _ in group], [end for _, end in group]
            group = []
    if group:
        yield [mix for mix, _ in group], [end for _, end in group]


class _Overlap:
    """Adds faded spans up and hands out what no later span will touch."""

    def __init__(self, separator: Separator) -> None:
        shape = (len(separator.stems), 2, separator.segment)
        self._fade = fade(separator.segment)
        self._hop = separator.hop
        self._sum = np.zeros(shape, np.float32)
        self._faded = np.empty(shape, np.float32)
        self._weight = np.zeros(separator.segment, np.float32)

    def add(self, stems: Samples, finished: int) -> Samples:
        """One span's stems [stems, 2, segment] → the first `finished` samples since the last call."""
        self._sum += np.multiply(stems, self._fade, out=self._faded)
        self._weight += self._fade
        done = self._sum[..., :finished] / self._weight[:finished]
        for array in (self._sum, self._weight):
            array[..., : -self._hop] = array[..., self._hop :]
            array[..., -self._hop :] = 0
        return done
