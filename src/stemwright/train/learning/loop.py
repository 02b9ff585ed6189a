"""Trains the net: one loop for CPU and GPU, which goes on at its last checkpoint after any kill."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon

from stemwright.errors import Diverged
from stemwright.nets.bandsplit import BandSplit
from stemwright.train.learning import checkpoints, progress
from stemwright.train.learning.feeder import Feed, batches
from stemwright.train.learning.graph import read_weights
from stemwright.train.learning.losses import separation_loss
from stemwright.train.learning.recipe import Recipe
from stemwright.train.learning.targets import Targets
from stemwright.zoo import catalog, machine

CHECKED_FRAMES = 215  # 10 s of each song that is measured
Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """Where a run lives and how often it saves and measures; none of it changes the weights but the last three.

    `until` is the step at which the run ends in place of the recipe's, also beyond it: a run that has ended goes on
    with its rates risen anew. Over the `finish_steps` before it the rates fall to zero. A new run begins with the
    weights of `start`, where one is given.
    """

    data: Path
    run: Path
    device: str = "cpu"
    save_every: int = 100
    check_every: int = 400
    checked_songs: int = 12
    stop_at: int | None = None
    workers: int = 1
    until: int | None = None
    finish_steps: int | None = None
    start: catalog.Card | None = None

    @property
    def checkpoint(self) -> Path:
        """All that the run needs to go on."""
        return self.run / "checkpoint.safetensors"


class Trainer:
    """Net, average and optimisers, and the step they are at."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.net = BandSplit(recipe.net).to(device)
        self.average = copy.deepcopy(self.net).requires_grad_(requires_grad=False)
        self.muon, self.adamw = optimisers(self.net, recipe)
        self.step, self.seconds, self.songs = 0, 0.0, 0
        self.begin, self.finish = 0, (recipe.steps - recipe.finish_steps, recipe.steps)
        self.before: dict[str, Any] = {}

    def begin_with(self, model: catalog.Card) -> None:
        """Takes the weights of a model, and what its card says of how it was made. Raises BadStart."""
        read_weights(self.net, model.weights_path)
        self.average.load_state_dict(self.net.state_dict())
        self.before = {"name": model.name, "licence": model.licence, **model.made_by}

    @property
    def parts(self) -> checkpoints.Parts:
        """What a checkpoint holds."""
        return {"net": self.net, "average": self.average, "muon": self.muon, "adamw": self.adamw}

    def train(self, targets: dict[str, Tensor]) -> float:
        """One step; returns its loss."""
        recipe = self.recipe
        for optimiser, rate in ((self.muon, recipe.rates.muon), (self.adamw, recipe.rates.adamw)):
            for group in optimiser.param_groups:
                group["lr"] = rate * self.rate()
        with torch.autocast(self.device.type, torch.bfloat16):
            logits = self.net.logits(progress.zone_features(targets["features"], self.net))
        loss = separation_loss(logits, recipe.net.zones, targets)
        loss.backward()
        value, slope = loss.item(), nn.utils.clip_grad_norm_(self.net.parameters(), recipe.rates.clip).item()
        if not math.isfinite(value + slope):  # before a weight is touched, and saved
            raise Diverged(step=self.step, loss=value, slope=slope)
        for optimiser in (self.muon, self.adamw):
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self._move_average()
        self.step += 1
        return value

    def rate(self) -> float:
        """Share of the learning rates at this step: a short rise, constant, a fall to zero at the end."""
        start, end = self.finish
        rise = min(1.0, (self.step - self.begin + 1) / self.recipe.rates.warmup_steps)
        return rise * min(1.0, max(0.0, (end - self.step) / max(end - start, 1)))

    def aim(self, until: int, finish_steps: int) -> None:
        """Plans the end of the run; where it had already ended, the rates rise anew. Doing so twice changes nothing."""
        if self.step >= self.finish[1] and until > self.step:
            self.begin = self.step
        self.finish = (until - finish_steps, until)

    def _move_average(self) -> None:
        # Early on the average must not remember the random start.
        decay = min(self.recipe.rates.ema, (1 + self.step) / (10 + self.step))
        for mean, now in zip(self.average.parameters(), self.net.parameters(), strict=True):
            mean.lerp_(now.detach(), 1 - decay)

    def save(self, path: Path) -> None:
        """Writes the checkpoint."""
        facts = {"step": self.step, "seconds": self.seconds, "songs": self.songs}
        facts |= {"begin": self.begin, "finish": self.finish, "length": self._length, "before": self.before}
        checkpoints.save(path, self.parts, facts | {"recipe": self.recipe.fingerprint})

    def restore(self, path: Path) -> None:
        """Goes on where a checkpoint ends. Raises OtherRecipe, BadCheckpoint."""
        facts = checkpoints.facts_of(path, recipe=self.recipe.fingerprint)
        checkpoints.load(path, self.parts)
        self.step, self.seconds, self.songs = facts["step"], facts["seconds"], facts["songs"]
        self.begin, self.finish = facts.get("begin", 0), tuple(facts["finish"])
        self.before = facts.get("before", {})
        recipe_is_longer = self.step >= self.finish[1] and self.recipe.steps > self.step
        if recipe_is_longer or tuple(facts.get("length", self._length)) != self._length:
            self.aim(*self._length)

    @property
    def _length(self) -> tuple[int, int]:
        return self.recipe.steps, self.recipe.finish_steps


