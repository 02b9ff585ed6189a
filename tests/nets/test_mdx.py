"""MDX-Net: the transforms around a graph."""

from __future__ import annotations

import numpy as np
import pytest

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


def test_the_transforms_are_upstreams() -> None:
    """KUIELab's and UVR's are torch.stft and istft with a periodic Hann window, centred on a reflected edge."""
    torch = pytest.importorskip("torch")
    config, seen = MdxConfig(n_fft=6144, bins=2048, frames=32, silent_bins=0), list[Samples]()
    mix = noise(config)
    ours = MdxNet(config, lambda planes: seen.append(planes) or 0.5 * planes)(mix)[:, 0]  # type: ignore[func-returns-value]
    window = torch.hann_window(6144, periodic=True, dtype=torch.float64)
    flat = torch.from_numpy(mix).double().reshape(4, -1)
    spectrum = torch.stft(flat, 6144, 1024, window=window, center=True, return_complex=True)[:, :2048]
    planes = torch.view_as_real(spectrum).permute(0, 3, 1, 2).reshape(2, 4, 2048, 32)
    padded = torch.nn.functional.pad(spectrum * 0.5, (0, 0, 0, 3073 - 2048))
    theirs = torch.istft(padded, 6144, 1024, window=window, center=True).reshape(2, 2, -1)
    for found, expected in ((seen[0], planes.numpy()), (ours, theirs.numpy())):
        assert 10 * np.log10(np.square(expected).sum() / np.square(found - expected).sum()) > 120
