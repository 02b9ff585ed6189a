"""What measuring found, as numbers, as a table, as JSON and as a picture."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.signal import Samples
from stemwright.train.measuring import metrics

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
    model: str | None = None
    songs: int = 0
    spoiled: int = 0
    lines: dict[str, Line] = field(default_factory=dict)
    leakage: dict[str, list[float]] = field(default_factory=dict)
    confusion: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The report in plain values."""
        return {
            "model": self.model,
            "songs": self.songs,
            "spoiled": self.spoiled,
            "stems": {name: line.summary() for name, line in self.lines.items()},
            "leakage_db": {name: round(float(np.median(values)), 1) for name, values in self.leakage.items()},
            "confusion": {
                name: {stem: round(float(share), 3) for stem, share in zip(self.stems, np.mean(rows, 0), strict=True)}
                for name, rows in self.confusion.items()
            },
        }


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
