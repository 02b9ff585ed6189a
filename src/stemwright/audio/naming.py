"""Names of files from a template: any Unicode goes in, every filesystem takes what comes out. Never parsed back."""

from __future__ import annotations

import os
import re
import string
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from stemwright.audio.tags import Tags
from stemwright.errors import BadTemplate

STEM_ONLY = "{stem}.{ext}"
_OF_TAGS = "title artist album album_artist composer genre date year track disc bpm key".split()  # noqa: SIM905
FIELDS = (*_OF_TAGS, "song", "folder", "stem", "index", "model", "rate", "ext")
_NUMBERS = ("index", "rate", "track", "disc")
_TELLS_STEMS_APART = {"stem", "index"}
_LONG_ENDINGS = (".stem.mp4",)
_KEPT_WHOLE = ("ext", "index", "rate")
_FOLDER = "{folder}"

# Windows refuses these characters; / and NUL are nobody's; what turns the reading direction can fake an extension.
_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
_JOINERS = "\u200c\u200d"  # part of how Persian, scripts of India and some emoji are written
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|$)", re.IGNORECASE)
LONGEST_BYTES = 255 - len(".part") - len(" (999)")


class Template:
    """A name with fields in braces, checked when it is made; raises BadTemplate."""

    def __init__(self, text: str) -> None:
        self.text = text
        if not isinstance(text, str):
            raise self._wrong("it is no text")
        names = set()
        for _, name, spec, conversion in self._parsed():
            if name is not None:
                self._check_field(name, spec or "", conversion)
                names.add(name)
        if not names & _TELLS_STEMS_APART:
            raise self._wrong("without {stem} all stems of a song would have one name")
        self.fields = frozenset(names)
        self._components = [*Path(text if "ext" in names else f"{text}.{{ext}}").parts]
        if text.endswith(("/", "\\")) or Path(text).is_absolute() or ".." in self._components:
            raise self._wrong("it has to be the name of a file below the folder for the results")

    def path(self, values: Mapping[str, str | int]) -> Path:
        """The relative path for these values, each component at most 244 bytes long; long values are cut.

        A component that is {folder} alone becomes as many as the folder has: none, where it has none.
        """
        folders = [safe(part) for part in str(values["folder"]).split("/") if part]
        made = [folders if each == _FOLDER else [_component(each, values)] for each in self._components]
        return Path(*chain.from_iterable(made))

    def _parsed(self) -> list[tuple[str, str | None, str | None, str | None]]:
        try:
            return list(string.Formatter().parse(self.text))
        except ValueError as error:
            raise self._wrong(str(error)) from None

    def _check_field(self, name: str, spec: str, conversion: str | None) -> None:
        if name not in FIELDS:
            raise self._wrong(f"there is no {{{name}}}")
        if conversion or (spec and not (name in _NUMBERS and re.fullmatch(r"0?[1-9]", spec))):
            raise self._wrong(f"only {', '.join(_NUMBERS)} can have a width, as in {{index:02}}")

    def _wrong(self, reason: str) -> BadTemplate:
        return BadTemplate(template=self.text, reason=reason, fields=", ".join(FIELDS))


def safe(name: str, *, room: int = 0) -> str:
    """One component of a path that every filesystem takes: Windows', Apple's and Linux's; `room` bytes can follow it.

    >>> safe('AC/DC: "Who?" ')
    'AC_DC_ _Who__'
    """
    clean = _plain(name).strip(" .") or "_"
    return _cut(f"_{clean}" if _RESERVED.match(clean) else clean, LONGEST_BYTES - room)


def shown(name: str) -> str:
    """A name as people see it, on one line, without what turns the direction of what follows, and what is no sign.

    >>> shown("Gnos \u202egnos\u3000 ")
    'Gnos gnos'
    """
    seen = (sign for sign in name if sign.isprintable() or sign.isspace() or sign in _JOINERS)
    return " ".join("".join(seen).split()).strip(_JOINERS)


