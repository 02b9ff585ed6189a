"""How other projects cut a song into spans and fade them: for answers equal to theirs, not better ones."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from stemwright.audio.blocks import gathered
from stemwright.audio.signal import Samples
from stemwright.engine.chunks import Manner, Span, fade, over_time
from stemwright.engine.separator import Separator


@dataclass(frozen=True)
class Scale:
    """What a song is brought to before its net and its stems are brought back from: mean 0, deviation 1."""

    mean: float
    deviation: float

    def down(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """The song as the net shall hear it."""
        for block in blocks:
            yield (block - np.float32(self.mean)) / np.float32(self.deviation)

    def up(self, blocks: Iterable[Samples]) -> Generator[Samples]:
        """Stems at the song's level; every one gets the whole mean, as upstream does."""
        for block in blocks:
            yield block * np.float32(self.deviation) + np.float32(self.mean)


def measured(blocks: Iterable[Samples], *, unbiased: bool) -> Scale:
    """Mean and deviation of a song's mono mix, in one pass: `unbiased` as Demucs, else as MSST.

    Where the mix is one value (silence, or two sides that cancel out) there is no level to bring it to: 1.
    """
    count, total, squares = 0, 0.0, 0.0
    for block in blocks:
        mono = block.mean(axis=0, dtype=np.float64)
        count, total, squares = count + len(mono), total + float(mono.sum()), squares + float(mono @ mono)
    mean = total / max(count, 1)
    variance = max(squares - count * mean**2, 0.0) / max(count - unbiased, 1)
    return Scale(mean, variance**0.5 + 1e-8 if unbiased else variance**0.5 or 1.0)


def demucs(blocks: Iterable[Samples], segment: int, hop: int) -> Iterator[Span]:
    """`demucs.apply.apply_model` without shifts: a short last span is heard in the middle of what is around it."""
    triangle, past = fade(segment), np.zeros((2, segment // 2), np.float32)
    for waiting in _waiting(blocks, segment, hop):
        own = min(segment, waiting.shape[1])
        before = (segment - own) // 2
        after = np.zeros((2, segment - own - before), np.float32)
        heard = np.concatenate([past[:, past.shape[1] - before :], waiting[:, :own], after], axis=1)
        yield Span(heard, triangle[:own], min(hop, own), before)
        past = np.concatenate([past, waiting[:, :hop]], axis=1)[:, -(segment // 2) :]


def mdx(blocks: Iterable[Samples], segment: int, hop: int) -> Iterator[Span]:
    """`demix` of KUIELab's MDX-Net: no fades; half an FFT of what is heard at both ends of a span is thrown away."""
    trim = (segment - hop) // 2
    past = np.zeros((2, trim), np.float32)
    for waiting in _waiting(blocks, segment, hop):
        heard = np.concatenate([past, waiting[:, : hop + trim]], axis=1)
        own = min(hop, waiting.shape[1])
        padded = np.pad(heard, ((0, 0), (0, segment - heard.shape[1])))
        yield Span(padded, np.ones(own, np.float32), own, trim)
        past = np.concatenate([past, waiting[:, :hop]], axis=1)[:, -trim:]


def msst(blocks: Iterable[Samples], segment: int, hop: int) -> Iterator[Span]:
    """`demix` of Music-Source-Separation-Training at batch 1: short linear fades, none at the song's ends."""
    edge = segment // 10
    rise = np.linspace(0, 1, edge, dtype=np.float32)
    first = True
    for waiting in _waiting(blocks, segment, hop):
        own = min(segment, waiting.shape[1])
        window = np.ones(segment, np.float32)
        if not first:
            window[:edge] *= rise
        if first or waiting.shape[1] > hop:
            window[-edge:] *= rise[::-1]
        missing = ((0, 0), (0, segment - own))
        heard = np.pad(waiting[:, :own], missing, mode="reflect" if own > segment // 2 else "constant")
        yield Span(heard, window[:own], min(hop, own))
        first = False


def msst_htdemucs(blocks: Iterable[Samples], segment: int, hop: int) -> Iterator[Span]:
    """`demix` of Music-Source-Separation-Training for its HTDemucs: a plain mean, zeros after the song's end."""
    for waiting in _waiting(blocks, segment, hop):
        own = min(segment, waiting.shape[1])
        heard = np.pad(waiting[:, :own], ((0, 0), (0, segment - own)))
        yield Span(heard, np.ones(own, np.float32), min(hop, own))


def _waiting(blocks: Iterable[Samples], segment: int, hop: int) -> Iterator[Samples]:
    """At every hop up to the song's very end: the samples from there on, more than a segment while there are."""
    waiting = np.zeros((2, 0), np.float32)
    for piece in gathered(blocks, segment + 1):
        waiting = np.concatenate([waiting, piece], axis=1)
        while waiting.shape[1] > segment:
            yield waiting
            waiting = waiting[:, hop:]
    while waiting.shape[1]:
        yield waiting
        waiting = waiting[:, hop:]


def as_upstream(
    separator: Separator, blocks: Iterable[Samples], manner: Manner, *, overlap: int | None = None
) -> Generator[Samples]:
    """Blocks of a mix [2, n] → blocks of stems as upstream makes them; nothing is done so that they sum to the mix.

    Every sample is heard `overlap` times; as often as the separator's own hop says where that is None.
    """
    hop = separator.segment // overlap if overlap else separator.hop
    border = separator.segment - hop if manner is msst else 0
    edges = _Reflected(border)
    yield from edges.cropped(over_time(separator, edges.around(blocks), manner=manner, hop=hop))


class _Reflected:
    """A song between its own mirrored ends, `border` samples long, unless it is too short for them."""

    def __init__(self, border: int) -> None:
        self._border = border
        self._is_long = False

    def around(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        border = self._border
        if not border:
            yield from blocks
            return
        pieces = gathered(blocks, 2 * border + 1)
        start = next(pieces, np.zeros((2, 0), np.float32))
        self._is_long = start.shape[1] > 2 * border
        if self._is_long:
            yield start[:, border:0:-1]
        yield start
        end = start[:, -border - 1 :]
        for piece in pieces:
            yield piece
            end = np.concatenate([end, piece], axis=1)[:, -border - 1 :]
        if self._is_long:
            yield end[:, -2::-1]

    def cropped(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """Stems without the mirrored ends: `border` samples are held back until it is known that more come."""
        to_drop, held = self._border, None
        for block in blocks:
            if not self._is_long:
                yield block
                continue
            held = block if held is None else np.concatenate([held, block], axis=-1)
            dropped = min(to_drop, held.shape[-1])
            to_drop, held = to_drop - dropped, held[..., dropped:]
            if to_drop == 0 and held.shape[-1] > self._border:
                yield held[..., : -self._border]
                held = held[..., -self._border :]
