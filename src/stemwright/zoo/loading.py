"""From a model's name to a separator: checks the weights against their card, then opens them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from stemwright.engine.onnx import MaskLayout, SpectralMaskSeparator, open_graph
from stemwright.engine.separator import Separator
from stemwright.engine.spectrum import Stft
from stemwright.engine.threads import after_fork
from stemwright.errors import BadCard
from stemwright.zoo import catalog, installed, machine, networks
from stemwright.zoo.names import known
from stemwright.zoo.recipes import Origins, Recipe


def load(name: str = catalog.BUNDLED, precision: str = "auto") -> Separator:
    """The separator of that name, kept for the next song.

    Raises UnknownModel, UnknownPrecision, NotPulled, BadCard or BadWeights.
    """
    machine.precision(precision)
    card = catalog.ours(name)
    return _kept(name, precision, (card.sha256,) if card else networks.identity(name, precision))


@lru_cache(maxsize=2)
def _kept(name: str, precision: str, _identity: tuple[str, ...]) -> Separator:
    """Opened once for the same weights, in the same precision on the same device."""
    card = catalog.ours(name)
    if card is None:
        return networks.load(name, precision)
    installed.compare(card.weights_path, card.sha256)
    return _opened(card)


def _opened(card: catalog.Card) -> SpectralMaskSeparator:
    """A net of our own; raises BadCard where its graph has another number of stems."""
    try:
        graph = open_graph(card.weights_path, stems=len(card.stems))
    except ValueError as error:
        raise BadCard(path=card.weights_path, reason=error) from error
    return SpectralMaskSeparator(graph, layout(card))


def forget() -> None:
    """Lets go of what was kept for the next song."""
    _kept.cache_clear()


after_fork(forget)


def fresh(name: str, precision: str = "auto") -> Separator:
    """A separator that is let go when nobody holds it: of a recipe's models one is in memory at a time."""
    return load(name) if catalog.ours(name) else networks.load(name, precision)


def setup(name: str, precision: str = "auto", ran: Sequence[tuple[str, str]] = ()) -> tuple[str, str]:
    """The device and the precision that a model begins songs in here, or `ran` in; the bundled graph has one each."""
    return ("cpu", "fp32") if catalog.ours(name) else networks.setup(name, precision, ran)


def offered(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The stems of a model or recipe, and those of them that are experimental, without opening it.

    Raises as `load` does; a recipe's models need not be here.
    """
    match known(name):
        case Recipe(origins=makers):
            return tuple(makers), tuple(leaf for leaf, origins in makers.items() if _doubtful(origins))
        case catalog.Card(stems=stems, experimental=experimental):
            return stems, experimental
    return networks.offered(name), ()


def _doubtful(origins: Origins) -> bool:
    """Whether all that a stem is summed from is experimental in the model that gives it."""
    cards = [(catalog.ours(model), members) for model, members in origins]
    return all(card is not None and set(members) <= set(card.experimental) for card, members in cards)


def try_out(card: catalog.Card) -> None:
    """Runs a net of our own once, on silence; raises BadCard unless its graph goes with the card and gives numbers."""
    try:
        separator = _opened(card)
        stems = separator(np.zeros((1, 2, separator.segment), np.float32))
    except BadCard:
        raise
    except Exception as error:  # onnxruntime's errors have no other common class
        reason = f"its graph does not run with these sizes ({' '.join(str(error).split())[:200]})"
        raise BadCard(path=card.weights_path, reason=reason) from error
    if not np.isfinite(stems).all():
        raise BadCard(path=card.weights_path, reason="its graph answers silence with what are no numbers")


def layout(card: catalog.Card) -> MaskLayout:
    """The sizes around the graph, from its card."""
    return MaskLayout(
        stems=card.stems,
        rate=card.rate,
        stft=Stft(card.stft.n_fft, card.stft.hop, card.stft.window),
        frames=card.segment_frames,
        hop_frames=card.hop_frames,
        mask_bins=card.mask_bins,
    )
