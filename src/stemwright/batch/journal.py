"""What is done already in a folder of results: one line a song in one file, kept through Ctrl-C and power loss."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from stemwright.audio.naming import Claims, safe
from stemwright.audio.parts import hold, settle, sweep
from stemwright.engine.progress import go_on
from stemwright.errors import CannotRead
from stemwright.wish import Wish
from stemwright.zoo import installed
from stemwright.zoo.catalog import Card
from stemwright.zoo.names import known
from stemwright.zoo.published import Published
from stemwright.zoo.recipes import Recipe

NAME = ".stemwright.jsonl"
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A finished song: `key` says of what bytes, model and options; `files` are paths below the folder, and sizes."""

    key: str
    name: str
    song: str
    sha256: str
    files: dict[str, int]


@dataclass(frozen=True)
class _Begun:
    """Files that are going to be written, of the song of that name."""

    files: frozenset[str]
    by: str


class Journal:
    """The entries of a folder. A line is written after its song's files are whole, at once and to the disk.

    Lines before it say what the song is called, so that another run at the same time calls none of its own so, and
    which files are going to be written, so that what a killed run leaves of them can be found.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / NAME
        self._by_key: dict[str, Entry] = {}
        self._by_name: dict[str, Entry] = {}
        self._by_file: dict[str, str] = {}  # the key of the last entry that wrote it
        self._begun: set[str] = set()
        self._announced: set[bytes] = set()  # lines of this run that are no entries
        self._read_to = 0
        self._made = [path for path in (self._path, folder, *folder.parents) if not os.path.exists(path)]  # noqa: PTH110
        self._lock = threading.RLock()
        self.claims: Claims = _Announced(self.alone, self._begin)
        self._learn()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """No other run names a song or a file meanwhile, and what others have written down until now is known."""
        with self._lock, contextlib.ExitStack() as open_files:
            with contextlib.suppress(OSError):  # a folder that cannot be written, a filesystem without locks
                self._folder.mkdir(parents=True, exist_ok=True)
                hold(open_files.enter_context(self._path.open("ab")), waits=True)
            self._learn()
            yield

    def leave(self) -> None:
        """Takes away what this run began and never came to use: a failure leaves no trace."""
        with contextlib.suppress(OSError):
            if set(_bytes(self._path).splitlines()) <= self._announced:
                for path in self._made:
                    path.unlink(missing_ok=True) if path == self._path else path.rmdir()

    def tidy(self) -> None:
        """Removes what killed runs left half-written; files that another run is writing stay."""
        for file in self._begun:
            if _is_below(file):
                sweep(self._folder / file)

    def name_for(self, song: Path, digest: str, taken: set[str], *, folder: str = "") -> str:
        """What the song is called, and added to those taken: "name", or "name (2)" where another song has that.

        Songs are told apart by their folders where those are kept: "folder/name".
        """
        plain, number = safe(song.stem) if song.stem.strip(" .") else "song", 1
        plain = f"{folder}/{plain}" if folder else plain
        free = plain
        while free.casefold() in taken or not self._may_have(free, song, digest):
            number += 1
            free = f"{plain} ({number})"
        taken.add(free.casefold())
        return free

    def named(self, name: str, song: Path, digest: str) -> None:
        """Writes down what a song is called that is going to be separated."""
        called = Entry("", name, str(song.absolute()), digest, {})
        known = self._by_name.get(name.casefold())
        if known is None or (known.song, known.sha256) != (called.song, called.sha256):
            self._by_name[name.casefold()] = called
            self._announce({"named": name, "song": called.song, "sha256": digest})

    def done(self, key: str) -> Entry | None:
        """The entry of that key, by whichever run, whose files are all still there."""
        with self._lock:
            self._learn()
        found = self._by_key.get(key)
        return found if found and self._is_whole(found) else None

    def add(self, entry: Entry) -> None:
        """Remembers a finished song; one that cannot be written down is only done again another time."""
        self._remember(entry)
        self._append(asdict(entry))

    def entry(self, key: str, name: str, song: Path, digest: str, paths: Iterable[Path]) -> Entry:
        """An entry for files that were just written."""
        files = {path.relative_to(self._folder).as_posix(): path.stat().st_size for path in paths}
        return Entry(key, name, str(song.absolute()), digest, files)

    def _begin(self, owner: str, paths: Iterable[Path]) -> None:
        self._announce({"begun": sorted(path.relative_to(self._folder).as_posix() for path in paths), "by": owner})

    def _announce(self, value: object) -> None:
        self._announced.add(_line(value).rstrip())
        self._append(value)

    def _learn(self) -> None:
        """Remembers the lines since it was read last; one that is cut off, or not whole yet, is none."""
        new = _bytes(self._path, self._read_to)
        self._read_to += new.rfind(b"\n") + 1
        for line in _lines(new):
            if isinstance(line, Entry):
                self._remember(line)
                self._begun -= line.files.keys()  # until they are begun again
            else:
                self._begun |= line.files
                called = self._by_name.get(line.by.casefold())
                if called is not None and os.path.lexists(called.song):  # else nobody is going to write them any more
                    self.claims.take(line.by, [self._folder / file for file in line.files])

    def _append(self, value: object) -> None:
        line = _line(value)
        with self._lock, contextlib.suppress(OSError), self._path.open("ab") as file:
            if file.tell() and not _ends_a_line(self._path):
                line = b"\n" + line  # the last one was cut off by a power loss
            file.write(line)
            settle(file)

    def _remember(self, entry: Entry) -> None:
        for file in entry.files:
            self._by_key.pop(self._by_file.get(file, ""), None)  # an earlier result was written over
        self._by_name[entry.name.casefold()] = entry
        if not entry.key:
            return
        self._by_key[entry.key] = entry
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


def written(folder: Path) -> list[Path]:
    """All files that runs into a folder have written there, by its journal."""
    lines = _lines(_bytes(folder / NAME))
    return [folder / file for line in lines if isinstance(line, Entry) for file in line.files]


class _Announced(Claims):
    """Claims that are told before a byte is written, one run at a time."""

    def __init__(
        self,
        alone: Callable[[], contextlib.AbstractContextManager[None]],
        told: Callable[[str, Iterable[Path]], None],
    ) -> None:
        super().__init__()
        self._alone, self._told = alone, told

    def claim(self, owner: str, paths: Sequence[Path]) -> list[Path]:
        with self._alone():
            claimed = super().claim(owner, paths)
            self._told(owner, claimed)
            return claimed


def key_of(digest: str, name: str, wish: Wish) -> str:
    """The same for the same bytes, name, model and options, in whatever words they were given."""
    how = wish.sound
    options: dict[str, Any] = {"outputs": wish.outputs(), "sound": [how.format, how.bits, how.kbps, how.dither]}
    options |= {"profile": wish.profile, "silent": wish.silent, "precision": wish.precision}
    options |= {"rate": wish.rate, "preview": wish.preview, "names": wish.names}
    if wish.also:
        options["also"] = sorted(wish.also)
    told = json.dumps([digest, name, wish.model, _weights(wish.model), options], sort_keys=True)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


def digest_of(song: Path) -> str:
    """The SHA-256 of its bytes; raises CannotRead."""
    digest = hashlib.sha256()
    try:
        with song.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                go_on()
                digest.update(piece)
            return digest.hexdigest()
    except (OSError, ValueError) as error:
        raise CannotRead(path=song, reason=getattr(error, "strerror", None) or str(error)) from error


def _weights(model: str) -> list[Any]:
    """What else than its name makes a model what it is: the checksums of its weights, or a recipe's tree of models."""
    match known(model):
        case Recipe(split=split):
            return [repr(split), *map(_weights, split.models)]
        case Card(sha256=sha256):
            return [sha256]
        case Published(members=(_, *_) as bag):
            return [*map(_weights, bag)]
        case _:
            found = installed.find(model)
            return [found.facts["sha256"] if found else None]


def _is_below(file: str) -> bool:
    """Whether a path of a journal, which may be a stranger's, stays in its folder."""
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts


def _bytes(path: Path, start: int = 0) -> bytes:
    """What is in a file from there on; nothing where there is none."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(start)
        return file.read()
    return b""


def _lines(text: bytes) -> Iterator[Entry | _Begun]:
    """The lines that are whole; what a power loss cut off is not. A name alone is an entry without a key."""
    for line in text.splitlines():
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            told = json.loads(line.decode("utf-8", "surrogatepass"))
            if "begun" in told:
                yield _Begun(frozenset(map(str, told["begun"])), str(told.get("by", "")))
            elif "named" in told:
                yield Entry("", str(told["named"]), str(told["song"]), str(told["sha256"]), {})
            else:
                yield Entry(**told)


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
