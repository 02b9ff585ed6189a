"""What is done already in a folder of results: one line a song in one file, kept through Ctrl-C and power loss."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stemwright.audio.naming import Claims, safe
from stemwright.batch.wishes import Wish, made, sound
from stemwright.errors import CannotRead
from stemwright.zoo import catalog, installed, recipes

NAME = ".stemwright.jsonl"


@dataclass(frozen=True)
class Entry:
    """A finished song: `key` says of what bytes, model and options; `files` are paths below the folder, and sizes."""

    key: str
    name: str
    song: str
    sha256: str
    files: dict[str, int]


class Journal:
    """The entries of a folder. A line is written after its song's files are whole, at once and to the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / NAME
        self._by_key: dict[str, Entry] = {}
        self._by_name: dict[str, Entry] = {}
        self._by_file: dict[str, str] = {}  # the key of the last entry that wrote it
        self.claims = Claims()
        for entry in _read(self._path):
            self._remember(entry)

    def name_for(self, song: Path, digest: str, taken: set[str]) -> str:
        """What the song is called, and added to those taken: "name", or "name (2)" where another song has that."""
        plain, number = safe(song.stem) if song.stem.strip(" .") else "song", 1
        free = plain
        while free.casefold() in taken or not self._may_have(free, song, digest):
            number += 1
            free = f"{plain} ({number})"
        taken.add(free.casefold())
        return free

    def done(self, key: str) -> Entry | None:
        """The entry of that key whose files are all still there."""
        found = self._by_key.get(key)
        return found if found and self._is_whole(found) else None

    def add(self, entry: Entry) -> None:
        """Remembers a finished song; one that cannot be written down is only done again another time."""
        self._remember(entry)
        line = json.dumps(asdict(entry), ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        with contextlib.suppress(OSError), self._path.open("ab") as file:
            if file.tell() and not _ends_a_line(self._path):
                line = b"\n" + line  # the last one was cut off by a power loss
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def entry(self, key: str, name: str, song: Path, digest: str, paths: Iterable[Path]) -> Entry:
        """An entry for files that were just written."""
        files = {path.relative_to(self._folder).as_posix(): path.stat().st_size for path in paths}
        return Entry(key, name, str(song.absolute()), digest, files)

    def _remember(self, entry: Entry) -> None:
        for file in entry.files:
            self._by_key.pop(self._by_file.get(file, ""), None)  # an earlier result was written over
        self._by_key[entry.key] = self._by_name[entry.name.casefold()] = entry
        self._by_file |= dict.fromkeys(entry.files, entry.key)
        self.claims.take(entry.name, [self._folder / file for file in entry.files])

    def _may_have(self, name: str, song: Path, digest: str) -> bool:
        """Whether the name is free for a song: nobody's, its own, or one's that has been moved or deleted."""
        entry = self._by_name.get(name.casefold())
        if entry is None or entry.song == str(song.absolute()) or entry.sha256 == digest:
            return True
        return not os.path.lexists(entry.song)

    def _is_whole(self, entry: Entry) -> bool:
        with contextlib.suppress(OSError):
            return all((self._folder / file).stat().st_size == size for file, size in entry.files.items())
        return False


def key_of(digest: str, name: str, wish: Wish) -> str:
    """The same for the same bytes, name, model and options, in whatever words they were given."""
    how = sound(wish)
    model = wish.get("model", catalog.BUNDLED)
    options: dict[str, Any] = {"outputs": made(wish), "sound": [how.format, how.bits, how.kbps, how.dither]}
    options |= {"profile": wish.get("profile", "consistent"), "silent": wish.get("silent", "write")}
    options |= {"precision": wish.get("precision", "auto")}
    options |= {name: wish.get(name) for name in ("rate", "preview", "names")}
    if also := wish.get("also"):
        options["also"] = sorted(also)
    told = json.dumps([digest, name, model, _weights(model), options], sort_keys=True)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


def digest_of(song: Path) -> str:
    """The SHA-256 of its bytes; raises CannotRead."""
    try:
        with song.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise CannotRead(path=song, reason=getattr(error, "strerror", None) or str(error)) from error


def _weights(model: str) -> list[Any]:
    """What else than its name makes a model what it is: the checksum of its weights, or a recipe's tree of models."""
    if recipes.is_recipe(model):
        split = recipes.recipe(model).split
        return [repr(split), *map(_weights, split.models)]
    if model in catalog.names():
        return [catalog.card(model).sha256]
    found = installed.find(model)
    return [found.facts.get("sha256") if found else None]


def _read(path: Path) -> list[Entry]:
    """The lines that are whole; what a power loss cut off is not."""
    entries: list[Entry] = []
    with contextlib.suppress(OSError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                entries.append(Entry(**json.loads(line.decode("utf-8", "surrogatepass"))))
    return entries


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
