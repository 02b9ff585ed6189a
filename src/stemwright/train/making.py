"""The whole recipe: from a seed to songs, to trained weights, to the graph and the card that are shipped."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from stemwright.engine.onnx import SpectralMaskSeparator, open_graph
from stemwright.nets.bandsplit import STEMS
from stemwright.train import evaluate, progress
from stemwright.train.export import Provenance, export
from stemwright.train.loop import Plan, Row, Trainer, run
from stemwright.train.recipe import Recipe
from stemwright.train.songs import complete_songs
from stemwright.zoo import catalog, loading

Step = Callable[[str], None]


@dataclass(frozen=True)
class Course:
    """What a run does otherwise than its recipe says (see `Plan`), and on how many processors."""

    device: str = "cpu"
    workers: int = 1
    until: int | None = None
    finish_steps: int | None = None


def make(recipe: Recipe, folder: Path, course: Course, *, on_row: Callable[[Row], None]) -> Path:
    """Composes the songs, trains, measures and exports into `folder`; every part goes on where a kill left it.

    Returns the folder with graph, card, curve and evaluation. Raises what composing, training and measuring raise.
    """
    from stemwright.train.dataset import compose

    songs = recipe.songs
    compose(folder, songs.train, songs.seconds, split="train", workers=course.workers)
    for split, count in (("val", songs.val), ("test", songs.test)):
        compose(folder, count, songs.held_out_seconds, split=split, workers=course.workers)
    plan = plan_of(recipe, folder, course)
    run(recipe, plan, on_row)
    return ship(recipe, plan, folder / "shipped")


def plan_of(recipe: Recipe, folder: Path, course: Course | None = None) -> Plan:
    """The run of a recipe in a folder."""
    return Plan(folder, folder / "runs" / recipe.name, **dataclasses.asdict(course or Course()))


def ship(recipe: Recipe, plan: Plan, out: Path, *, on_step: Step = lambda _: None) -> Path:
    """Exports the averaged weights of a run, measures them on val and test, and writes the card with the scores."""
    trainer = Trainer(recipe, torch.device("cpu"))
    trainer.restore(plan.run / "checkpoint.safetensors")
    out.mkdir(parents=True, exist_ok=True)
    graph, card = out / f"{recipe.name}.onnx", out / f"{recipe.name}.toml"
    facts: dict[str, Any] = {
        "recipe": recipe.name,
        "commit": _commit(),
        "steps": trainer.step,
        "hours": round(trainer.seconds / 3600, 2),
        "audio_hours": round(trainer.step * recipe.batch * recipe.sizes.samples / recipe.net.rate / 3600, 2),
        "songs": len(complete_songs(plan.data / "train")),
        "heard": heard(plan.data / "train"),
    }
    export(trainer.average, recipe.name, Provenance(**facts), graph=graph, card=card)
    scores = {}
    for split in ("val", "test"):
        on_step(f"measuring {split}")
        report = evaluate.evaluate(opened(card, graph), plan.data / split, rivals=False)
        evaluate.write(report, out / split)
        scores[split] = {name: line.summary()["sdr"]["model"] for name, line in report.lines.items() if name in STEMS}
    export(trainer.average, recipe.name, Provenance(**facts, scores=scores), graph=graph, card=card)
    progress.plot(plan.run / "curve.jsonl", out / "curve.png")
    return out


def heard(folder: Path) -> list[str]:
    """Name and licence of every source of sound in the songs of a folder."""
    songs = (json.loads((song.folder / "song.json").read_text()) for song in complete_songs(folder))
    return sorted({f"{source['name']}: {source['licence']}" for song in songs for source in song.get("sources", ())})


def opened(card: Path, graph: Path) -> SpectralMaskSeparator:
    """A separator from a card and a graph that are not part of the package. Raises BadCard, BadWeights."""
    read = catalog.read(card)
    loading.verify(graph, read.sha256)
    return SpectralMaskSeparator(open_graph(graph), loading.layout(read))


def _commit() -> str:
    """The commit of the source, where it is a checkout."""
    here = Path(__file__).parent
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
