"""Runs a graph that estimates masks: STFT → graph → masks on the mix's spectrum → inverse STFT, on all cores."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.signal import Samples
from stemwright.engine.separator import Groups
from stemwright.engine.spectrum import ROWS, Spectrum, Stft


class Graph(Protocol):
    """Spectrum [batch, 2, frames, bins, (re, im)] → masks [batch, stems, 2, frames, columns] or [..., (re, im)]."""

    def __call__(self, spectrum: Samples, /) -> Samples: ...


@dataclass(frozen=True)
class MaskLayout:
    """The sizes around a mask graph: `mask_bins` holds the first bin that each column of a mask covers."""

    stems: tuple[str, ...]
    rate: int
    stft: Stft
    frames: int
    hop_frames: int
    mask_bins: tuple[int, ...]

    @cached_property
    def columns(self) -> NDArray[np.intp]:
        """The mask column of every bin [bins]."""
        return np.searchsorted(self.mask_bins, np.arange(self.stft.bins), side="right") - 1


def open_graph(path: Path, *, threads: int | None = None) -> Graph:
    """The ONNX graph in a file, on the CPU, by onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A waiting thread that spins takes the core which an inverse STFT or an encoder could use.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(spectrum: Samples) -> Samples:
        return session.run(["masks"], {"spectrum": spectrum})[0]  # pyright: ignore[reportReturnType]

    return run


class SpectralMaskSeparator:
    """A separator whose stems are masks on the mix's spectrum; masks that sum to one give stems that sum to the mix."""

    def __init__(self, graph: Graph, layout: MaskLayout, *, threads: int | None = None) -> None:
        self._graph = graph
        self._layout = layout
        self._stft = layout.stft
        self._sums: tuple[tuple[int, ...], ...] | None = None
        self._threads = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="istft")
        self._weight = 1 / layout.stft.weight(layout.frames)
        self.rate = layout.rate
        self.stems = layout.stems
        self.segment = (layout.frames - 1) * layout.stft.hop
        self.hop = layout.hop_frames * layout.stft.hop

    def grouped(self, groups: Groups) -> SpectralMaskSeparator:
        """The same graph with sums of stems: masks are added, so one inverse STFT makes a whole group."""
        places = {name: place for place, name in enumerate(self._layout.stems)}
        other = SpectralMaskSeparator(self._graph, self._layout)
        other._sums = tuple(tuple(places[name] for name in members) for members in groups.values())
        other.stems = tuple(groups)
        return other

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → stems [batch, stems, 2, segment]."""
        spectrum = self._stft.forward(mix)
        masks = self._graph(spectrum.view(np.float32).reshape(*spectrum.shape, 2))
        stems = np.empty((len(mix), len(self.stems), 2, self.segment), np.float32)
        jobs = np.ndindex(*stems.shape[:3])
        list(self._threads.map(lambda at: self._stem(masks, spectrum, at, stems), jobs))
        return stems

    def _stem(self, masks: Samples, spectrum: Spectrum, at: tuple[int, ...], stems: Samples) -> None:
        """Fills stems[item, stem, channel] [segment]."""
        item, stem, channel = at
        mask = self._mask(masks[item], stem, channel)
        signal = self._masked(mask, spectrum[item, channel])
        np.multiply(self._stft.trimmed(signal), self._weight, out=stems[at])

    def _mask(self, masks: Samples, stem: int, channel: int) -> Samples:
        if self._sums is None:
            return masks[stem, channel]
        return masks[list(self._sums[stem]), channel].sum(axis=0)

    def _masked(self, mask: Samples, spectrum: Spectrum) -> Samples:
        """Mask [frames, columns(, 2)] on a spectrum [frames, bins] → samples [span], windows not yet divided out."""
        frames, bins = spectrum.shape
        signal = np.zeros(self._stft.span(frames), np.float32)
        product = np.empty((ROWS, bins), np.complex64)
        rows = np.empty((ROWS, self._stft.n_fft), np.float32)
        spread = _Spread(self._layout.columns, is_complex=mask.ndim == 3)
        for first in range(0, frames, ROWS):
            part = slice(first, min(first + ROWS, frames))
            count = part.stop - first
            spread.multiply(mask[part], spectrum[part], product[:count])
            self._stft.added(signal, self._stft.inverse(product[:count], rows[:count]), first)
        return signal


class _Spread:
    """Multiplies a spectrum by a mask whose columns cover several bins each."""

    def __init__(self, columns: NDArray[np.intp], *, is_complex: bool) -> None:
        # A real mask is spread over the (re, im) pairs of a spectrum seen as floats: half the work of complex by real.
        self._dtype = np.dtype(np.complex64 if is_complex else np.float32)
        self._columns = columns if is_complex else np.repeat(columns, 2)
        self._wide = np.empty((ROWS, len(self._columns)), self._dtype)

    def multiply(self, mask: Samples, spectrum: Spectrum, product: Spectrum) -> None:
        """Mask [rows, columns] or [rows, columns, 2] · spectrum [rows, bins] → product [rows, bins]."""
        narrow = mask.view(self._dtype).reshape(len(mask), -1)
        wide = np.take(narrow, self._columns, axis=1, out=self._wide[: len(mask)], mode="clip")
        np.multiply(spectrum.view(self._dtype), wide, out=product.view(self._dtype))
