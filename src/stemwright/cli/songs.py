"""Which songs a command line means, and the folder where each one's stems go."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stemwright.errors import CannotRead, FileMissing, NothingToSeparate, StemwrightError

# Only folders are filtered by these; a file that is named is tried, whatever it is called.
_AUDIO = "mp3 wav flac ogg oga opus m4a m4b aac aif aiff aifc wma mp2 ac3 caf ape wv tta au w64 amr"
_VIDEO = "mp4 m4v mov webm mkv mka avi ts 3gp"
EXTENSIONS = frozenset(f".{name}" for names in (_AUDIO, _VIDEO) for name in names.split())


@dataclass(frozen=True)
class Job:
    """One song and the folder for its stems, or the reason why there is none."""

    song: Path
    folder: Path
    refusal: StemwrightError | None = None

    def check(self) -> None:
        """Raises what is wrong with it."""
        if self.refusal is not None:
            raise self.refusal


def jobs(paths: Iterable[Path], out: Path) -> list[Job]:
    """A job for each song that the paths name or hold; songs of the same name get folders "name", "name (2)", …."""
    taken: set[str] = set()
    found: list[Job] = []
    for song, refusal in _songs(paths, out):
        found.append(Job(song, out / _free(_name(song), taken), refusal))
    return found


def _songs(paths: Iterable[Path], out: Path) -> Iterator[tuple[Path, StemwrightError | None]]:
    for path in paths:
        try:
            if path.is_dir():
                yield from ((song, None) for song in _inside(path, out))
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


def _is_song(path: Path, out: Path) -> bool:
    """Files with the name of audio or video that are not hidden and not stems from an earlier run."""
    hidden = any(part.startswith(".") for part in path.parts if part not in ("..", "."))
    if path.suffix.lower() not in EXTENSIONS or hidden or path.is_relative_to(out):
        return False
    try:
        return path.is_file()
    except OSError:
        return True  # listed, but in a folder that may not be entered: it is told as a song that cannot be read


def _name(song: Path) -> str:
    """The name of the song's folder, never one that means another folder."""
    return song.stem.strip(" .") or "song"


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free.casefold() in taken:
        number += 1
        free = f"{name} ({number})"
    taken.add(free.casefold())
    return free
