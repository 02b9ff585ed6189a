"""Measures a separator on songs whose stems are known, beside everything that needs no training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.signal import Samples
from stemwright.engine.run import run
from stemwright.engine.separator import Separator
from stemwright.errors import NothingMeasured, NotMeasurable, StemwrightError
from stemwright.nets.bandsplit import STEMS
from stemwright.train import metrics
from stemwright.train.baselines import Rivals
from stemwright.train.references import Reference, waiting
from stemwright.train.titles import Sum, of_model

SOLO_SECONDS, SOLO_SONGS = 8.0, 4  # how much of a stem is heard alone, in how many songs
VOICES = ("vocals", "backing_vocals")
RHYTHM = (*VOICES, "drums", "percussion", "bass")
METHODS = ("model", "mixture", "constant", "classical", "oracle")


@dataclass
class Line:
    """What was found for one stem, or sum of stems, over all songs."""

    songs: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    usdr: dict[str, list[float]] = field(default_factory=dict)
    si_sdr: dict[str, list[float]] = field(default_factory=dict)

    def add(self, method: str, true: Samples, estimate: Samples, rate: int) -> None:
        """Counts one estimate."""
        self.seconds.setdefault(method, []).extend(metrics.sdr_of_seconds(true, estimate, rate))
        self.usdr.setdefault(method, []).append(metrics.usdr(true, estimate))
        self.si_sdr.setdefault(method, []).append(metrics.si_sdr(true, estimate))

    def summary(self) -> dict[str, Any]:
        """Medians per method, in dB."""
        medians = {"sdr": self.seconds, "usdr": self.usdr, "si_sdr": self.si_sdr}
        found = {name: {m: round(float(np.median(v)), 2) for m, v in of.items() if v} for name, of in medians.items()}
        return {"songs": self.songs} | found


@dataclass
class Report:
    """All that was measured; `leakage` in dB below the mix, `confusion` as shares of the energy."""

    stems: tuple[str, ...]
    songs: int = 0
    spoiled: int = 0
    lines: dict[str, Line] = field(default_factory=dict)
    leakage: dict[str, list[float]] = field(default_factory=dict)
    confusion: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The report in plain values."""
        return {
            "stems": {name: line.summary() for name, line in self.lines.items()},
            "leakage_db": {name: round(float(np.median(values)), 1) for name, values in self.leakage.items()},
            "confusion": {
                name: {stem: round(float(share), 3) for stem, share in zip(self.stems, np.mean(rows, 0), strict=True)}
                for name, rows in self.confusion.items()
            },
        }


def evaluate(
    separator: Separator,
    folder: Path,
    *,
    mapping: dict[str, str] | None = None,
    limit: int | None = None,
    rivals: bool = True,
    on_song: Callable[[str], None] = lambda _: None,
    on_problem: Callable[[StemwrightError], None] | None = None,
) -> Report:
    """Measures a separator on the songs of a folder (see `waiting`); its `rivals` take most of the time.

    Raises NoReferences, UnknownTitle, and at a song that cannot be measured UnknownReference, UnequalStems, SilentSong,
    ShortSong, NotMeasurable and what decoding raises. Where there are more, `on_problem` may hear of it instead; where
    none is left, NothingMeasured is raised.
    """
    report = Report(separator.stems)
    songs = waiting(folder, mapping)[:limit]
    for song in songs:
        try:
            add(report, separator, song.read(), rivals=rivals)
        except StemwrightError as error:
            if on_problem is None or len(songs) == 1:
                raise
            report.spoiled += 1
            on_problem(error)
        else:
            on_song(song.name)
    if not report.songs:
        raise NothingMeasured(songs=report.spoiled)
    return report


def add(report: Report, separator: Separator, song: Reference, *, rivals: bool = True) -> None:
    """Measures one song; raises NotMeasurable."""
    sums, views = of_model(separator.stems), _views(song)
    found = {name: _reaching(sums, members, song.sounding) for name, (_, members) in views.items()}
    if not any(found.values()):
        true = ", ".join(song.stems)
        raise NotMeasurable(model="The model", stems=", ".join(separator.stems), true=true)
    report.songs += 1
    estimates = _estimates(separator, song.mix)
    others = Rivals(song.mix, separator.rate) if rivals else None
    for name, (true, members) in views.items():
        line = report.lines.setdefault(name, Line())
        line.songs += 1
        own = {"model": np.sum([estimates[stem] for stem in found[name]], axis=0)} if found[name] else {}
        for method, estimate in {**own, **_others(others, true, members)}.items():
            line.add(method, true, np.asarray(estimate), separator.rate)
    for stem in separator.stems:
        if sums[stem] and not set(sums[stem]) & song.sounding:
            report.leakage.setdefault(stem, []).append(metrics.level_db(estimates[stem], song.mix))
    for name, true in song.stems.items():
        if len(report.confusion.get(name, [])) >= SOLO_SONGS:
            continue
        alone = _loudest(true, round(SOLO_SECONDS * separator.rate))
        shares = np.array([metrics.energy(found) for found in _estimates(separator, alone).values()])
        report.confusion.setdefault(name, []).append(shares / (shares.sum() + metrics.FLOOR))


def _reaching(sums: dict[str, Sum], members: Sum, sounding: set[str]) -> tuple[str, ...]:
    """The model's stems whose sum is that of these members, as far as they sound; none where its stems hold more."""
    own = tuple(stem for stem, holds in sums.items() if set(holds) & set(members))
    held = {each for stem in own for each in sums[stem]} & sounding
    return own if held == set(members) & sounding else ()


