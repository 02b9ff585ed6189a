"""Cover pictures: told from what only claims to be one by their bytes. They are carried, never decoded."""

from __future__ import annotations

import base64
import struct
import zlib

LARGEST_BYTES = 8 << 20  # each stem carries a copy
LARGEST_SIDE = 1 << 14
MOST_PIXELS = 64_000_000  # a program that shows the stem decodes them all
_CODECS = {b"\xff\xd8\xff": "mjpeg", b"\x89PNG": "png"}
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers that carry the size
_JPEG_SCAN = 0xDA


def complaint(cover: bytes) -> str | None:
    """Why the bytes cannot be a cover, or None when they are a jpeg or png picture of a sane size."""
    if len(cover) > LARGEST_BYTES:
        return f"it has {len(cover) / 1e6:.1f} MB, more than {LARGEST_BYTES >> 20} MB"
    width, height = cover_size(cover)
    if not width or not height or not _is_whole(cover):
        return "it is not a jpeg or png picture"
    if max(width, height) >= LARGEST_SIDE or width * height > MOST_PIXELS:
        return f"{width} × {height} pixels are too many"
    return None


def cover_codec(cover: bytes) -> str | None:
    """FFmpeg's name for the picture's codec, by its first bytes, or None."""
    return next((codec for start, codec in _CODECS.items() if cover.startswith(start)), None)


def cover_size(cover: bytes) -> tuple[int, int]:
    """Width and height in pixels of a png or jpeg file; (0, 0) where they are not to be found."""
    if cover_codec(cover) == "png":
        return int.from_bytes(cover[16:20], "big"), int.from_bytes(cover[20:24], "big")
    for marker, start in _jpeg_markers(cover):
        if marker in _JPEG_FRAMES:
            return int.from_bytes(cover[start + 7 : start + 9]), int.from_bytes(cover[start + 5 : start + 7])
    return 0, 0


def flac_picture(cover: bytes) -> str:
    """The cover as Ogg files hold one (METADATA_BLOCK_PICTURE: a FLAC picture block in base64)."""
    kind = b"image/png" if cover_codec(cover) == "png" else b"image/jpeg"
    head = struct.pack(">II", 3, len(kind)) + kind + bytes(4)
    size = struct.pack(">IIIII", *cover_size(cover), 24, 0, len(cover))
    return base64.b64encode(head + size + cover).decode()


def _is_whole(cover: bytes) -> bool:
    """A png whose chunks have the checksums they say; a jpeg whose markers lead to a scan that ends."""
    if cover_codec(cover) == "png":
        return _png_is_whole(cover)
    return any(marker == _JPEG_SCAN for marker, _ in _jpeg_markers(cover)) and b"\xff\xd9" in cover[-4096:]


def _png_is_whole(cover: bytes) -> bool:
    position = 8
    while position + 12 <= len(cover):
        end = position + 8 + int.from_bytes(cover[position : position + 4], "big")
        if zlib.crc32(cover[position + 4 : end]).to_bytes(4, "big") != cover[end : end + 4]:
            return False
        if cover[position + 4 : position + 8] == b"IEND":
            return True
        position = end + 4
    return False


def _jpeg_markers(cover: bytes) -> list[tuple[int, int]]:
    """The markers up to the first scan, and where each one starts."""
    found: list[tuple[int, int]] = []
    position = 2
    while cover_codec(cover) == "mjpeg" and position + 9 <= len(cover) and cover[position] == 0xFF:
        found.append((cover[position + 1], position))
        if cover[position + 1] == _JPEG_SCAN:
            break
        position += 2 + int.from_bytes(cover[position + 2 : position + 4], "big")
    return found
