"""Songs whose stems are known, from every layout people have them in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from stemwright.audio.container import open_container
from stemwright.audio.decode import open_song
from stemwright.audio.signal import Samples
from stemwright.errors import NoReferences, PartsMissing, ShortSong, SilentSong, UnequalStems, UnknownTitle
from stemwright.train.learning.songs import RATE, SUMS, Song, complete_songs
from stemwright.train.measuring.titles import Sum, told

SOUNDS = {".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus", ".aif", ".aiff"}
NATIVE = ".stem.mp4"
SLACK_SECONDS = 0.06  # an encoder's padding; a longer difference is a mistake
AUDIBLE = 1e-4
MIXES = {"mix", "mixture", "master"}
MOST_MISSING = 0.4  # of a mix's power; mastering makes less of a difference


Sounds = dict[str, tuple[Samples, int]]
"""Decoded files or streams by title, each with the rate it had."""


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


@dataclass(frozen=True)
class Waiting:
    """A song that has not been read yet; `read` raises what is wrong with it. `files` are all that it is read from."""

    name: str
    files: tuple[Path, ...]
    titles: tuple[str, ...]
    read: Callable[[], Reference]


def waiting(folder: Path, mapping: Mapping[str, str] | None = None) -> list[Waiting]:
    """The songs of a folder: composed ones, `.stem.mp4`, folders of stems (also MUSDB18), or one song's stems.

    `mapping` names what a file holds where its name does not tell: {"Take 3": "drums+bass"}. Raises NoReferences, and
    UnknownTitle where it names no file.
    """
    if any(folder.glob("*/song.json")):
        return [Waiting(song.folder.name, (), song.stems, partial(_composed, song)) for song in complete_songs(folder)]
    mapping = mapping or {}
    files = sorted(_below(folder)) if folder.is_dir() else [folder] if folder.exists() else []
    found = [_native(folder, path, mapping) for path in files if path.name.lower().endswith(NATIVE)]
    parents = dict.fromkeys(path.parent for path in files if _is_stem(path))
    found += [_folder(folder, parent, mapping) for parent in parents if folder.is_dir()]
    if not found:
        raise NoReferences(folder=folder)
    titles = dict.fromkeys(title for song in found for title in song.titles)
    for title in mapping:
        if title not in titles:
            raise UnknownTitle(title=title, choices=", ".join(titles))
    return found


def _below(folder: Path) -> Iterator[Path]:
    """The files of a folder and of those in it, also behind links; of one that is met twice, or in itself, once."""
    met = set[str]()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in met:
            folders.clear()
            continue
        met.add(real)
        folders.sort()
        yield from (Path(place, name) for name in names)


def _is_stem(path: Path) -> bool:
    return _is_sound(path) and not _is_mix(path)


def _is_mix(path: Path) -> bool:
    return path.stem.lower() in MIXES


def _is_sound(path: Path) -> bool:
    """Whether it is one's own; copies that macOS leaves (`._vocals.wav`) and hidden files are none."""
    return path.suffix.lower() in SOUNDS and not path.name.startswith(".") and path.is_file()


def _folder(root: Path, folder: Path, mapping: Mapping[str, str]) -> Waiting:
    sounds = [path for path in sorted(folder.iterdir()) if _is_sound(path)]
    paths = {path.stem: path for path in sounds if not _is_mix(path)}
    mix = next(filter(_is_mix, sounds), None)
    read = partial(_files, _name(root, folder), paths, mapping, mix)
    return Waiting(_name(root, folder), tuple(sounds), tuple(paths), read)


def _native(root: Path, path: Path, mapping: Mapping[str, str]) -> Waiting:
    name, said = _name(root, path)[: -len(NATIVE)], _titles(path)
    titles = [title if title not in said[:i] else f"{title} {i + 1}" for i, title in enumerate(said)]
    mapping = {**mapping, **{own: mapping[title] for own, title in zip(titles, said, strict=True) if title in mapping}}
    return Waiting(name, (path,), tuple(titles), lambda: _reference(name, _tracks(path, titles), mapping))


def _name(root: Path, path: Path) -> str:
    """Where a song lies in the folder; its own name where it is the folder."""
    return path.name if path == root else path.relative_to(root).as_posix()


def _composed(song: Song) -> Reference:
    titles = {part: part.replace("_", " ") if part in SUMS else part for part in song.stems}
    stems = {titles[part]: song.stretch(part, 0, song.samples) for part in song.stems}
    return _finished(song.folder.name, stems, {titles[part]: held for part, held in song.holds.items()})


