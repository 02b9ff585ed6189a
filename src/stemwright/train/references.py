"""Songs whose stems are known, from every layout people have them in, and what their stems are called."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stemwright.audio.decode import open_song
from stemwright.audio.signal import Samples
from stemwright.errors import NoReferences, SilentSong, UnequalStems, UnknownReference
from stemwright.nets.bandsplit import STEMS
from stemwright.train.songs import RATE, complete_songs

Sum = tuple[str, ...]
"""The model's stems that a true stem is the sum of."""

SOUNDS = {".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus", ".aif", ".aiff"}
SLACK_SECONDS = 0.06  # an encoder's padding; a longer difference is a mistake
OTHER = "other"
# Words in file names, lower case and without plural, → stems; `other` is what no other file of the song claims.
WORDS: dict[str, Sum] = {stem: (stem,) for stem in STEMS} | {
    "vocal": ("vocals",), "vox": ("vocals",), "voice": ("vocals",), "lead": ("vocals",), "singer": ("vocals",),
    "backing": ("backing_vocals",), "choir": ("backing_vocals",), "harmonie": ("backing_vocals",),
    "drum": ("drums",), "kit": ("drums",), "perc": ("percussion",), "gtr": ("guitar",), "guitars": ("guitar",),
    "piano": ("keyboard",), "key": ("keyboard",), "organ": ("keyboard",), "string": ("strings",), "horn": ("brass",),
    "woodwind": ("woodwinds",), "synthesizer": ("synth",), "effect": ("fx",), "sfx": ("fx",),
    "accompaniment": tuple(s for s in STEMS if "vocals" not in s),
    "instrumental": tuple(s for s in STEMS if "vocals" not in s),
    "other": (OTHER,), "rest": (OTHER,), "melody": (OTHER,), "music": (OTHER,),
}  # fmt: skip
MIXES = {"mix", "mixture", "master"}


@dataclass(frozen=True)
class Reference:
    """A song: its mix, and every true stem with the model's stems it is the sum of."""

    name: str
    mix: Samples
    stems: dict[str, Samples]
    sums: dict[str, Sum]

    @property
    def sounding(self) -> set[str]:
        """The model's stems that are part of this song."""
        return {stem for members in self.sums.values() for stem in members}


def references(folder: Path, mapping: Mapping[str, str] | None = None) -> Iterator[Reference]:
    """The songs of a folder: composed ones, `.stem.mp4`, folders of stems (also MUSDB18), or one song's stems.

    `mapping` names what a file holds where its name does not tell: {"Take 3": "drums+bass"}. Raises NoReferences.
    """
    if not folder.exists():
        raise NoReferences(folder=folder)
    if any(folder.glob("*/song.json")):
        yield from (_composed(song) for song in complete_songs(folder))
        return
    found = sorted(folder.rglob("*.stem.mp4")) if folder.is_dir() else [folder]
    folders = sorted({path.parent for path in folder.rglob("*") if path.suffix.lower() in SOUNDS})
    if not found and not folders:
        raise NoReferences(folder=folder)
    for path in found:
        yield _reference(path.name.removesuffix(".stem.mp4"), _tracks(path), mapping or {})
    for path in folders:
        sounds = sorted(file for file in path.iterdir() if file.suffix.lower() in SOUNDS)
        yield _reference(path.name, {file.stem: _whole(file) for file in sounds}, mapping or {})


def _composed(song: Any) -> Reference:
    stems = {stem: song.stretch(stem, 0, song.samples) for stem in song.stems}
    return _finished(song.folder.name, stems, {stem: (stem,) for stem in stems})


def _reference(name: str, sounds: dict[str, tuple[Samples, int]], mapping: Mapping[str, str]) -> Reference:
    """From decoded files or streams by title; a mix among them is left out, for the mix is the sum of the stems."""
    kept = {title: sound for title, sound in sounds.items() if title.lower() not in MIXES}
    _refuse_unequal(name, kept)
    shortest = min(sound.shape[1] for sound, _ in kept.values())
    stems = {title: sound[:, :shortest] for title, (sound, _) in kept.items()}
    return _finished(name, stems, members(list(stems), mapping))


def _finished(name: str, stems: dict[str, Samples], sums: dict[str, Sum]) -> Reference:
    mix = np.stack(list(stems.values())).sum(0)
    if not np.any(np.abs(mix) > 1e-4):
        raise SilentSong(name=name)
    # A stem that is silent throughout is not in the song.
    sounding = {title: sound for title, sound in stems.items() if np.abs(sound).max() > 1e-4}
    return Reference(name, mix, sounding, {title: sums[title] for title in sounding})


