"""The whole recipe: from a seed to songs, to trained weights, to the graph and the card that are shipped."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from stemwright.audio.parts import hold
from stemwright.engine.onnx import SpectralMaskSeparator, open_graph
from stemwright.errors import NoRun, RunBusy
from stemwright.nets.bandsplit import STEMS, BandSplit
from stemwright.train.learning import checkpoints, progress
from stemwright.train.learning.export import Provenance, export
from stemwright.train.learning.graph import read_weights
from stemwright.train.learning.loop import Plan, Row, Trainer, run
from stemwright.train.learning.recipe import Recipe
from stemwright.train.learning.songs import SPLITS, complete_songs, count_recordings, count_taken
from stemwright.train.measuring import evaluate
from stemwright.train.measuring.report import Report, write
from stemwright.zoo import catalog, installed, loading, machine

Step = Callable[[str], None]


@dataclass(frozen=True)
class Course:
    """What a run does otherwise than its recipe says (see `Plan`), on how many processors, and from which weights."""

    device: str = "cpu"
    workers: int = 1
    until: int | None = None
    finish_steps: int | None = None
    start: catalog.Card | None = None


def make(
    recipe: Recipe, folder: Path, course: Course, *, on_row: Callable[[Row], None], on_step: Step = lambda _: None
) -> Path:
    """Composes, trains, measures and exports into `folder`; every part goes on where a kill left it.

    Songs that were taken count among those that the recipe wants; only the others are composed. Returns the folder with
    graph, card, curve and evaluation. Raises NoSuchDevice, OtherRecipe, BadStart and RunBusy before hours of composing,
    and what composing, training and measuring raise.
    """
    from stemwright.train.dataset import compose, lasting_otherwise, lay_recordings

    plan, songs = plan_of(recipe, folder, course), recipe.songs
    machine.refuse(course.device, "the device to train on")
    if plan.checkpoint.exists():
        checkpoints.facts_of(plan.checkpoint, recipe=recipe.fingerprint)
    elif plan.start is not None:
        read_weights(BandSplit(recipe.net), plan.start.weights_path)
    with _alone(plan.run):
        if songs.recordings:
            lay_recordings(folder, on_song=lambda song: on_step(f"train: {song['name']}, recorded"))
        for split in SPLITS:
            seconds = songs.seconds if split == "train" else songs.held_out_seconds
            count = max(0, getattr(songs, split) - count_taken(folder / split))
            told = partial(_told, on_step, split)
            compose(folder, count, seconds, split=split, workers=course.workers, on_song=told)
            if others := lasting_otherwise(folder / split, seconds):
                on_step(f"{split}: {len(others)} songs are not of the recipe's {seconds:g} s; they are kept")
        begun_at = _step_of(plan)
        run(recipe, plan, on_row)
        if _step_of(plan) == begun_at:
            on_step(f"nothing to train: the run has ended at step {begun_at}; --until goes on from there")
        return ship(recipe, plan, folder / "shipped", on_step=on_step)


def _step_of(plan: Plan) -> int:
    return int(checkpoints.facts_of(plan.checkpoint)["step"]) if plan.checkpoint.exists() else 0


def _told(on_step: Step, split: str, song: dict[str, Any]) -> None:
    on_step(f"{split}: {song['id']}, {song['genre']}")


@contextmanager
def _alone(run_folder: Path) -> Iterator[None]:
    """Keeps two runs out of one folder, where each would overwrite the other's checkpoints; raises RunBusy."""
    run_folder.mkdir(parents=True, exist_ok=True)
    with (run_folder / "running").open("wb") as file:
        try:
            hold(file)
        except BlockingIOError:
            raise RunBusy(folder=run_folder) from None
        except OSError:
            pass  # a filesystem without locks
        yield


def plan_of(recipe: Recipe, folder: Path, course: Course | None = None) -> Plan:
    """The run of a recipe in a folder."""
    return Plan(folder, folder / "runs" / recipe.name, **vars(course or Course()))


