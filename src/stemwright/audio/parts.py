"""Files on their way: `name.part`, held until they are whole; what a killed process left of them is swept away."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from stemwright.errors import CannotWrite, DiskFull

if sys.platform != "win32":
    import fcntl

_ANEW = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)


def part_of(path: Path) -> Path:
    """What a file is called until it is whole."""
    return path.with_name(path.name + ".part")


def open_part(path: Path) -> BinaryIO:
    """Starts the part of a file; it counts as being written until it is closed, or its process has ended somehow.

    Raises BlockingIOError while another run, or another writer of this one, is at it: nothing of theirs is lost.
    """
    while True:
        file = os.fdopen(os.open(part_of(path), _ANEW, 0o666), "w+b")
        try:
            if _is_ours(file, part_of(path)):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # its writer finished it before it could be held: it has another name now


def _is_ours(file: BinaryIO, part: Path) -> bool:
    """Holds a part that was just opened and empties it; false if it is not the one of that name any more."""
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return True
    try:
        hold(file)
    except BlockingIOError as error:
        raise BlockingIOError(errno.EWOULDBLOCK, "another run is writing it at this moment") from error
    except OSError:
        pass  # a filesystem without locks: there nothing is swept either
    try:
        ours = os.path.samestat(os.fstat(file.fileno()), part.stat())
    except FileNotFoundError:
        return False
    if ours:
        file.truncate()
    return ours


def settle(file: BinaryIO) -> None:
    """Brings all that was written to the disk."""
    file.flush()
    os.fsync(file.fileno())


def settle_folder(folder: Path) -> None:
    """The same for the names in it: a renamed file survives a power cut only when its folder is on the disk too."""
    if sys.platform == "win32":  # which opens no folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has no such thing for folders, as VirtualBox's
            raise
    finally:
        os.close(descriptor)


def publish(file: BinaryIO, path: Path) -> None:
    """Gives a settled part its name and closes it; until then it is held, so that nobody sweeps it away."""
    _let_go(file)
    part_of(path).replace(path)
    file.close()


def drop(file: BinaryIO, path: Path) -> None:
    """Removes a part that its writer has given up, as far as the filesystem lets it."""
    with suppress(OSError):
        _let_go(file)
        part_of(path).unlink()
    with suppress(OSError):
        file.close()


def _let_go(file: BinaryIO) -> None:
    """Windows renames and deletes no open file; elsewhere it stays held until it is gone from its place."""
    if sys.platform == "win32":
        file.close()


def sweep(path: Path) -> None:
    """Removes the part of a file that nobody writes any more, and its folder if that is empty then."""
    part = part_of(path)
    with suppress(OSError):
        with part.open("r+b") as file:
            hold(file)
            if os.path.samestat(os.fstat(file.fileno()), part.stat()):
                part.unlink()
        part.parent.rmdir()


def hold(file: BinaryIO, *, waits: bool = False) -> None:
    """Locks it for this process, `waits` until another lets it go; else raises OSError.

    Windows lets nobody delete an open file anyway.
    """
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_full(error: OSError) -> bool:
    """Whether there was no room left for it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def write_error(path: Path, error: OSError) -> CannotWrite:
    """What the system refused, as an error of ours."""
    if is_full(error):
        return DiskFull(path=path)
    return CannotWrite(path=path, reason=error.strerror or str(error))