def _estimates(separator: Separator, mix: Samples) -> dict[str, Samples]:
    blocks = np.concatenate(list(run(separator, [mix])), axis=2)
    return dict(zip(separator.stems, blocks, strict=True))


def _views(song: Reference) -> dict[str, tuple[Samples, Sum]]:
    """Every true stem, and the sums that people ask for."""
    views = {name: (song.stems[name], song.sums[name]) for name in song.stems}
    everything = set(song.sums)
    every_stem = tuple(dict.fromkeys(stem for members in song.sums.values() for stem in members))
    wholes = {"all vocals": VOICES, "all drums": ("drums", "percussion")}
    wholes |= {"accompaniment": _without(every_stem, VOICES), "rest": _without(every_stem, RHYTHM)}
    for name, members in wholes.items():
        own = {title for title in everything if set(song.sums[title]) & set(members)}
        # A true stem that holds more than the sum asks for would be counted as an error of the model.
        if own and own != everything and all(set(song.sums[title]) <= set(members) for title in own):
            reach = _without(STEMS, VOICES if name == "accompaniment" else RHYTHM)
            members = reach if name in ("accompaniment", "rest") else members  # noqa: PLW2901
            views[name] = (np.sum([song.stems[title] for title in own], axis=0), members)
    return views


def _without(stems: Sum, others: Sum) -> Sum:
    return tuple(stem for stem in stems if stem not in others)


def _others(rivals: Rivals | None, true: Samples, members: Sum) -> dict[str, Samples]:
    """What the model is compared with; a classical method where there is one for this sum of stems."""
    if rivals is None:
        return {}
    found = {"mixture": rivals.mix, "constant": rivals.constant(true), "oracle": rivals.oracle(true)}
    if "drums" in members and "guitar" not in members:
        found["classical"] = rivals.percussive
    elif members == ("bass",):
        found["classical"] = rivals.low_passed
    elif "vocals" in members:
        found["classical"] = rivals.centre
    return found


def _loudest(samples: Samples, length: int) -> Samples:
    """The loudest stretch of a stem."""
    if samples.shape[1] <= length:
        return samples
    power = np.cumsum(np.square(samples, dtype=np.float64).sum(0))
    starts = np.arange(0, samples.shape[1] - length, 4410)
    start = starts[np.argmax(power[starts + length] - power[starts])]
    return samples[:, start : start + length]


def table(report: Report) -> str:
    """The report as text: median SDR of one second beside its rivals, SI-SDR and uSDR, leakage, confusion."""
    titles = ("songs", "SDR", *METHODS[1:], "SI-SDR", "uSDR")
    widths = (6, 8, 9, 10, 11, 8, 8, 8)
    rows = [f"{'stem':<16}" + "".join(f"{title:>{width}}" for title, width in zip(titles, widths, strict=True))]
    rows.append("-" * len(rows[0]))
    for name, line in report.lines.items():
        found = line.summary()
        cells = [found["sdr"].get(method) for method in METHODS]
        cells += [found["si_sdr"].get("model"), found["usdr"].get("model")]
        texts = ["–" if cell is None else f"{cell:.2f}" for cell in cells]
        texts.insert(0, str(found["songs"]))
        rows.append(f"{name:<16}" + "".join(f"{text:>{width}}" for text, width in zip(texts, widths, strict=True)))
    leaks = ", ".join(f"{stem} {np.median(values):.0f}" for stem, values in report.leakage.items())
    rows += ["", f"leakage into absent stems, dB below the mix: {leaks or 'every stem sounds'}"]
    rows += ["", "a stem heard alone, % of its energy in each estimate:"]
    rows.append(f"{'':<16}" + "".join(f"{stem[:7]:>8}" for stem in report.stems))
    for name, shares in report.confusion.items():
        rows.append(f"{name:<16}" + "".join(f"{share:>8.0%}"[:-1].rjust(8) for share in np.mean(shares, 0)))
    return "\n".join(rows)


def write(report: Report, folder: Path) -> Iterable[Path]:
    """Writes `evaluation.json`, `evaluation.txt` and two pictures into a folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(report.as_json(), indent=1) + "\n")
    (folder / "evaluation.txt").write_text(table(report) + "\n")
    plot(report, folder / "evaluation.png")
    return [folder / f"evaluation.{kind}" for kind in ("json", "txt", "png")]


def plot(report: Report, picture: Path) -> None:
    """Draws SDR per stem and method, and the confusion of stems heard alone."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 6), layout="constrained")
    FigureCanvasAgg(figure)
    bars, cells = figure.subplots(1, 2)
    names = list(report.lines)
    for i, method in enumerate(METHODS):
        values = [report.lines[name].summary()["sdr"].get(method, np.nan) for name in names]
        bars.bar(np.arange(len(names)) + (i - 2) * 0.16, values, 0.16, label=method)
    bars.set_xticks(range(len(names)), names, rotation=60, ha="right")
    bars.set(title="median SDR of one second, dB")
    bars.legend()
    shown = cells.imshow([np.mean(rows, 0) for rows in report.confusion.values()], vmin=0, vmax=1, cmap="viridis")
    cells.set_xticks(range(len(report.stems)), report.stems, rotation=60, ha="right")
    cells.set_yticks(range(len(report.confusion)), list(report.confusion))
    cells.set(title="a stem heard alone (row): share of its energy per estimate")
    figure.colorbar(shown, ax=cells)
    figure.savefig(picture, dpi=100)
