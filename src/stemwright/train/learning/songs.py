"""A data set on disk, composed or taken: which songs are complete, and any stretch of their stems."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemwright.errors import NoSongs, SpoiledSong
from stemwright.nets.bandsplit import FAMILIES, STEMS
from stemwright.train.learning.kernels import play_at_speed

Samples = NDArray[np.float32]
RATE = 44100
SPLITS = ("train", "val", "test")
WHOLE = "accompaniment"
"""All that is no voice, in one array: of most songs that is what there is."""
_SHARED = [family for family in FAMILIES if len(family) > 1]
SUMS: dict[str, tuple[str, ...]] = {
    **dict(zip(("all_vocals", "all_drums", "rest"), _SHARED, strict=True)),
    WHOLE: tuple(stem for stem in STEMS if stem not in _SHARED[0]),
}
"""Stems in one array, as far as nobody told them apart: of real songs often no more is known. Families, then WHOLE."""
TAKEN = "taken"
"""What the folder names of songs that somebody gave begin with."""
RECORDED = "recorded"
"""What the folder names of recordings begin with that are put beside the songs."""
PARTS = (*STEMS, *SUMS)
"""What a song may have an array of."""


@dataclass(frozen=True)
class Song:
    """A folder with one int16 [samples, 2] array per sounding part of PARTS; `song.json` is written last."""

    folder: Path
    stems: tuple[str, ...]

    def untold(self, part: str) -> tuple[str, ...]:
        """The stems that a part may hold unheard of; none for one that is a stem itself."""
        return tuple(stem for stem in SUMS.get(part, ()) if stem not in self.stems)

    @property
    def holds(self) -> dict[str, tuple[str, ...]]:
        """The stems that every part is the sum of."""
        return {part: self.untold(part) or (part,) for part in self.stems}

    def part_for(self, stem: str) -> str | None:
        """The part that is heard where a mix wants a stem: a family that is one sum stands in for its first stem."""
        own = next((part for part, family in SUMS.items() if family[0] == stem), stem)
        return next((part for part in (stem, own) if part in self.stems), None)

    @cached_property
    def samples(self) -> int:
        """Length of the shortest stem in samples."""
        return min(len(array) for array in self._arrays.values())

    def stretch(self, stem: str, start: int, length: int, *, speed: float = 1.0) -> Samples:
        """Samples [2, length] of a part from `start`, played at a speed as a tape is; zeros beyond its end."""
        out = np.zeros((2, length), np.float32)
        if speed == 1:
            taken = self._arrays[stem][start : start + length]
            out[:, : len(taken)] = taken.T
            out *= np.float32(1 / 32768)
        else:
            play_at_speed(self._arrays[stem][start : start + int(length * speed) + 5], speed, out)
        return out

    @cached_property
    def _arrays(self) -> dict[str, NDArray[np.int16]]:
        """Opened once: to open a file costs as much as to read three seconds of it."""
        self.read_facts()  # a song whose facts are spoiled is not to be trusted
        return {stem: self._open(stem) for stem in self.stems}

    def read_facts(self) -> dict[str, Any]:
        """What its song.json tells: seed, genre, sources and more. Raises SpoiledSong."""
        path = self.folder / "song.json"
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise SpoiledSong(path=path, reason=error) from error

    def _open(self, stem: str) -> NDArray[np.int16]:
        path = self.folder / f"{stem}.npy"
        try:
            array = np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise SpoiledSong(path=path, reason=error) from error
        if array.dtype != np.int16 or array.ndim != 2 or array.shape[1] != 2:
            raise SpoiledSong(path=path, reason=f"{array.dtype} {array.shape} in place of int16 [samples, 2]")
        return array


def complete_songs(folder: Path) -> list[Song]:
    """The finished songs of a folder by name; those still being rendered are passed over. Raises NoSongs."""
    songs = [song for path in sorted(folder.glob("*/song.json")) if (song := _song(path)).stems]
    if not songs:
        half = sum(1 for path in folder.glob("*/") if not (path / "song.json").exists())
        raise NoSongs(folder=folder, half=half)
    return songs


def count_taken(folder: Path) -> int:
    """How many complete songs of a folder somebody gave; the others were composed."""
    return sum(1 for _ in folder.glob(f"{TAKEN}-*/song.json"))


def count_recordings(folder: Path) -> int:
    """How many complete recordings lie beside the songs of a folder."""
    return sum(1 for _ in folder.glob(f"{RECORDED}-*/song.json"))


def _song(path: Path) -> Song:
    return Song(path.parent, tuple(part for part in PARTS if (path.parent / f"{part}.npy").exists()))
