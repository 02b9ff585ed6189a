"""Which songs are meant by files, folders and patterns, and what is wanted of each."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stemwright.batch.wishes import Wish
from stemwright.errors import CannotRead, FileMissing, NothingMatches, NothingToSeparate, StemwrightError

# Only folders are filtered by these; a file that is named is tried, whatever it is called.
_AUDIO = "mp3 wav flac ogg oga opus m4a m4b aac aif aiff aifc wma mp2 ac3 caf ape wv tta au w64 amr"
_VIDEO = "mp4 m4v mov webm mkv mka avi ts 3gp"
EXTENSIONS = frozenset(f".{name}" for names in (_AUDIO, _VIDEO) for name in names.split())


@dataclass(frozen=True)
class Job:
    """One song and what is wanted of it, or the reason why there is none."""

    song: Path
    wish: Wish
    refusal: StemwrightError | None = None


def jobs(paths: Iterable[tuple[Path, Wish]], out: Path) -> list[Job]:
    """A job for each song that the paths name, hold or match; one that is meant twice with one wish is done once."""
    found: list[Job] = []
    seen: set[tuple[str, str]] = set()
    for path, wish in paths:
        for song, refusal in _songs([path], out):
            mark = (str(song.absolute()), repr(sorted(wish.items())))
            if mark not in seen:
                seen.add(mark)
                found.append(Job(song, wish, refusal))
    return found


def _songs(paths: Iterable[Path], out: Path) -> Iterator[tuple[Path, StemwrightError | None]]:
    for path in paths:
        try:
            if path.is_dir():
                yield from ((song, None) for song in _inside(path, out))
            elif glob.has_magic(str(path)) and not path.exists():
                yield from ((song, None) for song in _matching(path, out))
            else:
                yield path, None if path.exists() else FileMissing(path=path)
        except StemwrightError as error:
            yield path, error
        except OSError as error:
            yield path, CannotRead(path=path, reason=error.strerror or str(error))


def _inside(folder: Path, out: Path) -> list[Path]:
    os.scandir(folder).close()  # rglob takes a folder that may not be listed for an empty one
    inside = [path for path in sorted(folder.rglob("*")) if _is_song(path, out)]
    if not inside:
        raise NothingToSeparate(path=folder)
    return inside


def _matching(pattern: Path, out: Path) -> Iterator[Path]:
    """Files that the pattern names, and songs in folders that it does: for shells that do not expand it."""
    matches = [Path(match) for match in sorted(glob.glob(str(pattern), recursive=True))]  # noqa: PTH207  any pattern
    songs = [path for path in matches if _is_song(path, out)]
    if not songs:
        raise NothingMatches(path=pattern)
    yield from songs


def _is_song(path: Path, out: Path) -> bool:
    """Files with the name of audio or video that are not hidden and not stems from an earlier run."""
    hidden = any(part.startswith(".") for part in path.parts if part not in ("..", "."))
    if path.suffix.lower() not in EXTENSIONS or hidden or path.is_relative_to(out):
        return False
    try:
        return path.is_file()
    except OSError:
        return True  # listed, but in a folder that may not be entered: it is told as a song that cannot be read