def ship(recipe: Recipe, plan: Plan, out: Path, *, on_step: Step = lambda _: None) -> Path:
    """Exports the averaged weights of a run, measures them on val and test, and writes the card with the scores.

    Nothing in `out` is touched before all is measured. Raises NoRun, and what measuring raises.
    """
    if not plan.checkpoint.exists():
        raise NoRun(recipe=recipe.name, folder=plan.run)
    trainer = Trainer(recipe, torch.device("cpu"))
    trainer.restore(plan.checkpoint)
    out.mkdir(parents=True, exist_ok=True)
    facts = _made(trainer, plan)
    reports: dict[str, Report] = {}
    with TemporaryDirectory(prefix="unmeasured-", dir=out) as scratch:
        graph, card = Path(scratch) / f"{recipe.name}.onnx", Path(scratch) / f"{recipe.name}.toml"
        export(trainer.average, recipe.name, Provenance(**facts), graph=graph, card=card)
        for split in ("val", "test"):
            on_step(f"measuring {split}")
            reports[split] = evaluate.evaluate(opened(card, graph), plan.data / split, rivals=False)
            reports[split].model = recipe.name
    facts["scores"] = {split: _scores(report) for split, report in reports.items()}
    graph, card = out / f"{recipe.name}.onnx", out / f"{recipe.name}.toml"
    export(trainer.average, recipe.name, Provenance(**facts), graph=graph, card=card)
    for split, report in reports.items():
        write(report, out / recipe.name / split)
    progress.plot(plan.run / "curve.jsonl", out / recipe.name / "curve.png")
    return out


def _made(trainer: Trainer, plan: Plan) -> dict[str, Any]:
    """Where the weights come from, all that a model before them was made of included."""
    recipe, before, recordings = trainer.recipe, trainer.before, count_recordings(plan.data / "train")
    counted = {
        "steps": trainer.step,
        "hours": trainer.seconds / 3600,
        "audio_hours": trainer.step * recipe.batch * recipe.sizes.samples / recipe.net.rate / 3600,
        "songs": len(complete_songs(plan.data / "train")) - recordings,
        "given": count_taken(plan.data / "train"),
    }
    facts: dict[str, Any] = {"recipe": recipe.name, "commit": _commit()}
    facts |= {name: round(count + before.get(name, 0), 2) for name, count in counted.items()}
    facts["recordings"] = max(recordings, before.get("recordings", 0))  # the same ones as before
    facts["heard"] = sorted({*heard(plan.data / "train"), *before.get("heard", ())})
    if before:
        facts["licence"] = before["licence"]
        facts["notes"] = f"Begun with {before['name']}, made by commit {before.get('commit', 'unknown')}."
    return facts


def _scores(report: Report) -> dict[str, float]:
    found = {name: line.summary()["sdr"] for name, line in report.lines.items() if name in STEMS}
    return {name: sdr["model"] for name, sdr in found.items() if "model" in sdr}


def heard(folder: Path) -> list[str]:
    """Name and licence of every source of sound in the songs of a folder. Raises SpoiledSong."""
    used = (source for song in complete_songs(folder) for source in song.read_facts().get("sources", ()))
    return sorted({f"{source['name']}: {source['licence']}" for source in used})


def opened(card: Path, graph: Path) -> SpectralMaskSeparator:
    """A separator from a card and a graph that are not part of the package. Raises BadCard, BadWeights."""
    read = catalog.read(card)
    installed.compare(graph, read.sha256)
    return SpectralMaskSeparator(open_graph(graph), loading.layout(read))


def _commit() -> str:
    """The commit of the source, where it is a checkout of ours and not installed somewhere in another's."""
    here = Path(__file__)
    is_ours = _git("ls-files", here.name, folder=here.parent)
    return (is_ours and _git("rev-parse", "--short=12", "HEAD", folder=here.parent)) or "unknown"


def _git(*words: str, folder: Path) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:  # a machine without git
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
