"""Trees of models over whole songs: whatever their rates, segments and stems, what comes out sums to the song."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toys import Toy, cut, halves, joined, noise, wrong_near_borders

from stemwright.engine.ensemble import BLENDS, Ensemble, Voice, shifted
from stemwright.engine.run import run
from stemwright.engine.separator import Separator
from stemwright.engine.whole import Cascade, Delayed, Model, Node, Passing, Room, Tree
from stemwright.errors import Cancelled

RATE = 8000


def over(separator: Separator) -> Model:
    return Model(separator.stems, lambda blocks, rate: run(separator, blocks(), rate=rate))


def named(*stems: str, **sizes: int) -> Toy:
    """Stems that are plainly wrong: they do not sum to the mix before the engine makes them."""
    return Toy(lambda mix: [mix * (0.1 + n) ** 2 for n in range(len(stems))], stems=stems, **sizes)


def stems_of(node: Node, song: np.ndarray, folder: Path, heard: list[float] | None = None) -> np.ndarray:
    tree = Tree(node, {name: (name,) for name in node.stems})
    told = (lambda fraction: None) if heard is None else heard.append
    blocks = tree.over(cut(song, [1000, 7]), RATE, Passing(folder, told))
    return joined(blocks)


NODES = st.deferred(lambda: MODELS | ENSEMBLES | SHIFTED | CASCADES)
MODELS = st.builds(
    lambda rate, segment: over(named("a", "b", rate=rate, segment=segment, hop=segment // 2)),
    st.sampled_from([8000, 11025, 4000]),
    st.sampled_from([64, 300, 5000]),
)
ENSEMBLES = st.builds(
    lambda one, two, how, weight: Ensemble([Voice(one, {}), Voice(two, {"a": weight})], ("a", "b"), how=how),
    MODELS,
    MODELS | st.just(over(named("b", "z"))),
    st.sampled_from(BLENDS),
    st.floats(0.1, 3),
)
SHIFTED = st.builds(lambda node, count: shifted(node, count, seconds=0.1), MODELS, st.integers(1, 3))
CASCADES = st.builds(
    lambda first, rate: Cascade(first, {"a": over(named("a", "c", "d", rate=rate))}),
    MODELS | ENSEMBLES | SHIFTED,
    st.sampled_from([8000, 6000]),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(node=NODES, samples=st.integers(0, 20_000))
def test_the_stems_of_every_tree_sum_to_the_song(node: Node, samples: int, tmp_path: Path) -> None:
    song = noise(samples)
    if samples:
        stems = stems_of(node, song, tmp_path)
        assert stems.shape == (len(node.stems), 2, samples)
        np.testing.assert_allclose(stems.sum(axis=0), song, atol=2e-6)
    assert not list(tmp_path.iterdir())


def test_a_cascade_takes_a_stem_apart_at_another_rate_and_segment(tmp_path: Path) -> None:
    second = over(Toy(lambda mix: [mix * 0.25, mix * 0.75], stems=("left", "right"), segment=777, hop=500, rate=RATE))
    both = Cascade(over(halves(rate=RATE)), {"low": second})
    assert both.stems == ("left", "right", "high")
    song = noise(9000)
    np.testing.assert_allclose(stems_of(both, song, tmp_path)[1], song * 0.3 * 0.75, atol=1e-4)


def test_one_model_is_open_at_a_time(tmp_path: Path) -> None:
    open_now: list[int] = [0]

    def start(blocks, rate: int) -> Iterator[np.ndarray]:  # type: ignore[no-untyped-def]
        open_now[0] += 1
        assert open_now[0] == 1
        yield from run(halves(rate=RATE), blocks(), rate=rate)
        open_now[0] -= 1

    one = Model(("low", "high"), start)
    stems_of(
        Cascade(Ensemble([Voice(one, {}), Voice(one, {})], one.stems), {"low": over(named("x", "y"))}),
        noise(5000),
        tmp_path,
    )
    assert open_now == [0]


def test_a_mean_is_weighted_for_each_stem(tmp_path: Path) -> None:
    def fixed(low: float) -> Model:
        return over(Toy(lambda mix: [mix * low, mix * (1 - low)], rate=RATE))

    blend = Ensemble([Voice(fixed(0.2), {"low": 3, "high": 3}), Voice(fixed(0.6), {})], ("low", "high"))
    song = noise(4000)
    np.testing.assert_allclose(stems_of(blend, song, tmp_path)[0], song * 0.3, atol=1e-4)


@pytest.mark.parametrize(("how", "expected"), [("median", 0.3), ("min", 0.1), ("max", 0.8)])
def test_a_blend_picks_among_its_members(tmp_path: Path, how: str, expected: float) -> None:
    blend = Ensemble([Voice(over(halves(rate=RATE)), {})] * 3, ("low",), how=how)
    with Room(Passing(tmp_path, lambda _: None), RATE, passes=3) as room:
        answers = [room.kept(["low"], [noise(9000)[None] * level])["low"] for level in (0.1, 0.8, 0.3)]
        heard = joined(blend._blended("low", answers))
    np.testing.assert_allclose(heard, noise(9000) * expected, atol=1e-4)


def test_shifts_average_out_what_depends_on_framing(tmp_path: Path) -> None:
    song = np.ones((2, 8000), np.float32) * 0.5
    net = over(wrong_near_borders(segment=64, hop=64, rate=RATE))

    def ripple(node: Node) -> float:
        stem = stems_of(node, song, tmp_path)[0]
        return float(np.abs(stem - stem.mean()).mean())

    assert ripple(shifted(net, 3, seconds=48 / RATE)) < 0.7 * ripple(net)


def test_a_late_node_answers_on_time(tmp_path: Path) -> None:
    song = noise(5000)
    np.testing.assert_allclose(
        stems_of(Delayed(over(halves(rate=RATE)), 0.1), song, tmp_path)[0], song * 0.3, atol=1e-4
    )


def test_progress_grows_with_every_pass_and_reaches_one(tmp_path: Path) -> None:
    heard: list[float] = []
    tree = Cascade(over(halves(rate=RATE)), {"low": shifted(over(named("x", "y", rate=RATE)), 2)})
    assert tree.passes == 3
    stems_of(tree, noise(9000), tmp_path, heard)
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
    assert any(0.2 < fraction < 0.4 for fraction in heard)


def test_who_hears_of_progress_may_stop_it_and_nothing_is_left(tmp_path: Path) -> None:
    def stop(fraction: float) -> None:
        if fraction > 0.5:
            raise Cancelled

    tree = Tree(over(halves(rate=RATE)), {"all": ("low", "high")})
    with pytest.raises(Cancelled):
        list(tree.over([noise(9000)], RATE, Passing(tmp_path, stop)))
    assert not list(tmp_path.iterdir())


def test_who_keeps_the_error_keeps_no_thread(tmp_path: Path) -> None:
    def stop(fraction: float) -> None:
        if fraction > 0.5:
            raise Cancelled

    tree, before = Tree(over(halves(rate=RATE)), {"all": ("low", "high")}), threading.active_count()
    with pytest.raises(Cancelled) as kept:
        list(tree.over([noise(9000)] * 9, RATE, Passing(tmp_path, stop)))
    assert kept.traceback
    assert threading.active_count() == before


def test_two_parts_cannot_have_one_name() -> None:
    with pytest.raises(ValueError, match="same name"):
        Cascade(over(halves()), {"low": over(named("high", "x"))})
