"""Runs a graph that estimates masks: STFT → graph → Wiener filter on the mix → inverse STFT, on all cores."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

import numpy as np

from stemwright.audio.signal import Samples
from stemwright.engine.channels import matched
from stemwright.engine.progress import go_on
from stemwright.engine.separator import Groups
from stemwright.engine.spectrum import ROWS, Spectrum, Stft
from stemwright.engine.threads import Threads, after_fork, awaited, cores
from stemwright.engine.width import widened
from stemwright.engine.wiener import Columns, Sums, Wiener

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class Graph(Protocol):
    """Spectrum [batch, 2, frames, bins, (re, im)] → masks [batch, stems, 2, frames, columns]."""

    def __call__(self, spectrum: Samples, /) -> Samples: ...


Analysed = tuple[Samples, Spectrum]
"""Masks [batch, stems, 2, frames, columns] and the spectrum [batch, 2, frames, bins] they belong to."""


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
    def columns(self) -> Columns:
        """Which column of a mask each bin has."""
        return Columns(self.mask_bins, self.stft.bins)


def open_graph(path: Path, *, stems: int | None = None) -> Graph:
    """The ONNX graph in a file, on the CPU, by onnxruntime; raises ValueError unless it has masks for so many stems."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A waiting thread that spins takes the core which an inverse STFT or an encoder could use.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = session_of(path, options)
    masks = session.get_outputs()[0].shape[1:2]
    if stems is not None and masks != [stems]:  # one too many would be left out of every sum, without a word
        raise ValueError(f"it has masks for {masks[0] if masks else 'no'} stems, and the card has {stems}")

    return lambda spectrum: answer(session, {"spectrum": spectrum})


_SESSIONS: WeakSet[InferenceSession] = WeakSet()


def session_of(graph: Path | bytes, options: Any = None) -> InferenceSession:
    """A graph on the CPU; a process that is forked off never ends it: its end would wait for threads that stayed here.

    One that is given as its bytes cannot make it open other files.
    """
    from onnxruntime import InferenceSession

    session = InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    _SESSIONS.add(session)
    return session


def _never_end() -> None:
    """Not even Python's collector of garbage may end them."""
    for session in _SESSIONS:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


after_fork(_never_end)


def answer(session: InferenceSession, given: dict[str, Samples]) -> Samples:
    """The first output of a graph, which stops within itself where `go_on` says so, or an interrupt."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    with Threads(1, "graph") as thread:
        try:
            return awaited(thread.submit(session.run, None, given, options))[0]  # pyright: ignore[reportReturnType]
        except BaseException:
            options.terminate = True
            raise


class SpectralMaskSeparator:
    """A separator whose stems are masks on the mix's spectrum; masks that sum to one give stems that sum to the mix."""

    def __init__(self, graph: Graph, layout: MaskLayout) -> None:
        self._graph = graph
        self._layout = layout
        self._stft = layout.stft
        self._sums: Sums | None = None
        self._weight = 1 / layout.stft.weight(layout.frames)
        self.rate = layout.rate
        self.stems = layout.stems
        self.segment = (layout.frames - 1) * layout.stft.hop
        self.hop = layout.hop_frames * layout.stft.hop

    def grouped(self, groups: Groups) -> SpectralMaskSeparator:
        """The same graph with sums of stems: one inverse STFT makes a whole group."""
        places = {name: place for place, name in enumerate(self._layout.stems)}
        other = SpectralMaskSeparator(self._graph, self._layout)
        other._sums = tuple(tuple(places[name] for name in members) for members in groups.values())
        other.stems = tuple(groups)
        return other

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → stems [batch, stems, 2, segment]."""
        return self.synthesised(self.analysed(mix))

    def analysed(self, mix: Samples) -> Analysed:
        """Mix [batch, 2, segment] → its spectrum and the masks of all stems."""
        spectrum = self._stft.forward(mix)
        heard = widened(matched(spectrum, self.rate))
        return self._graph(heard.view(np.float32).reshape(*heard.shape, 2)), spectrum

    def synthesised(self, analysed: Analysed) -> Samples:
        """Masks and spectrum → stems [batch, stems, 2, segment]."""
        filters = [Wiener(*each, self._layout.columns, self._sums) for each in zip(*analysed, strict=True)]
        stems = np.empty((len(filters), len(self.stems), 2, self.segment), np.float32)
        with Threads(cores(), "istft") as threads:
            under_way = [threads.submit(self._stem, filters[at[0]], at, stems) for at in np.ndindex(*stems.shape[:3])]
            for each in under_way:
                awaited(each)
        return stems

    def _stem(self, wiener: Wiener, at: tuple[int, ...], stems: Samples) -> None:
        """Fills stems[item, stem, channel] [segment]."""
        signal = np.zeros(self._stft.span(self._layout.frames), np.float32)
        frames = np.empty((ROWS, self._stft.n_fft), np.float32)
        for rows, block in wiener.blocks(at[1], at[2]):
            go_on()
            self._stft.added(signal, self._stft.inverse(block, frames[: len(block)]), rows.start)
        np.multiply(self._stft.trimmed(signal), self._weight, out=stems[at])
