"""What a song says about itself (title, artist, cover, …), and the same for its stems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

_TEXTS = ("title", "artist", "album", "album_artist", "composer", "genre", "date", "track", "comment")
_LONGEST_TEXT = 1000
_LARGEST_COVER_BYTES = 2 << 20  # each stem carries a copy
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers that carry the size
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
        usable = len(cover) <= _LARGEST_COVER_BYTES and all(0 < side < 1 << 14 for side in cover_size(cover))
        return replace(self, cover=cover) if usable else self


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


def cover_size(cover: bytes) -> tuple[int, int]:
    """Width and height in pixels of a png or jpeg file; (0, 0) where they are not to be found."""
    codec = cover_codec(cover)
    if codec == "png":
        return int.from_bytes(cover[16:20], "big"), int.from_bytes(cover[20:24], "big")
    position = 2
    while codec and position + 9 <= len(cover) and cover[position] == 0xFF:
        if cover[position + 1] in _JPEG_FRAMES:
            return int.from_bytes(cover[position + 7 : position + 9]), int.from_bytes(
                cover[position + 5 : position + 7]
            )
        position += 2 + int.from_bytes(cover[position + 2 : position + 4], "big")
    return 0, 0