def optimisers(net: BandSplit, recipe: Recipe) -> tuple[Muon, AdamW]:
    """Muon (Jordan et al. 2024) for the matrices of the body, AdamW for the rest: LSTMs, bands, norms, biases."""
    named = list(net.named_parameters())
    body = [p for name, p in named if p.ndim == 2 and "lstm" not in name]
    other = [p for name, p in named if p.ndim > 1 and not (p.ndim == 2 and "lstm" not in name)]
    plain = [p for _, p in named if p.ndim < 2 or p.shape[1] == 1]
    other = [p for p in other if all(p is not q for q in plain)]
    groups = [{"params": other}, {"params": plain, "weight_decay": 0.0}]
    adamw = AdamW(groups, lr=recipe.rates.adamw, betas=(0.9, 0.98), weight_decay=0.01)
    return Muon(body, lr=recipe.rates.muon, momentum=0.95, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"), adamw


def run(recipe: Recipe, plan: Plan, on_row: Callable[[Row], None] = lambda _: None) -> BandSplit:
    """Trains to the end of the recipe (or of the plan) and returns the averaged net; `on_row` sees the curve grow."""
    machine.keep_pages()
    trainer = Trainer(recipe, torch.device(plan.device))
    if plan.checkpoint.exists():
        trainer.restore(plan.checkpoint)
    elif plan.start is not None:
        trainer.begin_with(plan.start)
    if plan.until is not None:
        trainer.aim(plan.until, recipe.finish_steps if plan.finish_steps is None else plan.finish_steps)
    plan.run.mkdir(parents=True, exist_ok=True)
    end = min(trainer.finish[1], plan.stop_at or trainer.finish[1])
    feed = Feed(plan.data / "train", recipe.sizes, recipe.net, recipe.seed, plan.workers)
    with _cores_left_to(plan.workers), batches(feed, trainer.step) as stream:
        _steps(trainer, plan, stream, end, on_row)
    trainer.save(plan.checkpoint)
    return trainer.average


@contextmanager
def _cores_left_to(workers: int) -> Iterator[None]:
    """Leaves the workers a core each: threads that meet after every operation wait for one whose core is taken.

    On two cores the step is then as fast, and beside other work many times faster. numba, where it starts its threads,
    sets the number that torch goes by, so that it comes first.
    """
    before, threads = (numba.get_num_threads(), torch.get_num_threads()), max(1, machine.cores() - workers)
    numba.set_num_threads(threads)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        numba.set_num_threads(before[0])
        torch.set_num_threads(before[1])


def _steps(trainer: Trainer, plan: Plan, stream: Iterator[Targets], end: int, on_row: Callable[[Row], None]) -> None:
    sizes = progress.Sizes(1, CHECKED_FRAMES, trainer.recipe.net.n_fft, trainer.recipe.net.hop)
    stretches = {
        s: progress.items(plan.data / s, sizes, trainer.recipe.net, limit=plan.checked_songs) for s in ("val", "test")
    }
    losses: list[float] = []
    while trainer.step < end:
        started = time.monotonic()
        losses.append(trainer.train(to_torch(next(stream), trainer.device)))
        trainer.seconds += time.monotonic() - started
        if trainer.step % plan.save_every == 0:
            trainer.save(plan.checkpoint)
        if trainer.step % 50 == 0 or trainer.step == end:
            row: Row = {"step": trainer.step, "seconds": round(trainer.seconds, 1), "loss": sum(losses) / len(losses)}
            row["rate"] = trainer.rate()
            if trainer.step % plan.check_every == 0 or trainer.step == end:
                row |= {name: progress.measure(trainer.average, s, trainer.device) for name, s in stretches.items()}
                losses.clear()
            progress.append(plan.run / "curve.jsonl", row)
            on_row(row)


def to_torch(targets: Targets, device: torch.device) -> dict[str, Tensor]:
    """The arrays of a batch as tensors; on the CPU they share its memory."""
    return {name: torch.from_numpy(array).to(device) for name, array in vars(targets).items()}
