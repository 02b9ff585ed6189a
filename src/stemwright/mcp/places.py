"""Paths as assistants name them, and folders for songs in which nothing is ever written over."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from stemwright.audio.naming import safe
from stemwright.audio.parts import write_error

_NUMBER_BYTES = 8


def is_address(song: str) -> bool:
    """Whether a song is on the web."""
    return song.lower().startswith(("http://", "https://"))


def local(path: str) -> Path:
    """A path as people write it: absolute, below `~`, or a `file:` address.

    >>> local("file:///music/My%20song.mp3").as_posix()
    '/music/My song.mp3'
    """
    plain = url2pathname(urlsplit(path).path) if path.lower().startswith("file:") else path
    return Path(os.path.expanduser(plain)).absolute()  # noqa: PTH111  Path's raises where there is no home


def title(song: str) -> str:
    """What a song's folder is called.

    >>> title("https://example.com/a/My%20song.mp3?x=1")
    'My song'
    """
    return Path(unquote(urlsplit(song).path)).stem if is_address(song) else local(song).stem


def new_folder(parent: Path, name: str) -> Path:
    """A new folder of that name, or "name (2)" where there is one; raises CannotWrite, DiskFull."""
    plain = safe(name or "song", room=_NUMBER_BYTES)
    for number in itertools.count(1):
        folder = parent / (plain if number == 1 else f"{plain} ({number})")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise write_error(folder, error) from error
        return folder
    raise AssertionError
