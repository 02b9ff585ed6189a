"""The laws of the one loop over time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from toys import cut, halves, joined, noise, wrong_near_borders

from stemwright.engine.chunks import fade, over_time

lengths = st.integers(1, 60)
segments = st.integers(1, 16)
cuts = st.lists(st.integers(1, 20), min_size=1, max_size=4)


@st.composite
def sizes(draw: st.DrawFn) -> dict[str, int]:
    segment = draw(segments)
    return {"segment": segment, "hop": draw(st.integers(1, segment))}


@given(segment=segments)
def test_the_fade_is_symmetric_and_never_reaches_zero(segment: int) -> None:
    assert fade(segment).min() > 0
    assert np.array_equal(fade(segment), fade(segment)[::-1])


@given(length=lengths, size=sizes(), blocks=cuts)
def test_the_identity_gives_back_the_song_to_the_sample(length: int, size: dict[str, int], blocks: list[int]) -> None:
    song = noise(length)
    stems = joined(over_time(halves(**size), cut(song, blocks)))
    assert stems.shape == (2, 2, length)
    np.testing.assert_allclose(stems.sum(axis=0), song, atol=1e-6)


@given(length=lengths, size=sizes(), batch=st.integers(1, 8))
def test_batch_changes_only_speed(length: int, size: dict[str, int], batch: int) -> None:
    song = noise(length)
    one, many = (joined(over_time(wrong_near_borders(**size), [song], batch=n)) for n in (1, batch))
    assert np.array_equal(one, many)


@given(length=lengths, size=sizes(), blocks=cuts)
def test_how_the_song_streams_in_does_not_matter(length: int, size: dict[str, int], blocks: list[int]) -> None:
    song = noise(length)
    net = wrong_near_borders(**size)
    assert np.array_equal(joined(over_time(net, [song])), joined(over_time(net, cut(song, blocks))))


@given(length=lengths, size=sizes())
def test_the_net_runs_as_often_as_it_takes_to_cover_the_song(length: int, size: dict[str, int]) -> None:
    net = halves(**size)
    joined(over_time(net, [noise(length)]))
    assert sum(net.batches) == 1 + max(0, -(-(length - size["segment"]) // size["hop"]))


def test_blocks_are_finished_while_the_song_still_streams_in() -> None:
    arrived = 0

    def song():
        nonlocal arrived
        for _ in range(100):
            arrived += 1
            yield noise(10)

    first = next(over_time(halves(), song()))
    assert first.shape[-1] == halves().hop
    assert arrived == 1


def test_no_song_is_no_blocks() -> None:
    assert list(over_time(halves(), [])) == []
