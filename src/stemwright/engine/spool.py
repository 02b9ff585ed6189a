"""Finished stems wait on disk for the one gain of the song, which is known when the last sample is."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from math import isfinite, nan
from pathlib import Path

import numpy as np

from stemwright.audio.parts import write_error
from stemwright.audio.signal import Samples

PIECE = 16384
"""Samples that share a scale."""
_TINY = float(np.finfo(np.float32).tiny)
_HEADER = struct.Struct("<If")


class Spool:
    """One stem in a file without a name: when the process ends, however it ends, the disk is free again.

    Samples are kept as 16 bits with a scale for every 0.4 s, so the error is 98 dB below the loudest sample around it,
    or `exact`, as the floats they are: twice the disk, for files of more than 16 bits.
    """

    def __init__(self, folder: Path, *, exact: bool = False) -> None:
        self._folder, self._exact = folder, exact
        with _writing(folder):
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  it lives as long as the spool

    def write(self, block: Samples) -> None:
        """Appends [2, n]; raises DiskFull or CannotWrite."""
        with _writing(self._folder):
            for first in range(0, block.shape[1], PIECE):
                piece = block[:, first : first + PIECE]
                if self._exact:
                    self._file.write(_HEADER.pack(piece.shape[1], 1.0) + piece.astype("<f4").tobytes())
                    continue
                scale = max(float(piece.max()), -float(piece.min())) / 32767
                if not isfinite(scale):  # what is no number must not come back as silence: all of the piece is none
                    self._file.write(_HEADER.pack(piece.shape[1], nan) + bytes(piece.size * 2))
                    continue
                scale = scale if scale > _TINY else 1.0  # below it a float is no longer what it was divided by
                self._file.write(_HEADER.pack(piece.shape[1], scale))
                self._file.write(np.rint(piece / np.float32(scale)).astype("<i2").tobytes())

    def blocks(self) -> Iterator[Samples]:
        """What was written, in pieces [2, n]."""
        with _writing(self._folder):
            self._file.seek(0)  # writes out what is still buffered
        while header := self._file.read(_HEADER.size):
            samples, scale = _HEADER.unpack(header)
            kind = "<f4" if self._exact else "<i2"
            piece = np.frombuffer(self._file.read(samples * 2 * np.dtype(kind).itemsize), kind).reshape(2, samples)
            yield piece.astype(np.float32) if self._exact else piece * np.float32(scale)

    def close(self) -> None:
        """Frees the disk."""
        with suppress(OSError):
            self._file.close()


@contextmanager
def spools(folder: Path, names: Iterable[str], *, exact: bool = False) -> Iterator[dict[str, Spool]]:
    """A spool for each name, in `folder`, which is made if need be."""
    with ExitStack() as cleanup:
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        waiting = {name: Spool(folder, exact=exact) for name in names}
        for spool in waiting.values():
            cleanup.callback(spool.close)
        yield waiting


@contextmanager
def leaving_no_empty_folder(*folders: Path) -> Iterator[None]:
    """When the work fails, those of the folders that it made, and their parents, are taken away if they are empty."""
    made: set[Path] = set()
    for folder in folders:
        with _writing(folder):  # even asking is refused below a folder that may not be entered
            made |= {path for path in (folder, *folder.parents) if not path.exists()}
    try:
        yield
    except BaseException:
        for path in sorted(made, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                path.rmdir()
        raise


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise write_error(folder, error) from error
