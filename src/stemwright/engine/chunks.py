"""The only loop over time in the repository: spans, fades, and finished blocks while the song still streams in."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from stemwright.audio.blocks import gathered
from stemwright.audio.signal import Samples
from stemwright.engine.ahead import ahead
from stemwright.engine.separator import Separator, TwoStage


def fade(segment: int) -> Samples:
    """A triangle that never reaches zero, so the first and last span need no case of their own.

    >>> fade(5).tolist()
    [1.0, 2.0, 3.0, 2.0, 1.0]
    """
    rising = np.arange(1, segment + 1, dtype=np.float32)
    return np.minimum(rising, rising[::-1])


@dataclass(frozen=True)
class Span:
    """One call of a separator: its mix [2, segment], the fade of the answer, and how many samples it finishes.

    The faded part of the answer begins at `skip`: what is before is only there for the net to hear.
    """

    mix: Samples
    fade: Samples
    finished: int
    skip: int = 0


_SMALLEST = np.float32(1e-30)
Manner = Callable[[Iterable[Samples], int, int], Iterator[Span]]
"""How a song is cut into spans: blocks, segment, hop → spans. Ours is `consistent`; others are in `manners`."""


def consistent(blocks: Iterable[Samples], segment: int, hop: int) -> Iterator[Span]:
    """Spans faded by a triangle, as many as cover the song; zeros stand after its end."""
    waiting, triangle = None, fade(segment)
    # One sample more than a segment must be waiting: otherwise this span may be the last, and finishes all of it.
    for piece in gathered(blocks, segment + 1):
        waiting = piece if waiting is None else np.concatenate([waiting, piece], axis=1)
        while waiting.shape[1] > segment:
            yield Span(waiting[:, :segment], triangle, hop)
            waiting = waiting[:, hop:]
    if waiting is not None and waiting.shape[1]:
        yield Span(np.pad(waiting, ((0, 0), (0, segment - waiting.shape[1]))), triangle, waiting.shape[1])


def over_time(
    separator: Separator,
    blocks: Iterable[Samples],
    *,
    batch: int = 1,
    manner: Manner = consistent,
    hop: int | None = None,
) -> Generator[Samples]:
    """Blocks of a mix [2, n] of any size → finished blocks [stems, 2, n], as many samples as went in.

    A finished block is one hop long (the last one is what remains), so memory is a few segments whatever the song's
    length. `batch` spans go through the separator at once: it changes speed and memory, never the answer. `hop` is the
    separator's unless another is asked for.
    """
    hop = hop or separator.hop
    overlap = _Overlap(separator, hop)
    with closing(_separated(separator, _batches(manner(blocks, separator.segment, hop), batch))) as separated:
        for spans, stems in separated:
            for span, own in zip(spans, stems, strict=True):
                yield overlap.add(own, span)


def _separated(separator: Separator, batches: Iterable[list[Span]]) -> Generator[tuple[list[Span], Samples]]:
    """Each batch of spans with its stems [batch, stems, 2, segment]; of two stages the first works ahead."""
    mixes = ((spans, np.stack([span.mix for span in spans])) for spans in batches)
    if not isinstance(separator, TwoStage):
        yield from ((spans, separator(mix)) for spans, mix in mixes)
        return
    with closing(ahead((spans, separator.analysed(mix)) for spans, mix in mixes)) as analysed:
        for spans, found in analysed:
            yield spans, separator.synthesised(found)


def _batches(spans: Iterable[Span], batch: int) -> Iterator[list[Span]]:
    group: list[Span] = []
    for span in spans:
        group.append(span)
        if len(group) == batch:
            yield group
            group = []
    if group:
        yield group


class _Overlap:
    """Adds faded spans up and hands out what no later span will touch."""

    def __init__(self, separator: Separator, hop: int) -> None:
        shape = (len(separator.stems), 2, separator.segment)
        self._hop = hop
        self._sum = np.zeros(shape, np.float32)
        self._faded = np.empty(shape, np.float32)
        self._weight = np.zeros(separator.segment, np.float32)

    def add(self, stems: Samples, span: Span) -> Samples:
        """One span's stems [stems, 2, segment] → the samples that it finishes."""
        length = len(span.fade)
        heard = stems[..., span.skip : span.skip + length]
        self._sum[..., :length] += np.multiply(heard, span.fade, out=self._faded[..., :length])
        self._weight[:length] += span.fade
        # Only others' fades reach zero; there the sum is zero too.
        weight: Samples = np.maximum(self._weight[: span.finished], _SMALLEST)  # pyright: ignore[reportAssignmentType]
        done = self._sum[..., : span.finished] / weight
        for array in (self._sum, self._weight):
            array[..., : -self._hop] = array[..., self._hop :]
            array[..., -self._hop :] = 0
        return done
