"""Separators small enough to reason about, and songs cut into blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Toy:
    """A separator whose stems are a function of the mix [batch, 2, segment]."""

    make: Callable[[np.ndarray], list[np.ndarray]]
    segment: int = 8
    hop: int = 5
    rate: int = 44100
    stems: tuple[str, ...] = ("low", "high")
    batches: list[int] = field(default_factory=list)

    def __call__(self, mix: np.ndarray) -> np.ndarray:
        assert mix.shape[1:] == (2, self.segment)
        self.batches.append(len(mix))
        return np.stack(self.make(mix), axis=1).astype(np.float32)


def halves(**sizes: int) -> Toy:
    """Two stems: 30 % and 70 % of the mix. Whatever the cutting, they sum to it."""
    return Toy(lambda mix: [mix * 0.3, mix * 0.7], **sizes)  # type: ignore[arg-type]


def wrong_near_borders(**sizes: int) -> Toy:
    """Its error grows towards the ends of a segment, as that of real nets does."""

    def make(mix: np.ndarray) -> list[np.ndarray]:
        error = 1 + np.abs(np.linspace(-1, 1, mix.shape[2]))
        return [mix * error, mix * (1 - error)]

    return Toy(make, **sizes)  # type: ignore[arg-type]


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (2, samples)).astype(np.float32)


def cut(song: np.ndarray, sizes: Iterable[int]) -> Iterator[np.ndarray]:
    """The song in blocks of these sizes, over and over."""
    start, sizes = 0, list(sizes) or [1]
    while start < song.shape[1]:
        for size in sizes:
            if start < song.shape[1]:
                yield song[:, start : start + size]
            start += size


def joined(blocks: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(blocks), axis=-1)
