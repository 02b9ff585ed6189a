"""Turns trained weights into what the package ships: an ONNX graph and the card that describes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stemwright.nets.bandsplit import STEMS, BandSplit
from stemwright.train.learning.graph import band_split_graph

USEFUL_DB = 1.5  # a stem whose median 1-s SDR on unseen sounds is below this is called experimental
# Longer than the training's examples: the LSTM gains by context; the overlap of about a second hides the edges.
SEGMENT_FRAMES, HOP_FRAMES = 173, 150

OURS = "trained by this project on music it synthesizes; see docs/decisions"
RECORDED_TOO = "trained by this project on music it synthesizes and on recordings without voices; see docs/decisions"
GIVEN = "trained on songs that its user gave; made_by says on what else"
NOT_CLEARED = "not cleared: who passes it on answers for the songs that its user gave"

Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Provenance:
    """Where weights come from: what a reader of the card needs to make them again.

    Of the `songs`, `given` are its user's; the others were composed. `recordings` are counted apart.
    """

    recipe: str
    commit: str
    steps: int = 0
    hours: float = 0.0
    audio_hours: float = 0.0
    songs: int = 0
    given: int = 0
    recordings: int = 0
    notes: str = ""
    heard: Sequence[str] = ()
    licence: str = "MIT"
    scores: Scores = field(default_factory=dict)


def export(net: BandSplit, name: str, made_by: Provenance, *, graph: Path, card: Path) -> str:
    """Writes graph and card and returns the graph's sha256; neither file is touched until both are complete."""
    content = band_split_graph(net).SerializeToString()
    digest = hashlib.sha256(content).hexdigest()
    text = card_text(net, name, made_by, weights=graph.name, sha256=digest)
    _replace(graph, content)
    _replace(card, text.encode())
    return digest


def card_text(net: BandSplit, name: str, made_by: Provenance, *, weights: str, sha256: str) -> str:
    """The card as TOML."""
    c = net.config
    unseen = made_by.scores.get("test", {})
    weak = [stem for stem in STEMS if unseen.get(stem, 0.0) < USEFUL_DB]
    facts: dict[str, object] = {
        "name": name,
        "architecture": "bandsplit",
        "format": "onnx",
        "weights": weights,
        "sha256": sha256,
        "licence": _licence(made_by),
        "source": _source(made_by),
        "rate": c.rate,
        "stems": list(STEMS),
        "experimental": weak,
        "segment_frames": SEGMENT_FRAMES,
        "hop_frames": HOP_FRAMES,
        "mask_bins": list(c.first_bins),  # the first STFT bin of every column of the masks
    }
    stft = {"n_fft": c.n_fft, "hop": c.hop, "window": "sine", "center": True, "pad": "constant"}
    known = ("recipe", "commit", "steps", "hours", "audio_hours", "songs", "given", "recordings", "heard", "notes")
    made = {key: getattr(made_by, key) for key in known}
    tables: dict[str, Mapping[str, object]] = {"stft": stft, "made_by": made}
    tables |= {f"scores.{split}": values for split, values in made_by.scores.items()}
    blocks = [_lines(facts), *(f"[{title}]\n{_lines(table)}" for title, table in tables.items())]
    return "\n\n".join(blocks) + "\n"


def _source(made_by: Provenance) -> str:
    if made_by.given:
        return GIVEN
    return RECORDED_TOO if made_by.recordings else OURS


def _licence(made_by: Provenance) -> str:
    """That of what was composed holds for the weights only where nothing else taught them."""
    is_said = not made_by.given or made_by.licence.startswith(NOT_CLEARED)
    return made_by.licence if is_said else f"{NOT_CLEARED}; all else {made_by.licence}"


def _lines(table: Mapping[str, object]) -> str:
    # JSON writes strings, numbers, booleans and lists of them as TOML does.
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