def members(titles: list[str], mapping: Mapping[str, str]) -> dict[str, Sum]:
    """The model's stems in each true stem; those nobody claims go to `other`, else to their nearest kin.

    >>> members(["Lead Vocals", "BassDrums2"], {})
    {'Lead Vocals': ('vocals', 'backing_vocals'), 'BassDrums2': ('bass', 'drums', 'percussion')}
    """
    sums = {title: _named(title, mapping) for title in titles}
    claimed = {stem for sum_ in sums.values() for stem in sum_}
    for title, sum_ in sums.items():
        if OTHER in sum_:
            sums[title] = tuple(stem for stem in sum_ if stem != OTHER) + _unclaimed(claimed)
    claimed = {stem for sum_ in sums.values() for stem in sum_}
    for kin, own in (("backing_vocals", "vocals"), ("percussion", "drums")):
        for title, sum_ in sums.items():
            if own in sum_ and kin not in claimed:
                sums[title] = (*sum_, kin)
    return sums


def _unclaimed(claimed: set[str]) -> Sum:
    kin = {"backing_vocals": "vocals", "percussion": "drums"}
    return tuple(stem for stem in STEMS if stem not in claimed and kin.get(stem) not in claimed)


def _named(title: str, mapping: Mapping[str, str]) -> Sum:
    wanted = mapping.get(title)
    if wanted is None:
        flat = re.sub(r"[^a-z]+", "_", title.lower()).strip("_")
        if flat in WORDS:
            return WORDS[flat]
        # "BassDrums30", "backing_vocals 2": words by capitals and by whatever is not a letter.
        words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", title)]
        found = [WORDS.get(word) or WORDS.get(word.removesuffix("s")) for word in words]
        if "backing" in words:
            return WORDS["backing"]
    else:
        found = [WORDS.get(word.strip().lower()) for word in wanted.split("+")]
    sums = tuple(dict.fromkeys(stem for sum_ in found if sum_ for stem in sum_))
    if not sums or (wanted is not None and None in found):
        raise UnknownReference(title=title, choices=", ".join((*STEMS, OTHER)))
    return sums


def _refuse_unequal(name: str, sounds: dict[str, tuple[Samples, int]]) -> None:
    if not sounds:
        raise NoReferences(folder=name)
    lengths = {title: sound.shape[1] / RATE for title, (sound, _) in sounds.items()}
    rates = {title: rate for title, (_, rate) in sounds.items()}
    if max(lengths.values()) - min(lengths.values()) > SLACK_SECONDS:
        raise UnequalStems(name=name, what="lengths (s)", values={t: round(v, 2) for t, v in lengths.items()})
    if len(set(rates.values())) > 1:
        raise UnequalStems(name=name, what="sample rates", values=rates)


def _whole(path: Path) -> tuple[Samples, int]:
    with open_song(path, rate=RATE) as song:
        blocks = list(song.blocks())
        return np.concatenate(blocks, axis=1), song.source_rate


def _tracks(path: Path) -> dict[str, tuple[Samples, int]]:
    """The streams of an NI `.stem.mp4` by title: the first is the master, a JSON atom names the others."""
    import av
    import soxr

    with av.open(str(path)) as container:
        count = len(container.streams.audio)
    titles = ["mixture", *_titles(path)]
    titles += [f"stem {i}" for i in range(len(titles), count)]
    tracks = {}
    for i in range(count):
        with av.open(str(path)) as container:
            stream = container.streams.audio[i]
            frames = [frame.to_ndarray().astype(np.float32) for frame in container.decode(stream)]
            sound = np.concatenate(frames, axis=1)
            tracks[titles[i]] = (np.asarray(soxr.resample(sound.T, stream.rate, RATE).T, np.float32), stream.rate)
    return tracks


def _titles(path: Path) -> list[str]:
    """Names in the `stem` atom (moov/udta/stem, Native Instruments' Stem file specification), else MUSDB18's order."""
    content = path.read_bytes()
    place = content.find(b"stem{")
    end = int.from_bytes(content[place - 4 : place], "big") + place - 4 if place >= 4 else 0
    try:
        return [str(stem["name"]) for stem in json.loads(content[place + 4 : end])["stems"]]
    except (ValueError, KeyError, TypeError):
        return ["drums", "bass", "other", "vocals"]
