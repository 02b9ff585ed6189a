"""The laws of blocks: however a sound is cut, it stays the same sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwright.audio.blocks import even, gathered

lengths, sizes = st.integers(0, 60), st.integers(1, 30)
cuts = st.lists(st.integers(0, 20), min_size=1, max_size=4).filter(any)


def sound(length: int) -> np.ndarray:
    return np.arange(2 * length, dtype=np.float32).reshape(2, length)


def cut(whole: np.ndarray, blocks: list[int]) -> Iterator[np.ndarray]:
    start = 0
    while start < whole.shape[1]:
        for size in blocks:
            yield whole[:, start : start + size]
            start += size


@given(length=lengths, blocks=cuts, least=sizes)
def test_gathering_keeps_every_sample(length: int, blocks: list[int], least: int) -> None:
    pieces = list(gathered(cut(sound(length), blocks), least))
    assert np.array_equal(np.concatenate([sound(0), *pieces], axis=1), sound(length))
    assert all(piece.shape[1] >= least for piece in pieces[:-1])


@given(length=lengths, blocks=cuts, size=sizes)
def test_even_blocks_are_of_one_length_but_for_the_last(length: int, blocks: list[int], size: int) -> None:
    pieces = list(even(cut(sound(length), blocks), size))
    assert np.array_equal(np.concatenate([sound(0), *pieces], axis=1), sound(length))
    assert [piece.shape[1] for piece in pieces] == [size] * (length // size) + [length % size] * (length % size > 0)


@pytest.mark.parametrize("rearranged", [gathered, even])
def test_no_sound_is_no_blocks(rearranged: Callable[..., Iterator[np.ndarray]]) -> None:
    assert list(rearranged([], 5)) == []
