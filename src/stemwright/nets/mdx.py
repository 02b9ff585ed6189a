"""MDX-Net (arXiv 2111.12203) as ONNX graphs: spectrum in, spectrum out; the transforms around the graph, in numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Graph = Callable[[Samples], Samples]


@dataclass(frozen=True)
class MdxConfig:
    """Sizes of an MDX-Net; they are not in the graph's file but in tables kept beside it.

    `bins` of the spectrum and `frames` of a chunk are what the graph takes; `compensate` is the gain its stem lacks.
    `silent_bins` at the bottom are set to zero, as those who run these graphs do.
    """

    n_fft: int
    bins: int
    frames: int
    hop: int = 1024
    compensate: float = 1.0
    silent_bins: int = 3

    @property
    def segment(self) -> int:
        """Samples of one chunk."""
        return self.hop * (self.frames - 1)


class MdxNet:
    """mix [b, 2, segment] → the graph's stem [b, 1, 2, segment]; follows KUIELab's and UVR's code."""

    def __init__(self, config: MdxConfig, graph: Graph) -> None:
        self.config = config
        self._graph = graph
        phase = 2 * np.pi * np.arange(config.n_fft) / config.n_fft
        self._window = (0.5 - 0.5 * np.cos(phase)).astype(np.float32)

    def __call__(self, mix: Samples) -> Samples:
        planes = self._planes(mix)
        planes[:, :, : self.config.silent_bins] = 0
        return self._audio(self._graph(planes))[:, None] * np.float32(self.config.compensate)

    def _planes(self, mix: Samples) -> Samples:
        """[b, 2, segment] → [b, (channel, re/im), bins, frames], centred on a reflected edge."""
        config, half = self.config, self.config.n_fft // 2
        padded = np.pad(mix, ((0, 0), (0, 0), (half, half)), mode="reflect")
        views = np.lib.stride_tricks.sliding_window_view(padded, config.n_fft, axis=-1)[:, :, :: config.hop]
        spectrum = np.fft.rfft(views * self._window, axis=-1)[..., : config.bins].swapaxes(-1, -2)
        planes = np.stack([spectrum.real, spectrum.imag], axis=2).astype(np.float32)
        return planes.reshape(len(mix), 4, config.bins, -1)

    def _audio(self, planes: Samples) -> Samples:
        """[b, (channel, re/im), bins, frames] → [b, 2, segment]."""
        config, half = self.config, self.config.n_fft // 2
        pairs = planes.reshape(len(planes), 2, 2, config.bins, -1).swapaxes(-1, -2)
        spectrum = np.zeros((*pairs.shape[:2], pairs.shape[-2], half + 1), np.complex64)
        spectrum[..., : config.bins] = pairs[:, :, 0] + 1j * pairs[:, :, 1]
        frames = np.fft.irfft(spectrum, config.n_fft, axis=-1).astype(np.float32) * self._window
        total = np.zeros((*frames.shape[:2], config.n_fft + config.hop * (frames.shape[-2] - 1)), np.float32)
        weight = np.zeros(total.shape[-1], np.float32)
        for index in range(frames.shape[-2]):
            start = index * config.hop
            total[..., start : start + config.n_fft] += frames[:, :, index]
            weight[start : start + config.n_fft] += self._window**2
        kept = slice(half, half + config.segment)
        return total[..., kept] / weight[kept]
