"""What a song says about itself (title, artist, cover, …), and the same for its stems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

_TEXTS = ("title", "artist", "album", "album_artist", "composer", "genre", "date", "track", "comment")
_LONGEST_TEXT = 1000
_LARGEST_COVER_BYTES = 2 << 20  # each stem carries a copy
_COVER_CODECS = {b"\xff\xd8\xff": "mjpeg", b"\x89PNG": "png"}


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

    def for_stem(self, label: str, *, fallback_title: str = "") -> Tags:
        """The same tags with the stem's label in the title: "Title (Vocals)"."""
        title = self.title or fallback_title
        return replace(self, texts={**self.texts, "title": f"{title} ({label})" if title else label})

    def with_cover(self, cover: bytes) -> Tags:
        """The same tags with this picture, unless it is huge or neither jpeg nor png."""
        return replace(self, cover=cover) if len(cover) <= _LARGEST_COVER_BYTES and cover_codec(cover) else self


NO_TAGS = Tags({})


def from_metadata(*sources: Mapping[str, str]) -> Tags:
    """Tags from the metadata of containers and streams; the first source that has a text wins, keys in any case."""
    texts: dict[str, str] = {}
    for source in sources:
        for key, value in source.items():
            name, text = key.lower(), value.replace("\x00", " ").strip()[:_LONGEST_TEXT]
            if name in _TEXTS and text:
                texts.setdefault(name, text)
    return Tags(texts)


def cover_codec(cover: bytes) -> str | None:
    """FFmpeg's name for the picture's codec, by its first bytes, or None."""
    return next((codec for start, codec in _COVER_CODECS.items() if cover.startswith(start)), None)
