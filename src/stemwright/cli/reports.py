"""What `stemwright separate` says while it works and when it is done: to people, or to machines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from stemwright.engine.progress import Progress as Done
from stemwright.errors import StemwrightError
from stemwright.separation import SeparatedFiles

EVERY_SECONDS = 0.2


class Report(Protocol):
    """Hears what happens to the songs of one command."""

    failed: int

    def started(self, song: Path) -> None: ...
    def progress(self, done: Done) -> None: ...
    def finished(self, song: Path, folder: Path, files: SeparatedFiles) -> None: ...
    def error(self, song: Path, error: StemwrightError) -> None: ...


@contextmanager
def report(songs: int, *, as_json: bool) -> Iterator[Report]:
    """For machines one JSON object a line on stdout; for people a bar on a terminal's stderr and tables on stdout."""
    if as_json:
        lines = Lines()
        yield lines
        lines.end()
        return
    with _bar() as bar:
        tables = Tables(songs, bar)
        yield tables
        tables.end()


def _bar() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", style="dim"),
    )
    errors = Console(stderr=True)
    return Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)


class Tables:
    """For people."""

    def __init__(self, songs: int, bar: Progress) -> None:
        self.failed = 0
        self._songs, self._number, self._bar = songs, 0, bar
        self._task = bar.add_task("", total=1.0, left="")
        self._out = Console(highlight=False)

    def started(self, song: Path) -> None:
        self._number += 1
        self._title = f"{song.name} ({self._number} of {self._songs})" if self._songs > 1 else song.name
        self._bar.reset(self._task, description=Text(self._title).markup, left="")

    def progress(self, done: Done) -> None:
        left = "" if done.seconds_left is None else f"{minutes(done.seconds_left)} left"
        text = Text(f"{self._title}: {done.stage}").markup
        self._bar.update(self._task, completed=done.fraction, description=text, left=left)

    def finished(self, song: Path, folder: Path, files: SeparatedFiles) -> None:
        self._bar.update(self._task, completed=1.0)
        self._out.print(_table(song, files), markup=False)
        if files.gain_db < 0:
            loudest = max(files.facts.values(), key=lambda stem: stem.peak_dbfs).name
            self._out.print(f"All stems were turned down by {-files.gain_db:.2f} dB: {loudest} would have clipped.")
        for warning in files.warnings:
            self._out.print(f"Note: {warning}.", markup=False)
        self._out.print(f"{len(files.paths)} files in {folder}\n", markup=False, soft_wrap=True)

    def error(self, song: Path, error: StemwrightError) -> None:
        self.failed += 1
        tells_song = self._songs == 1 or str(error.fields.get("path")) == str(song)
        prefix = "" if tells_song else f"{song}: "
        self._bar.console.print(f"stemwright: {prefix}{error}", markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        if self.failed and self._songs > 1:
            line = f"{self._songs - self.failed} of {self._songs} songs separated, {self.failed} failed"
            self._bar.console.print(line, highlight=False)


def _table(song: Path, files: SeparatedFiles) -> Table:
    table = Table("stem", "", title=Text(f"{song.name}, {minutes(files.seconds)}"), title_justify="left", box=None)
    table.columns[0].min_width = 16
    table.add_column("level", justify="right")
    table.add_column("peak", justify="right")
    for stem in files.facts.values():
        mark = "silent" if stem.silent else "experimental" if stem.experimental else ""
        table.add_row(stem.name, mark, f"{stem.loudness_dbfs:.1f} dBFS", f"{stem.peak_dbfs:.1f} dBFS")
    return table


class Lines:
    """For machines."""

    def __init__(self) -> None:
        self.failed = self.separated = 0
        self._song, self._told = Path(), 0.0

    def started(self, song: Path) -> None:
        self._song = song
        _say("started", song=str(song))

    def progress(self, done: Done) -> None:
        if time.monotonic() - self._told < EVERY_SECONDS:
            return
        self._told = time.monotonic()
        _say("progress", song=str(self._song), **asdict(done))

    def finished(self, song: Path, folder: Path, files: SeparatedFiles) -> None:
        self.separated += 1
        facts: dict[str, Any] = asdict(files)
        paths, stems = facts.pop("paths"), facts.pop("facts")
        stems = {name: {**fact, "path": str(paths[name])} for name, fact in stems.items()}
        _say("finished", song=str(song), folder=str(folder), stems=stems, **facts)

    def error(self, song: Path, error: StemwrightError) -> None:
        self.failed += 1
        _say("error", song=str(song), error=type(error).__name__, message=str(error))

    def end(self) -> None:
        _say("end", separated=self.separated, failed=self.failed)


def _say(event: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def minutes(seconds: float) -> str:
    """Seconds as minutes and seconds.

    >>> minutes(83.4)
    '1:23'
    """
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
