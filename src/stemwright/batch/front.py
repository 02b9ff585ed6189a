"""Many songs in one call of the library: what the command does with a folder, without its words."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from stemwright.batch import running
from stemwright.batch.estimate import Whole
from stemwright.batch.songs import jobs as meant
from stemwright.engine.progress import Progress
from stemwright.errors import BadOption, StemwrightError
from stemwright.outcome import SeparatedFiles
from stemwright.wish import Options, Wish


@dataclass
class Batch:
    """What became of each song, by its path: `separated` now, `there` already with its files, or `failures` and why."""

    separated: dict[Path, SeparatedFiles] = field(default_factory=dict[Path, SeparatedFiles])
    there: dict[Path, list[Path]] = field(default_factory=dict[Path, list[Path]])
    failures: dict[Path, StemwrightError] = field(default_factory=dict[Path, StemwrightError])

    def started(self, song: Path) -> None:
        """Nobody asks."""

    def progress(self, song: Path, done: Progress, whole: Whole) -> None:
        """Nobody asks."""

    def finished(self, song: Path, files: SeparatedFiles) -> None:
        self.separated[song] = files

    def skipped(self, song: Path, files: list[Path]) -> None:
        self.there[song] = files

    def failed(self, song: Path, error: StemwrightError) -> None:
        self.failures[song] = error


def separate_all(
    songs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    at_once: int = 1,
    again: bool = False,
    **options: Unpack[Options],
) -> Batch:
    """Separates files, folders and patterns into `out`, a folder a song; the options are those of `separate_to`.

    What is done there already is skipped, unless `again`; a song that fails does not stop the others. Raises what is
    wrong with the options before anything is done.
    """
    told, wish = Batch(), Wish.of(**options)
    if not isinstance(at_once, int) or at_once < 1:
        raise BadOption(option="at_once", text=at_once, reason="it is the number of songs to separate at once, from 1")
    if isinstance(songs, str | os.PathLike):  # one of them: its letters would be songs, and its / the whole disk
        songs = [songs]
    work = meant([(Path(song), wish) for song in songs], Path(out))
    running.separate_jobs(work, Path(out), told, at_once=at_once, again=again)
    return told
