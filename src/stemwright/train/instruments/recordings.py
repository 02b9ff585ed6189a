"""Recorded music that has no voice in it: of a mix with one before it, the voices are known and the rest is not."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import numpy as np

from stemwright.audio.decode import open_song
from stemwright.audio.signal import Samples
from stemwright.errors import SoundSourceMissing
from stemwright.train.instruments.sources import Source, usable
from stemwright.train.instruments.studio import RATE

# Of each bank those pieces alone whose licence asks for no more than to name who made them.
TRACKS: dict[str, tuple[str, ...]] = {
    "Music of Naev by Nikola Whallon": (
        "ambient1", "ambient2", "ambient2_5", "ambient3", "automat", "battlesomething1", "battlesomething2",
        "collective1", "collective2", "empire1", "empire2", "flf_battle1", "intrigue", "intro", "landing_sinister",
        "nebu_battle1", "nebu_battle2", "sirius1", "tension", "upbeat", "zalek1", "zalek2",
    ),
    "Music of Naev by Zeropage": ("ambiphonic", "void_sensor"),
    "Music of UFO: Alien Invasion by M. Marino, D. Reeves, azrael1322 and K. Macklin": (
        "David01", "David02", "David03", "David04", "David05", "azrael1", "karlmacklin_geoscape", "van_geoscape",
        "van_mission", "van_mission2", "van_mission3", "van_mission4", "van_theme",
    ),
    "Music of UFO: Alien Invasion by Golgotha": ("alBasrahM", "greecei", "turinItalyM"),
}  # fmt: skip


def recordings(split: str) -> Iterator[tuple[str, Source, Callable[[], Samples]]]:
    """Name and source of every recording that a split may use, and what reads it: float32 [2, samples] at RATE.

    Reading raises SoundSourceMissing, CannotRead and NotAudio.
    """
    for source in usable(split, "recordings"):
        for track in TRACKS[source.name]:
            yield f"{source.package}-{track.lower()}", source, lambda source=source, track=track: _read(source, track)


def _read(source: Source, track: str) -> Samples:
    home, name = source.file(), f"{track}.ogg"
    file: Path | BytesIO = home / name
    if home.is_file():  # a game's archive
        with zipfile.ZipFile(home) as archive:
            file = BytesIO(archive.read(f"music/{name}"))
    elif not file.exists():
        raise SoundSourceMissing(name=source.name, path=str(file), package=source.package)
    with closing(open_song(file, rate=RATE)) as song:
        sound = np.concatenate(list(song.blocks()), axis=1)
    return sound / np.maximum(np.abs(sound).max(), np.float32(1))
