"""What `stemwright separate` says while it works and when it is done: to people, or to machines."""

from __future__ import annotations

import json
import os
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

from stemwright.batch.estimate import Whole
from stemwright.batch.running import Report
from stemwright.cli import FAILED, UNEXPECTED
from stemwright.engine.progress import Progress as Done
from stemwright.errors import StemwrightError, Unforeseen
from stemwright.extras.page import clock
from stemwright.outcome import SeparatedFiles
from stemwright.terminal import plain

EVERY_SECONDS = 0.2
SHORT = 5  # songs: with more, what failed is told again at the end


class Told(Report, Protocol):
    """A report that knows how the command ends."""

    @property
    def status(self) -> int: ...


@contextmanager
def report(songs: int, *, as_json: bool) -> Iterator[Told]:
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


class _Ends:
    """What became of the songs."""

    def __init__(self) -> None:
        self.separated, self.skips, self.failures, self.unforeseen = 0, 0, dict[Path, StemwrightError](), False

    def count(self, song: Path, error: StemwrightError) -> None:
        self.failures[song] = error
        self.unforeseen = self.unforeseen or isinstance(error, Unforeseen)

    @property
    def status(self) -> int:
        return UNEXPECTED if self.unforeseen else FAILED if self.failures else 0


class Tables(_Ends):
    """For people."""

    def __init__(self, songs: int, bar: Progress) -> None:
        super().__init__()
        self._songs, self._bar = songs, bar
        self._task = bar.add_task("", total=1.0, left="")
        self._out = Console(highlight=False)

    def started(self, song: Path) -> None:
        self._bar.update(self._task, description=Text(plain(song.name)).markup)

    def progress(self, song: Path, done: Done, whole: Whole) -> None:
        left = "" if whole.seconds_left is None else f"{clock(whole.seconds_left)} left"
        count = f" ({whole.ended + 1} of {whole.songs})" if whole.songs > 1 else ""
        text = Text(f"{plain(song.name)}{count}: {done.stage}").markup
        self._bar.update(self._task, completed=whole.fraction, description=text, left=left)

    def finished(self, song: Path, files: SeparatedFiles) -> None:
        self.separated += 1
        how = f"{files.model} in {files.precision} on {files.device}"
        title = f"{plain(song.name)}, {clock(files.seconds)}, by {how}"
        self._out.print(title, style="italic", markup=False, soft_wrap=True)
        if files.facts:
            self._out.print(_table(files), markup=False)
        if files.facts and round(files.gain_db, 2) < 0:
            loudest = max(files.facts.values(), key=lambda stem: stem.peak_dbfs).name
            told = f"All stems were turned down by {-files.gain_db:.2f} dB: {loudest} would have clipped."
            self._out.print(told, markup=False, soft_wrap=True)
        for warning in files.warnings:
            self._out.print(plain(f"Note: {warning}."), markup=False, soft_wrap=True)
        if files.tempo or files.key:
            self._out.print(_heard(files), markup=False)
        paths = [*files.paths.values(), *files.extras.values()]
        where = f" in {plain(str(_common(paths)))}" if paths else ": all stems are silent"
        self._out.print(f"{_files(len(paths))}{where}\n", markup=False, soft_wrap=True)

    def skipped(self, song: Path, files: list[Path]) -> None:
        self.skips += 1
        where = f"{_files(len(files))} in {_common(files)}" if files else "all stems are silent"
        line = f"{song}: done already, {where} (--again does it anew)"
        self._out.print(plain(line), markup=False, soft_wrap=True)

    def failed(self, song: Path, error: StemwrightError) -> None:
        self.count(song, error)
        self._complain(self._line(song, error))

    def end(self) -> None:
        if self._songs < 2:
            return
        for song, error in self.failures.items() if len(self.failures) < self._songs > SHORT else ():
            self._complain(self._line(song, error))
        if self.failures:
            rest = f", {self.skips} done already" if self.skips else ""
            line = f"{self.separated} of {self._songs} songs separated{rest}, {len(self.failures)} failed"
            self._bar.console.print(line, highlight=False)
        elif self.skips:
            self._out.print(f"{self.separated} of {self._songs} songs separated, {self.skips} done already")

    def _line(self, song: Path, error: StemwrightError) -> str:
        tells_song = self._songs == 1 or str(error.fields.get("path")) == str(song)
        return f"stemwright: {'' if tells_song else f'{song}: '}{error}"

    def _complain(self, line: str) -> None:
        self._bar.console.print(plain(line), markup=False, highlight=False, soft_wrap=True)


def _heard(files: SeparatedFiles) -> str:
    """Tempo and key, and how sure they are."""
    tempo = f"{files.tempo.bpm:.1f} bpm ({files.tempo.confidence:.0%} sure)" if files.tempo else "no tempo found"
    key = f"{files.key} ({files.key.confidence:.0%} sure)" if files.key else "no key found"
    return f"{tempo}, {key}"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _common(paths: list[Path]) -> str:
    return os.path.commonpath([path.parent for path in paths])


def _table(files: SeparatedFiles) -> Table:
    table = Table("stem", "", box=None)
    table.add_column("level", justify="right", no_wrap=True)
    table.add_column("peak", justify="right", no_wrap=True)
    by_others = any(stem.model != files.model for stem in files.facts.values())
    if by_others:
        table.add_column("model")
    for stem in files.facts.values():
        mark = "silent" if stem.silent else "experimental" if stem.experimental else ""
        told = (f"{stem.name:16}", mark, f"{stem.loudness_dbfs:.1f} dBFS", f"{stem.peak_dbfs:.1f} dBFS")
        table.add_row(*told, *([stem.model] if by_others else []))
    return table


class Lines(_Ends):
    """For machines."""

    def __init__(self) -> None:
        super().__init__()
        self._told = 0.0

    def started(self, song: Path) -> None:
        _say("started", song=str(song))

    def progress(self, song: Path, done: Done, whole: Whole) -> None:
        if time.monotonic() - self._told < EVERY_SECONDS:
            return
        self._told = time.monotonic()
        _say("progress", song=str(song), **asdict(done), batch=asdict(whole))

    def finished(self, song: Path, files: SeparatedFiles) -> None:
        self.separated += 1
        facts: dict[str, Any] = asdict(files)
        paths, stems = facts.pop("paths"), facts.pop("facts")
        facts["extras"] = {kind: str(path) for kind, path in files.extras.items()}
        facts["mix"] = str(files.mix) if files.mix else None
        stems = {name: {**fact, "path": str(paths[name]) if name in paths else None} for name, fact in stems.items()}
        written = [*paths.values(), *files.extras.values()]
        folder = _common(written) if written else None  # all stems are silent, and were to be skipped
        _say("finished", song=str(song), folder=folder, stems=stems, **facts)

    def skipped(self, song: Path, files: list[Path]) -> None:
        self.skips += 1
        _say("skipped", song=str(song), files=[str(path) for path in files])

    def failed(self, song: Path, error: StemwrightError) -> None:
        self.count(song, error)
        _say("error", song=str(song), error=type(error).__name__, message=str(error))

    def end(self) -> None:
        _say("end", separated=self.separated, skipped=self.skips, failed=len(self.failures))


def _say(event: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()
