"""What a song says about itself reaches its stems."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from stemwright.audio import tags
from stemwright.audio.decode import open_song
from stemwright.audio.tags import Tags
from tests.audio.sounds import music, write, write_with_pyav

TEXTS = {
    "title": "Tëst ♫",
    "artist": "Ärtist",
    "album": "A & B",
    "genre": "Pop",
    "track": "3/12",
    "comment": "hey",
    "date": "2024",
}


def picture(codec: str, side: int = 48) -> bytes:
    """A real picture file."""
    image = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width = context.height = side
    context.pix_fmt = {"png": "rgb24", "mjpeg": "yuvj420p"}[codec]
    context.framerate = 1
    packets = [*context.encode(frame.reformat(format=context.pix_fmt)), *context.encode(None)]
    return b"".join(map(bytes, packets))


def tags_of(path: Path) -> Tags:
    with open_song(path) as song:
        return song.tags


@pytest.mark.parametrize("ending", ["mp3", "flac", "opus", "m4a", "wav"])
def test_texts_go_into_every_format_and_come_back(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"a.{ending}", music(5000), tags=Tags(TEXTS))
    assert tags_of(path).texts == TEXTS


@pytest.mark.parametrize("codec", ["png", "mjpeg"])
@pytest.mark.parametrize("ending", ["mp3", "flac", "m4a"])
def test_covers_go_into_the_formats_that_hold_them(tmp_path: Path, ending: str, codec: str) -> None:
    cover = picture(codec)
    path = write(tmp_path / f"a.{ending}", music(5000), tags=Tags(TEXTS, cover))
    found = tags_of(path)
    assert found.cover == cover
    assert found.texts == TEXTS


@pytest.mark.parametrize("ending", ["wav", "opus"])
def test_a_cover_does_no_harm_where_it_finds_no_place(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"a.{ending}", music(5000), tags=Tags(TEXTS, picture("png")))
    assert tags_of(path) == Tags(TEXTS)


def test_a_stems_title_has_its_name() -> None:
    assert Tags(TEXTS).for_stem("Vocals").title == "Tëst ♫ (Vocals)"
    assert Tags({}).for_stem("Vocals").title == "Vocals"
    assert Tags({}).for_stem("Vocals", fallback_title="song").title == "song (Vocals)"
    assert Tags(TEXTS).for_stem("Vocals").artist == "Ärtist"


def test_keys_of_any_case_and_the_first_source_win() -> None:
    found = tags.from_metadata({"TITLE": " a ", "artist": ""}, {"title": "b", "ARTIST": "c", "encoder": "x"})
    assert found.texts == {"title": "a", "artist": "c"}


def test_texts_without_end_are_cut() -> None:
    assert len(tags.from_metadata({"title": "x" * 99_999}).title or "") == 1000


def test_bytes_that_are_no_text_do_not_stop_a_song(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", music(5000), tags=Tags({"title": "QQQQ"}))
    path.write_bytes(path.read_bytes().replace(b"QQQQ", b"\xff\xfe\xfd\xfc"))
    assert tags_of(path).title


@pytest.mark.parametrize(
    "cover", [b"", b"GIF89a" + bytes(99), b"\x89PNG", b"\xff\xd8\xff\xe0", b"\x89PNG" + bytes(3 << 20)]
)
def test_what_is_no_picture_or_too_big_is_no_cover(cover: bytes) -> None:
    assert Tags({}).with_cover(cover).cover is None


def test_the_size_of_a_picture_is_read_from_its_file() -> None:
    assert tags.cover_size(picture("png", 40)) == tags.cover_size(picture("mjpeg", 40)) == (40, 40)


def test_a_songs_own_cover_is_no_sound_and_no_video(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", music(20_000), tags=Tags(TEXTS, picture("mjpeg")))
    with open_song(BytesIO(path.read_bytes())) as song:
        assert sum(block.shape[1] for block in song.blocks()) == 20_000
        assert not song.warnings


def test_foreign_tags_come_in(tmp_path: Path) -> None:
    path = write_with_pyav(tmp_path / "a.ogg", "ogg", "vorbis", music(5000), options={"strict": "-2"})
    assert tags_of(path).title is None
