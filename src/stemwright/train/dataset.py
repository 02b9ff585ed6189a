"""Renders a data set: one folder a song, one array a stem, `song.json` written last as the mark that it is whole."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.lib import format as form

from stemwright.audio.parts import open_part, publish, settle, write_error
from stemwright.train.instruments import sources
from stemwright.train.instruments.recordings import recordings
from stemwright.train.learning.songs import RECORDED, WHOLE, Song
from stemwright.train.processes import processes
from stemwright.train.singing import voices
from stemwright.train.song import Rendered, render_song

# Far apart, so that no song of one split is ever a song of another.
FIRST_SEED = {"train": 0, "val": 500_000_000, "test": 800_000_000}


def compose(
    folder: Path | str, songs: int, seconds: float, *, split: str = "train", seed: int = 0, workers: int = 1,
    on_song: Callable[[dict], None] | None = None,
) -> int:  # fmt: skip
    """Renders songs `seed` to `seed + songs - 1` of a split into `folder`; whole ones are kept, halves done anew.

    Returns how many were rendered. Raises SoundSourceMissing, with all that are missing, VoicesUnfinished and NoVoices
    before the first.
    """
    root = Path(folder) / split
    wanted = [FIRST_SEED[split] + seed + i for i in range(songs)]
    missing = [s for s in wanted if not (root / song_id(s) / "song.json").exists()]
    if missing:
        sources.refuse_missing(split)
        voices.refuse_unfinished()
        voices.voice_names(split)
    root.mkdir(parents=True, exist_ok=True)
    if workers > 1:
        with processes(workers) as pool:
            for known in pool.map(_render_into, [(root, s, seconds, split) for s in missing]):
                _report(known, on_song)
    else:
        for s in missing:
            _report(_render_into((root, s, seconds, split)), on_song)
    return len(missing)


def lay_recordings(folder: Path | str, *, split: str = "train", on_song: Callable[[dict], None] | None = None) -> int:
    """Puts the recordings of a split beside its songs; whole ones are kept. Returns how many were put there.

    Raises SoundSourceMissing, with all that are missing, before the first; CannotWrite, DiskFull.
    """
    sources.refuse_missing(split, recorded=True)
    done = 0
    for name, source, read in recordings(split):
        place = Path(folder) / split / f"{RECORDED}-{name}"
        if not (place / "song.json").exists():
            facts = {"name": name, "stems": [WHOLE], "sources": [{"name": source.name, "licence": source.licence}]}
            _report(save_song(place, Rendered({WHOLE: read().T}, facts)), on_song)
            done += 1
    return done


def lasting_otherwise(folder: Path | str, seconds: float) -> dict[str, float]:
    """Whole composed songs of a folder of another length, in seconds; others are as long as somebody made them."""
    composed = [Song(path.parent, ()) for path in sorted(Path(folder).glob("song-*/song.json"))]
    lengths = {song.folder.name: song.read_facts().get("seconds", seconds) for song in composed}
    return {name: length for name, length in lengths.items() if length != seconds}


def song_id(seed: int) -> str:
    """The folder name of a song."""
    return f"song-{seed:09d}"


def _report(known: dict, on_song: Callable[[dict], None] | None) -> None:
    if on_song:
        on_song(known)


def _render_into(job: tuple[Path, int, float, str]) -> dict:
    root, seed, seconds, split = job
    return save_song(root / song_id(seed), render_song(seed, seconds, split=split))


def save_song(folder: Path, song: Rendered) -> dict:
    """Writes the stems as int16 [samples, 2] and then song.json; returns what song.json says.

    Raises CannotWrite, DiskFull: then the folder is gone again.
    """
    known = {"id": folder.name, **song.facts}
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        for stem, sound in song.stems.items():
            with (folder / f"{stem}.npy").open("wb") as file:
                samples = np.round(sound * 32767).astype(np.int16, order="C")
                form.write_array_header_1_0(file, form.header_data_from_array_1_0(samples))
                file.write(samples.data)  # np.save does not say why a file could not be written
                settle(file)  # a song that says it is whole is whole after a power loss too
        with open_part(folder / "song.json") as file:
            file.write((json.dumps(known, indent=1) + "\n").encode())
            settle(file)
            publish(file, folder / "song.json")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise write_error(folder, error) from error
    return known
