"""Files on their way: `name.part`, held until they are whole; what a killed process left of them is swept away."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl


def part_of(path: Path) -> Path:
    """What a file is called until it is whole."""
    return path.with_name(path.name + ".part")


def open_part(path: Path) -> BinaryIO:
    """Starts the part of a file; it counts as being written until it is closed, or its process has ended somehow."""
    file = part_of(path).open("w+b")
    with suppress(OSError):  # a filesystem without locks: there nothing is swept either
        hold(file)
    return file


def sweep(path: Path) -> None:
    """Removes the part of a file that nobody writes any more, and its folder if that is empty then."""
    part = part_of(path)
    with suppress(OSError):
        with part.open("r+b") as file:
            hold(file)
            part.unlink()
        part.parent.rmdir()


def hold(file: BinaryIO) -> None:
    """Locks it for this process; raises OSError where another has. Windows lets nobody delete an open file anyway."""
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
