"""The loudest part of a song: what a preview is made of, found by one cheap pass over the song."""

from __future__ import annotations

from numbers import Real

import numpy as np

from stemwright.audio.decode import NO_LIMITS, Limits, Song, Source, open_song
from stemwright.errors import BadPreview

STEP_SECONDS = 0.1


def open_excerpt(source: Source, seconds: float, *, rate: int | None = None, limits: Limits = NO_LIMITS) -> Song:
    """The song's loudest `seconds`, as `open_song` opens it; the source is read twice. Raises BadPreview too."""
    refuse_endless(seconds)
    with open_song(source, limits=limits) as whole:
        first, samples = loudest(whole, seconds)
    song = open_song(source, rate=rate, limits=limits)
    song.leave_only(first, samples)
    return song


def refuse_endless(seconds: float) -> None:
    """Raises BadPreview for what no preview can last."""
    if not isinstance(seconds, Real) or not 0 < seconds < float("inf"):  # false for NaN too
        raise BadPreview(seconds=seconds)


def loudest(song: Song, seconds: float) -> tuple[int, int]:
    """The first sample and the length of the `seconds` with the most energy, at the song's own rate."""
    step = max(1, round(song.source_rate * STEP_SECONDS))
    energies, rest = [np.zeros(0)], np.zeros(0, np.float32)
    for block in song.blocks():
        power = np.concatenate([rest, np.square(block).sum(axis=0)])
        whole = len(power) // step * step
        energies.append(power[:whole].reshape(-1, step).sum(axis=1, dtype=np.float64))
        rest = power[whole:]
    energy = np.concatenate([*energies, [rest.sum(dtype=np.float64)]])
    steps = max(1, round(seconds / STEP_SECONDS))
    sums = np.cumsum(np.concatenate([[0.0], energy]))
    heard = sums[steps:] - sums[:-steps] if len(energy) > steps else np.zeros(1)
    return int(np.argmax(heard)) * step, max(1, round(seconds * song.source_rate))
