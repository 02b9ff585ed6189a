"""What a song says about itself (title, artist, cover, …), and the same for its stems."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from stemwright.audio.covers import complaint

_TEXTS = (  # noqa: SIM905
    "title artist album album_artist composer genre date track disc copyright publisher comment lyrics bpm key isrc"
).split()
# How the other containers call them, in FFmpeg's spelling.
_ALIASES = {"tbpm": "bpm", "tmpo": "bpm", "tkey": "key", "initialkey": "key", "tsrc": "isrc", "year": "date"}
_ALIASES |= {"label": "publisher", "organization": "publisher", "unsyncedlyrics": "lyrics"}
# Vorbis comments count in fields of their own what others write as "3/12".
_TOTALS = {"tracktotal": "track", "totaltracks": "track", "disctotal": "disc", "totaldiscs": "disc"}
_LONGEST_TEXT, _LONGEST_LYRICS = 1000, 20_000
_LONGEST_TOTAL = 9
_SLOWEST_BPM, _FASTEST_BPM = 20, 666  # that a project can have


@dataclass(frozen=True, slots=True)
class Tags:
    """A song's texts by FFmpeg's generic names (all optional), and its cover as the bytes of a jpeg or png file."""

    texts: Mapping[str, str]
    cover: bytes | None = None

    @property
    def title(self) -> str | None:
        return self.texts.get("title")

    @property
    def artist(self) -> str | None:
        return self.texts.get("artist")

    @property
    def bpm(self) -> float | None:
        """The tempo that is told, if it is one that a project can have."""
        with suppress(ValueError):
            told = float(self.texts.get("bpm", "").replace(",", "."))
            return told if _SLOWEST_BPM <= told <= _FASTEST_BPM else None
        return None

    def for_stem(self, label: str, *, fallback_title: str = "") -> Tags:
        """The same tags with the stem's label in the title: "Title (Vocals)"."""
        title = self.title or fallback_title
        return replace(self, texts={**self.texts, "title": f"{title} ({label})" if title else label})

    def for_mix(self, label: str) -> Tags:
        """Of a stem's tags those of a mix: "Title (mix)" where the stem had "Title (Vocals)"."""
        return replace(self, texts={**self.texts, "title": (self.title or "").rpartition(" (")[0]}).for_stem(label)

    def without(self, *names: str) -> Tags:
        """The same tags, but for these texts."""
        return replace(self, texts={name: text for name, text in self.texts.items() if name not in names})

    def titled(self, fallback: str) -> Tags:
        """The same tags, with this title where there is none."""
        return self if self.title or not fallback else replace(self, texts={**self.texts, "title": fallback})

    def with_cover(self, cover: bytes) -> Tags:
        """The same tags with this picture, unless there is a `complaint` about it."""
        return self if complaint(cover) else replace(self, cover=cover)


NO_TAGS = Tags({})


def readable(name: str) -> str:
    """A file's name as text that can be written down: of bytes that are no UTF-8, as on old discs, question marks.

    >>> readable("Caf\\udce9")
    'Caf?'
    """
    return name.encode("utf-8", "replace").decode()


def from_metadata(*sources: Mapping[str, str]) -> Tags:
    """Tags from the metadata of containers and streams; the first source that has a text wins, keys in any case."""
    texts: dict[str, str] = {}
    totals: dict[str, str] = {}
    for source in sources:
        for key, value in source.items():
            plain = key.lower()
            if plain in _TOTALS and value.strip().isdecimal():
                totals.setdefault(_TOTALS[plain], value.strip()[:_LONGEST_TOTAL])
            if plain.startswith("lyrics-"):  # an mp3's, with their language
                plain = "lyrics"
            name = _ALIASES.get(plain, plain)
            text = value.replace("\x00", " ").strip()[: _LONGEST_LYRICS if name == "lyrics" else _LONGEST_TEXT]
            if name in _TEXTS and text:
                texts.setdefault(name, text)
    told = {name: f"{texts[name]}/{total}" for name, total in totals.items() if texts.get(name, "").isdecimal()}
    return Tags(texts | told)
