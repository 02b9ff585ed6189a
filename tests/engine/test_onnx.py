"""Masks on a spectrum: the laws that hold for any graph, and those of the bundled one."""

from dataclasses import replace
from threading import Event
from threading import enumerate as enumerate_threads

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import joined, noise

from stemwright.engine.chunks import over_time
from stemwright.engine.onnx import Analysed, MaskLayout, SpectralMaskSeparator, answer
from stemwright.engine.progress import heeding
from stemwright.engine.spectrum import ROWS, Stft
from stemwright.engine.wrappers import Grouped
from stemwright.errors import Cancelled
from stemwright.zoo.loading import load

SMALL = MaskLayout(
    stems=("a", "b", "c"), rate=8000, stft=Stft(64, 16), frames=9, hop_frames=6, mask_bins=(0, 1, 2, 4, 8, 16)
)

LONG = replace(SMALL, frames=200)


def random_masks(spectrum: np.ndarray) -> np.ndarray:
    """A graph with masks that sum to one, drawn anew for every place but the same at every call."""
    batch, _, frames, _, _ = spectrum.shape
    masks = np.random.default_rng(0).random((3, 2, frames, 6)).astype(np.float32)
    return np.broadcast_to(masks / masks.sum(axis=0), (batch, *masks.shape))


@given(st.sampled_from([(64, 16), (64, 32), (4096, 1024)]), st.integers(2, 9))
@settings(deadline=None)
def test_the_stft_pair_gives_back_the_signal(sizes: tuple[int, int], frames: int) -> None:
    stft = Stft(*sizes)
    signal = noise((frames - 1) * stft.hop)[0]
    rows = stft.inverse(stft.forward(signal), np.empty((frames, stft.n_fft), np.float32))
    back = stft.trimmed(stft.added(np.zeros(stft.span(frames), np.float32), rows, 0)) / stft.weight(frames)
    np.testing.assert_allclose(back, signal, atol=1e-5)


def test_masks_that_sum_to_one_make_stems_that_sum_to_the_mix() -> None:
    separator = SpectralMaskSeparator(random_masks, SMALL)
    mix = np.stack([noise(separator.segment, seed) for seed in range(3)])
    stems = separator(mix)
    assert stems.shape == (3, 3, 2, separator.segment)
    np.testing.assert_allclose(stems.sum(axis=1), mix, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 2])
def test_two_stages_change_only_speed(batch: int) -> None:
    separator = SpectralMaskSeparator(random_masks, SMALL)
    at_once = Grouped(separator, {name: (name,) for name in separator.stems})
    song = noise(5 * separator.segment)
    staged, plain = (joined(over_time(each, [song], batch=batch)) for each in (separator, at_once))
    assert np.array_equal(staged, plain)


def test_the_inverse_stft_is_left_in_the_middle_of_a_stem() -> None:
    separator = SpectralMaskSeparator(random_masks, LONG)
    analysed = separator.analysed(noise(separator.segment)[None])
    asked: list[None] = []
    with heeding(lambda: asked.append(None)):  # pyright: ignore[reportArgumentType]  None is no too
        separator.synthesised(analysed)
    assert len(asked) >= 3 * 2 * LONG.frames / ROWS
    with heeding(lambda: True), pytest.raises(Cancelled):
        separator.synthesised(analysed)
    assert not [thread for thread in enumerate_threads() if thread.name.startswith("istft")]


def test_the_next_span_is_analysed_while_this_one_is_synthesised() -> None:
    second = Event()

    def graph(spectrum: np.ndarray) -> np.ndarray:
        begun.append(spectrum)
        if len(begun) == 2:
            second.set()
        return random_masks(spectrum)

    class Waiting(SpectralMaskSeparator):
        def synthesised(self, analysed: Analysed) -> np.ndarray:
            assert second.wait(10)
            return super().synthesised(analysed)

    begun: list[np.ndarray] = []
    separator = Waiting(graph, SMALL)
    blocks = over_time(separator, [noise(20 * separator.segment)])
    next(blocks)
    blocks.close()
    assert len(begun) == 2  # who leaves early has no more made
    assert not [thread for thread in enumerate_threads() if thread.name.startswith("ahead")]


def test_grouping_masks_is_adding_stems() -> None:
    separator = SpectralMaskSeparator(random_masks, SMALL)
    mix = noise(separator.segment)[None]
    sums = separator.grouped({"ac": ("a", "c"), "b": ("b",)})
    stems = separator(mix)
    assert sums.stems == ("ac", "b")
    np.testing.assert_allclose(sums(mix)[:, 0], stems[:, 0] + stems[:, 2], atol=1e-6)


def test_the_bundled_model_makes_twelve_stems_that_sum_to_the_mix() -> None:
    separator = load()
    mix = noise(separator.segment)[None] * 0.3
    stems = separator(mix)
    assert stems.shape == (1, 12, 2, separator.segment)
    assert 20 * np.log10(np.abs(stems.sum(axis=1) - mix).max()) < -90


def test_the_bundled_model_keeps_silence_silent() -> None:
    separator = load()
    assert np.abs(separator(np.zeros((1, 2, separator.segment), np.float32))).max() == 0


def test_the_bundled_model_does_not_care_how_loud_the_song_is() -> None:
    separator = load()
    mix = noise(separator.segment)[None] * 0.5
    quiet = separator(mix / 64) * 64
    assert 10 * np.log10(np.mean((quiet - separator(mix)) ** 2) / np.mean(mix**2)) < -40


def test_a_graph_is_left_in_its_middle() -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import helper

    number, boolean = onnx.TensorProto.INT64, onnx.TensorProto.BOOL
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still"]), helper.make_node("Add", ["x", "x"], ["y"])],
        "body", [info("turn", number, []), info("on", boolean, []), info("x", number, [1])],
        [info("still", boolean, []), info("y", number, [1])],
    )  # fmt: skip
    turns = helper.make_tensor("turns", number, [], [10**9])
    loop = helper.make_node("Loop", ["turns", "", "given"], ["last"], body=body)
    ends = info("given", number, [1]), info("last", number, [1])
    model = helper.make_model(
        helper.make_graph([loop], "loop", ends[:1], ends[1:], [turns]),
        ir_version=8, opset_imports=[helper.make_opsetid("", 17)],
    )  # fmt: skip
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    asked = iter([False, False])
    with heeding(lambda: next(asked, True)), pytest.raises(Cancelled):
        answer(session, {"given": np.ones(1, np.int64)})  # type: ignore[dict-item]
