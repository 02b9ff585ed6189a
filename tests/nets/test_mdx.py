"""MDX-Net: the transforms around a graph."""

from __future__ import annotations

import numpy as np

from stemwright.nets.mdx import MdxConfig, MdxNet, Samples

CONFIG = MdxConfig(n_fft=1024, bins=513, frames=32, hop=256, compensate=1.5, silent_bins=0)


def noise(config: MdxConfig) -> Samples:
    return np.random.default_rng(0).standard_normal((2, 2, config.segment)).astype(np.float32)


def test_a_graph_that_changes_nothing_gives_the_mix_times_its_gain() -> None:
    mix = noise(CONFIG)
    assert np.allclose(MdxNet(CONFIG, lambda planes: planes)(mix)[:, 0], 1.5 * mix, atol=1e-5)


def test_the_graph_sees_channels_real_and_imaginary_parts_of_its_bins() -> None:
    seen: list[Samples] = []
    config = MdxConfig(n_fft=1024, bins=400, frames=32, hop=256)
    MdxNet(config, lambda planes: seen.append(planes) or planes)(noise(config))  # type: ignore[func-returns-value]
    assert seen[0].shape == (2, 4, 400, 32)
    assert not seen[0][:, :, :3].any()
    assert seen[0].dtype == np.float32
