"""Sound that streams by in blocks [2, n]: the same samples in blocks of other sizes, or at another rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from stemwright.audio.signal import Resampler, Samples

PIECE = 1 << 16
"""Samples of several sounds that are looked at together."""


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


def even(blocks: Iterable[Samples], samples: int = PIECE) -> Iterator[Samples]:
    """The same samples [2, n] in blocks of `samples`; only the last may be shorter."""
    rest = np.zeros((2, 0), np.float32)
    for block in gathered(blocks, samples):
        rest = np.concatenate([rest, block], axis=1)
        while rest.shape[1] >= samples:
            yield rest[:, :samples]
            rest = rest[:, samples:]
    if rest.shape[1]:
        yield rest


def resampled(blocks: Iterable[Samples], from_rate: int, to_rate: int) -> Iterator[Samples]:
    """Blocks [2, n] at one rate → blocks [2, m] at another, through one stream."""
    stream = Resampler(from_rate, to_rate)
    for block in blocks:
        yield stream.push(block)
    yield stream.finish()