def _files(name: str, paths: Mapping[str, Path], mapping: Mapping[str, str], mix: Path | None) -> Reference:
    told(list(paths), mapping)  # a name that tells nothing is told before minutes of decoding
    found = _reference(name, {title: _whole(path) for title, path in paths.items()}, mapping)
    if mix:
        _refuse_partial(found, mix)
    return found


def _refuse_partial(found: Reference, path: Path) -> None:
    """Two stems of five, beside the mix of all, would be measured as if they were the song."""
    mix, summed = _whole(path)[0], found.mix
    shortest = min(mix.shape[1], summed.shape[1])
    mix, summed = mix[:, :shortest], summed[:, :shortest]
    gain = np.vdot(summed, mix) / np.vdot(summed, summed)
    missing = np.sum((mix - gain * summed) ** 2) / max(np.sum(mix**2), AUDIBLE)
    if missing > MOST_MISSING:
        raise PartsMissing(name=found.name, mix=path.name, percent=round(100 * float(missing)))


def _reference(name: str, sounds: Sounds, mapping: Mapping[str, str]) -> Reference:
    """The mix is the sum of the stems, so that a file of it is not needed; files that say the same are one stem."""
    _refuse_unequal(name, sounds)
    shortest = min(sound.shape[1] for sound, _ in sounds.values())
    stems: dict[str, Samples] = {}
    sums: dict[str, Sum] = {}
    for title, said in told(list(sounds), mapping).items():
        sound = sounds[title][0][:, :shortest]
        stems[said.name] = stems[said.name] + sound if said.name in stems else sound
        sums[said.name] = said.stems
    return _finished(name, stems, sums)


def _finished(name: str, stems: dict[str, Samples], sums: dict[str, Sum]) -> Reference:
    mix = np.stack(list(stems.values())).sum(0)
    if mix.shape[1] < RATE:
        raise ShortSong(name=name, seconds=round(mix.shape[1] / RATE, 2))
    if not np.any(np.abs(mix) > AUDIBLE):
        raise SilentSong(name=name)
    # A stem that is silent throughout is not in the song.
    sounding = {title: sound for title, sound in stems.items() if np.abs(sound).max() > AUDIBLE}
    return Reference(name, mix, sounding, {title: sums[title] for title in sounding})


def _refuse_unequal(name: str, sounds: dict[str, tuple[Samples, int]]) -> None:
    if not sounds:
        raise NoReferences(folder=name)
    lengths = {title: sound.shape[1] / RATE for title, (sound, _) in sounds.items()}
    rates = {title: rate for title, (_, rate) in sounds.items()}
    if max(lengths.values()) - min(lengths.values()) > SLACK_SECONDS:
        raise UnequalStems(name=name, what="lengths (s)", values={t: round(v, 2) for t, v in lengths.items()})
    if len(set(rates.values())) > 1:
        raise UnequalStems(name=name, what="sample rates", values=rates)


def _whole(path: Path, stream: int | None = None) -> tuple[Samples, int]:
    with open_song(path, rate=RATE, stream=stream) as song:
        blocks = list(song.blocks())
        return np.concatenate(blocks, axis=1), song.source_rate


def _tracks(path: Path, titles: list[str]) -> Sounds:
    """The streams of an NI `.stem.mp4` by title: the first is the master, all others are stems."""
    with path.open("rb") as file, open_container(file, str(path)) as container:
        count = len(container.streams.audio)
    if count < 2:
        raise NoReferences(folder=path)
    names = ["mixture", *titles, *(f"stem {i}" for i in range(len(titles) + 1, count))]
    return {names[i]: _whole(path, stream=i) for i in range(1, count)}


def _titles(path: Path) -> list[str]:
    """Names in the `stem` atom (moov/udta/stem, Native Instruments' Stem file specification), else MUSDB18's order."""
    content = _index(path)
    place = content.find(b"stem{")
    end = int.from_bytes(content[place - 4 : place], "big") + place - 4 if place >= 4 else 0
    try:
        return [str(stem["name"]) for stem in json.loads(content[place + 4 : end])["stems"]]
    except (ValueError, KeyError, TypeError):
        return ["drums", "bass", "other", "vocals"]


def _index(path: Path) -> bytes:
    """The `moov` atom of an mp4, without the sound beside it; nothing where there is none."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind, ahead = int.from_bytes(head[:4], "big"), head[4:], 8
            if size == 1:  # a 64-bit size follows
                size, ahead = int.from_bytes(file.read(8), "big"), 16
            if kind == b"moov" or size < ahead:
                return file.read(size - ahead) if kind == b"moov" else b""
            file.seek(size - ahead, os.SEEK_CUR)
    return b""
