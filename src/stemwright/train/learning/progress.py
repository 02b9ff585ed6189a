"""The metrics written while training: median 1-s SDR per stem and leakage, computed without leaving the spectrum."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stemwright.errors import NoSongs
from stemwright.nets.bandsplit import STEMS, BandSplit, two_level_softmax
from stemwright.train.learning.batches import Example, Part, Sizes, spectra, untold
from stemwright.train.learning.songs import PARTS, Song, complete_songs
from stemwright.train.learning.targets import TargetMaker, Targets

SECONDS_FRAMES = 22  # about one second
VIEWS_OF_STEMS: dict[str, tuple[str, ...]] = {stem: (stem,) for stem in STEMS} | {
    "all_vocals": ("vocals", "backing_vocals"),
    "all_drums": ("drums", "percussion"),
    "accompaniment": tuple(stem for stem in STEMS if "vocals" not in stem),
}
Powers = NDArray[np.float32]


@dataclass(frozen=True)
class Item:
    """A stretch of a song: the net's features, and per stem and column centre, rest and the mix's power."""

    features: Tensor  # [1, frames, columns, VIEWS]
    spectra: dict[str, NDArray[np.complex64]]  # per sounding part [2, frames, bins]
    holds: dict[str, tuple[str, ...]]  # the stems that each of these is the sum of

    def true(self, members: Sequence[str]) -> list[NDArray[np.complex64]]:
        """The parts whose sum is that of these stems; none where one of them holds other stems too."""
        own = [part for part, stems in self.holds.items() if {*stems} & {*members}]
        return [self.spectra[part] for part in own] if all({*self.holds[part]} <= {*members} for part in own) else []


def items(folder: Path, sizes: Sizes, config: Any, *, limit: int) -> list[Item]:
    """The middle of the first songs of a folder; none when there are no songs."""
    try:
        songs = complete_songs(folder)[:limit]
    except NoSongs:
        return []
    return [_item(song, Sizes(1, sizes.frames, sizes.n_fft, sizes.hop), config) for song in songs]


def _item(song: Song, sizes: Sizes, config: Any) -> Item:
    start = max(0, (song.samples - sizes.samples) // 2)
    flat = np.ones(sizes.n_fft // 2 + 1, np.float32)
    parts = tuple(
        Part(PARTS.index(part), song.stretch(part, start, sizes.samples), flat, untold(song, part))
        for part in song.stems
    )
    out = Targets.empty(sizes, config)
    TargetMaker(sizes, config).fill([Example(parts, np.ones(sizes.frames, np.float32))], out)
    sounds = dict(zip(song.stems, spectra(parts, sizes), strict=True))
    return Item(torch.from_numpy(out.features), sounds, song.holds)


def zone_features(features: Tensor, net: BandSplit) -> list[Tensor]:
    """Features [batch, frames, columns, VIEWS] per zone, as the net takes them: [bands, batch, frames, …]."""
    zones = net.config.zones
    parts = features.split([zone.bands * zone.columns for zone in zones], 2)
    pairs = zip(zones, parts, strict=True)
    return [p.unflatten(2, (zone.bands, zone.columns)).permute(2, 0, 1, 3, 4) for zone, p in pairs]


@torch.no_grad()
def measure(net: BandSplit, stretches: Sequence[Item], device: torch.device) -> dict[str, float]:
    """Median over seconds and songs of 10 log10(|s|²/|s − e|²), in dB, per stem and per sum of stems.

    `leakage` is the median level of the stems that are absent, in dB below the mix.
    """
    edges = np.diff([*net.config.first_bins, net.config.n_fft // 2])
    ratios: dict[str, list[Powers]] = {}
    for item in stretches:
        with torch.autocast(device.type, torch.bfloat16):
            logits = net.logits(zone_features(item.features.to(device), net))
        masks = torch.cat([two_level_softmax(o.float(), 4).permute(1, 4, 3, 2, 0, 5).flatten(4) for o in logits], -1)
        mix = np.asarray(sum(item.spectra.values()))[..., :-1]
        estimates: dict[str, Any] = dict(zip(STEMS, masks[0].cpu().numpy(), strict=True))
        for name, members in VIEWS_OF_STEMS.items():
            if true := item.true(members):
                mask = np.repeat(sum(estimates[stem] for stem in members), edges, -1)
                ratios.setdefault(name, []).append(_ratios(sum(true), mix * mask))
        power = np.add.reduceat(np.abs(mix) ** 2, net.config.first_bins, -1)
        present = {stem for stems in item.holds.values() for stem in stems}
        absent = [estimates[stem] for stem in STEMS if stem not in present]
        leaks = [10 * np.log10((mask**2 * power).sum() / (power.sum() + 1e-9) + 1e-9) for mask in absent]
        ratios.setdefault("leakage", []).append(np.array(leaks, np.float32))
    values = {name: np.concatenate(found) for name, found in ratios.items()}
    return {name: round(float(np.median(found)), 2) for name, found in values.items() if found.size}


def _ratios(true: Any, estimate: NDArray[np.complex64]) -> Powers:
    """SDR in dB of every second in which the stem sounds."""
    signal, error = _seconds(true[..., :-1]), _seconds(true[..., :-1] - estimate)
    sounding = (signal > signal.max() * 1e-3) & (signal > 1e-3)
    return 10 * np.log10(signal[sounding] / (error[sounding] + 1e-9))


def _seconds(spectrum: NDArray[np.complex64]) -> Powers:
    power = (spectrum.real**2 + spectrum.imag**2).sum((0, 2))
    whole = power.size // SECONDS_FRAMES * SECONDS_FRAMES
    return power[:whole].reshape(-1, SECONDS_FRAMES).sum(1)


def append(path: Path, row: dict[str, Any]) -> None:
    """Adds a line to a curve (JSON lines)."""
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a curve; a last line cut off by a kill is dropped."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def plot(curve: Path, picture: Path) -> None:
    """Draws the curve: the loss, the leakage, and the SDR of every stem on val and test."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = {row["step"]: row for row in read(curve)}  # a run that was killed has some steps twice: the later ones hold
    rows = [row for row in steps.values() if "test" in row]
    figure = Figure(figsize=(18, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 4)
    axes[0].plot(list(steps), [row["loss"] for row in steps.values()], color="black")
    axes[0].set(title="loss", xlabel="step")
    axes[1].set(title="leakage into absent stems, dB below the mix", xlabel="step")
    for axis, split in zip(axes[2:], ("val", "test"), strict=True):
        leaks = [(row["step"], row[split]["leakage"]) for row in rows if "leakage" in row[split]]
        if leaks:
            axes[1].plot(*zip(*leaks, strict=True), label=split, marker=".")
        for i, name in enumerate(VIEWS_OF_STEMS):
            points = [(row["step"], row[split][name]) for row in rows if name in row[split]]
            if points:
                style = {"color": f"C{i % 10}", "linestyle": "-:"[i // 10], "marker": "."}  # one point is no line
                axis.plot(*zip(*points, strict=True), label=name, **style)
        axis.set(title=f"{split}: median SDR of 1 s, dB", xlabel="step")
        axis.grid(alpha=0.3)
    if axes[1].lines:  # no stem is absent from songs that nobody told apart
        axes[1].legend()
    axes[3].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(picture, dpi=110)
