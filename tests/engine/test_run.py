"""A whole song through a separator, at any rate, in a pipeline."""

import threading
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import Toy, cut, halves, joined, noise

from stemwright.engine.ahead import ahead
from stemwright.engine.progress import go_on, heeding
from stemwright.engine.rates import Tap
from stemwright.engine.run import run
from stemwright.errors import Cancelled

LOSSY = {"segment": 4096, "hop": 3000}


def half_lost(mix: np.ndarray) -> list[np.ndarray]:
    return [mix * 0.3, mix * 0.2]


@settings(deadline=None, max_examples=25)
@given(length=st.integers(1, 20000), rate=st.sampled_from([22050, 44100, 48000, 96000]))
def test_stems_have_the_songs_length_and_sum_to_it_at_any_rate(length: int, rate: int) -> None:
    song = noise(length) * 0.5
    stems = joined(run(Toy(half_lost, **LOSSY), cut(song, [5000]), rate=rate))
    assert stems.shape == (2, 2, length)
    assert 20 * np.log10(np.abs(stems.sum(axis=0) - song).max() + 1e-12) < -90


def test_nothing_shifts_between_rates() -> None:
    rate, n = 48000, 48000
    song = np.tile(np.sin(2 * np.pi * 440 * np.arange(n) / rate), (2, 1)).astype(np.float32)
    stems = joined(run(halves(segment=16384, hop=12000), [song], rate=rate))
    np.testing.assert_allclose(stems[0, :, 500:-500], 0.3 * song[:, 500:-500], atol=2e-4)


def test_an_error_of_the_song_reaches_the_caller() -> None:
    def broken():
        yield noise(1000)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        joined(run(halves(), broken()))


def test_leaving_early_stops_the_decoder_and_the_net() -> None:
    made = 0

    def endless():
        nonlocal made
        while True:
            made += 1
            yield noise(44100)

    blocks = run(halves(segment=44100, hop=44100), endless())
    next(blocks)
    blocks.close()
    reached = made
    assert reached < 12
    assert not [t for t in threading.enumerate() if t.name.startswith("ahead") and t.is_alive()]
    assert made == reached


def for_ever(mix: np.ndarray) -> list[np.ndarray]:
    """A net that nobody wants to wait for."""
    for _ in range(10**8):
        go_on()
    raise AssertionError(len(mix))


@pytest.mark.parametrize("ends", [KeyboardInterrupt, GeneratorExit])
def test_who_leaves_does_not_wait_for_what_is_under_way(ends: type[BaseException]) -> None:
    closed = threading.Event()

    def song():
        try:
            while True:
                yield noise(1000)
        finally:
            closed.set()

    with pytest.raises(ends), closing(ahead(song())) as mix, closing(ahead(map(for_ever, mix))):
        raise ends
    with closing(ahead(ahead(song()))) as mix:
        next(mix)
    assert closed.is_set()


def test_what_asks_whether_it_shall_stop_is_heard_within_a_segment() -> None:
    asked = iter([False] * 50)
    with heeding(lambda: next(asked, True)), pytest.raises(Cancelled):
        joined(run(Toy(for_ever, **LOSSY), [noise(10000)]))
    go_on()


def test_an_interrupt_into_the_start_of_a_thread_leaves_nobody_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool does not know of such a thread."""
    begun, ended, start = threading.Event(), threading.Event(), threading.Thread.start

    def endless() -> Iterator[int]:
        try:
            begun.set()
            while True:
                go_on()
                yield from ()
        finally:
            ended.set()

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        begun.wait()
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(ahead(endless()))
    assert ended.is_set()


@given(st.lists(st.integers(), max_size=20))
def test_ahead_changes_nothing_but_time(items: list[int]) -> None:
    assert list(ahead(items)) == items


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.lists(st.integers(0, 12), max_size=12))
def test_a_tap_gives_everything_back_in_order(sizes: list[int], takes: list[int]) -> None:
    song = noise(sum(sizes))
    tap = Tap(cut(song, sizes))
    list(tap)
    taken = [tap.take(n) for n in takes] + [tap.take()]
    assert np.array_equal(joined(taken), song)