def values(tags: Tags, *, song: str, folder: str = "", model: str, rate: int, ext: str) -> dict[str, str | int]:
    """What a song's names are made of; `stem` and `index` come with each stem."""
    known: dict[str, str | int] = {name: tags.texts.get(name, "") for name in FIELDS}
    known |= {name: known[name] or f"Unknown {name}" for name in ("artist", "album")}
    for name in ("track", "disc"):
        number = re.match(r"\d+", str(known[name]))
        known[name] = int(number[0]) if number else 0
    known |= {"year": str(known["date"])[:4], "title": tags.title or song}
    return known | {"song": song, "folder": folder, "model": model, "rate": rate, "ext": ext}


@dataclass
class Claims:
    """Who has which path, so that no file is written over another song's: two names that differ in case are one."""

    _owners: dict[str, str] = field(default_factory=dict[str, str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, owner: str, paths: Iterable[Path]) -> None:
        """Says whose these are."""
        with self._lock:
            self._owners |= {_same(path): owner for path in paths}

    def claim(self, owner: str, paths: Sequence[Path]) -> list[Path]:
        """The paths, all with the same number where another owner has one of them: "name (2).ext"."""
        with self._lock:
            for number in _numbers():
                free = _apart([_numbered(path, number) for path in paths])
                if all(self._owners.get(_same(path), owner) == owner for path in free):
                    self._owners |= {_same(path): owner for path in free}
                    return free
        raise AssertionError("numbers do not end")


def _apart(paths: Sequence[Path]) -> list[Path]:
    """The paths, with a number behind each name that an earlier one has already."""
    taken: set[str] = set()
    free: list[Path] = []
    for path in paths:
        free.append(next(one for number in _numbers() if _same(one := _numbered(path, number)) not in taken))
        taken.add(_same(free[-1]))
    return free


def _numbers() -> Iterator[int]:
    number = 1
    while True:
        yield number
        number += 1


def _numbered(path: Path, number: int) -> Path:
    ending = next((ending for ending in _LONG_ENDINGS if path.name.endswith(ending)), path.suffix)
    return path if number == 1 else path.with_name(f"{path.name.removesuffix(ending)} ({number}){ending}")


def _same(path: Path) -> str:
    """Equal for paths that some filesystem takes for one, however they are spelled: through links and `..` too."""
    return unicodedata.normalize("NFD", os.path.realpath(path)).casefold()


def _component(template: str, values: Mapping[str, str | int]) -> str:
    """One component, its longest texts cut until it fits."""
    used = [name for _, name, _, _ in string.Formatter().parse(template) if name]
    fitting = {name: _plain(value) if isinstance(value, str) else value for name, value in values.items()}
    texts = [name for name in used if name not in _KEPT_WHOLE and isinstance(fitting[name], str)]
    while (excess := _bytes(name := template.format_map(fitting)) - LONGEST_BYTES) > 0:
        longest = max(texts, key=lambda text: (_bytes(str(fitting[text])), text != "stem"), default="")
        if not longest or _bytes(str(fitting[longest])) < 8:
            break
        left = _bytes(str(fitting[longest])) - min(excess, max(1, excess // used.count(longest)))
        fitting[longest] = _cut(str(fitting[longest]), max(7, left))
    return safe(name)


def _plain(text: str) -> str:
    """Without characters that some filesystem refuses; dots alone would mean another folder, or nothing."""
    clean = _UNSAFE.sub("_", unicodedata.normalize("NFC", text)).strip()
    return clean if clean.strip(".") or not clean else "_"


def _cut(text: str, most: int) -> str:
    """At most so many bytes of UTF-8, never inside a character nor between a letter and its accents."""
    if _bytes(text) <= most:
        return text
    end = len(text.encode()[:most].decode("utf-8", "ignore"))
    while end and (unicodedata.combining(text[end]) or text[end] in "\u200d\ufe0e\ufe0f" or text[end - 1] == "\u200d"):
        end -= 1
    return text[:end].rstrip(" .") or "_"


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
