"""Which songs are meant by files, folders and patterns, and what is wanted of each."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stemwright.audio.formats import EXTENSIONS
from stemwright.batch.journal import written
from stemwright.errors import CannotRead, FileMissing, NothingMatches, NothingToSeparate, StemwrightError
from stemwright.wish import Wish


@dataclass(frozen=True)
class Job:
    """One song and what is wanted of it, or the reason why there is none; `folder` is where it was found."""

    song: Path
    wish: Wish
    refusal: StemwrightError | None = None
    folder: str = ""


def jobs(paths: Iterable[tuple[Path, Wish | StemwrightError]], out: Path) -> list[Job]:
    """A job for each song that the paths name, hold or match; one that is meant twice with one wish is done once.

    In the place of a wish may be what is wrong with it.
    """
    found: list[Job] = []
    seen: set[tuple[str, str]] = set()
    results = _Results(out)
    for path, asked in paths:
        wish, wrong = (Wish(), asked) if isinstance(asked, StemwrightError) else (asked, None)
        for song, refusal in _songs([path], results):
            mark = (str(song.absolute()), str(asked))
            if mark not in seen:
                seen.add(mark)
                found.append(Job(song, wish, refusal or wrong, _below(song, path)))
    return found


class _Results:
    """What earlier runs made in folders of results, which is no song of a folder or pattern that has them inside."""

    def __init__(self, out: Path) -> None:
        self._out = _real(out)
        self._made = cache(lambda folder: {_real(path) for path in written(folder)})

    def have(self, path: Path, below: Path) -> bool:
        """Whether a file found below a place is a result: all in this run's folder, where that is further down."""
        real, place = _real(path), _real(below)
        further_down = [folder for folder in real.parents if folder != place and folder.is_relative_to(place)]
        return self._out in further_down or any(real in self._made(folder) for folder in (self._out, *further_down))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _songs(paths: Iterable[Path], results: _Results) -> Iterator[tuple[Path, StemwrightError | None]]:
    for path in paths:
        try:
            if path.is_dir():
                yield from _inside(path, results)
            elif glob.has_magic(str(path)) and not path.exists():
                yield from ((song, None) for song in _matching(path, results))
            else:
                yield path, _refusal(path)
        except StemwrightError as error:
            yield path, error
        except OSError as error:
            yield path, CannotRead(path=path, reason=error.strerror or str(error))


def _refusal(path: Path) -> StemwrightError | None:
    if not path.exists():
        return FileMissing(path=path)
    if path.is_file():
        return None
    return CannotRead(path=path, reason="it is a pipe or a device, and is read twice: save it to a file first")


def _below(song: Path, given: Path) -> str:
    """The song's folder below the folder or the pattern that it was found by; none for a song that was named."""
    if song == given:
        return ""
    return "/".join(song.parent.relative_to(given if given.is_dir() else _place(given)).parts)


def _inside(folder: Path, results: _Results) -> list[tuple[Path, StemwrightError | None]]:
    """The songs in a folder and those below it, and folders that may not be looked into."""
    closed: list[OSError] = []
    found = [Path(place) / name for place, _, names in os.walk(folder, onerror=closed.append) for name in names]
    shown = (path for path in sorted(found) if not _is_hidden(path.relative_to(folder)))
    inside = [path for path in shown if _is_song(path) and not results.have(path, folder)]
    refused = [(Path(error.filename), CannotRead(path=error.filename, reason=error.strerror)) for error in closed]
    if not inside and not refused:
        raise NothingToSeparate(path=folder)
    return [*((path, None) for path in inside), *refused]


def _matching(pattern: Path, results: _Results) -> Iterator[Path]:
    """Files that the pattern names, and songs in folders that it does: for shells that do not expand it.

    A link to a folder further up has every song below it, as often as the system follows it: the shortest way counts.
    """
    ways = [Path(match) for match in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207  any pattern
    ways.sort(key=lambda way: len(way.parts), reverse=True)
    matches = sorted({(_real(way.parent), way.name): way for way in ways}.values())
    songs = [path for path in matches if _is_song(path) and not results.have(path, _place(pattern))]
    if not songs:
        raise NothingMatches(path=pattern)
    yield from songs


def _place(pattern: Path) -> Path:
    """The folder that all matches of a pattern are below."""
    return next(folder for folder in pattern.parents if not glob.has_magic(str(folder)))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _is_song(path: Path) -> bool:
    """Files with the name of audio or video; one that is named itself is tried, whatever it is called."""
    if path.suffix.lower() not in EXTENSIONS:
        return False
    try:
        return path.is_file()
    except OSError:
        return True  # listed, but in a folder that may not be entered: it is told as a song that cannot be read
