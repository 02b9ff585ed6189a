"""Other projects' ways over time: whole songs as their own inference gave them (bench/parity.py --pin), and edges."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Toy, cut, halves, joined, noise

from stemwright.engine import manners

torch = pytest.importorskip("torch")
sys.path.append(str(Path(__file__).parents[1] / "nets"))

from filled import CASES, filled, tones  # noqa: E402

from stemwright.zoo.networks import NetSeparator  # noqa: E402

PINNED = json.loads((Path(__file__).parent / "upstream_songs.json").read_text())


CHOSEN = ["HTDemucs|14700", "HTDemucs|101429", "BS-RoFormer|14700", "SCNet|101429", "TFC-TDF v3|74188"]


@pytest.mark.parametrize("case", CHOSEN)
def test_whole_songs_give_upstreams_numbers(case: str) -> None:
    name, length = case.split("|")
    config, segment = CASES[name]
    hop = int(0.75 * segment) if name == "HTDemucs" else segment // 2
    separator = NetSeparator(filled(config), tuple("abcd"[: config.stems]), rate=44100, segment=segment, hop=hop)
    blocks = [*cut(tones(int(length))[0].numpy(), [9999])]
    scale = (
        manners.measured(blocks, unbiased=name == "HTDemucs") if name in ("HTDemucs", "SCNet") else manners.Scale(0, 1)
    )
    manner = manners.demucs if name == "HTDemucs" else manners.msst
    found = joined(scale.up(manners.as_upstream(separator, scale.down(blocks), manner)))[:2, 1, ::3001]
    assert np.linalg.norm(found - PINNED[case]) < 1e-5 * np.linalg.norm(PINNED[case])


@given(length=st.integers(1, 90), blocks=st.lists(st.integers(1, 20), min_size=1, max_size=4), hop=st.integers(5, 10))
def test_every_sample_comes_out_once_however_the_song_streams_in(length: int, blocks: list[int], hop: int) -> None:
    song = noise(length)
    for manner in (manners.demucs, manners.msst):
        stems = joined(manners.as_upstream(halves(segment=20, hop=hop), cut(song, blocks), manner))
        assert stems.shape == (2, 2, length)
    np.testing.assert_allclose(stems.sum(axis=0), song, atol=1e-5)


@pytest.mark.parametrize(("samples", "overlap"), [(3, 4), (40, 4), (41, 2), (97, 4), (100, 1)])
def test_an_htdemucs_of_msst_is_a_plain_mean_over_spans(samples: int, overlap: int) -> None:
    """As its `demix` for htdemucs: spans every segment // overlap up to the song's end, zeros behind it, no fades."""
    segment, song = 40, noise(samples)
    total, count = np.zeros((2, 2, samples)), np.zeros(samples)
    net = lambda mix: [mix * np.arange(segment), np.cumsum(mix, axis=-1)]  # noqa: E731
    for start in range(0, samples, segment // overlap):
        part = song[:, start : start + segment]
        stems = np.stack(net(np.pad(part, ((0, 0), (0, segment - part.shape[1])))))
        total[..., start : start + segment] += stems[..., : part.shape[1]]
        count[start : start + segment] += 1
    separator = Toy(lambda mix: list(net(mix)), segment=segment, hop=30)
    found = manners.as_upstream(separator, cut(song, [7, 30]), manners.msst_htdemucs, overlap=overlap)
    np.testing.assert_allclose(joined(found), total / count, rtol=1e-4, atol=1e-4)


def test_a_songs_measure_is_its_mono_mixs() -> None:
    song = noise(1000) + 0.5
    mono = song.mean(axis=0)
    biased, unbiased = (manners.measured(cut(song, [7]), unbiased=each) for each in (False, True))
    assert biased.mean == pytest.approx(mono.mean(), abs=1e-6)
    assert biased.deviation == pytest.approx(mono.std(), rel=1e-5)
    assert unbiased.deviation == pytest.approx(mono.std(ddof=1), rel=1e-5)


@pytest.mark.parametrize("samples", [1, 299, 300, 301, 900, 1777])
def test_mdx_nets_spans_are_put_side_by_side(samples: int) -> None:
    """As KUIELab's demix: the song between zeros, spans of `segment` every `hop`, their middles one after another."""
    segment, hop, trim = 500, 300, 100

    def net(mix: np.ndarray) -> np.ndarray:
        return np.stack([np.cumsum(mix, axis=2), mix * np.arange(segment)], axis=1).astype(np.float32)

    song = noise(samples)
    after = hop - samples % hop
    padded = np.pad(song, ((0, 0), (trim, after + trim)))
    spans = [net(padded[None, :, at : at + segment])[0][..., trim:-trim] for at in range(0, samples + after, hop)]
    expected = np.concatenate(spans, axis=-1)[..., :samples]
    separator = Toy(lambda mix: list(net(mix).swapaxes(0, 1)), segment=segment, hop=hop)
    found = joined(manners.as_upstream(separator, cut(song, [7, 400]), manners.mdx))
    np.testing.assert_allclose(found, expected, atol=1e-4)
