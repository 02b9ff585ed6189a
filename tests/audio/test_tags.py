"""What a song says about itself reaches its stems."""

from __future__ import annotations

import base64
import zlib
from io import BytesIO
from pathlib import Path

import av
import mutagen
import mutagen.id3
import mutagen.mp4
import numpy as np
import pytest
import soundfile
from mutagen.flac import Picture

from stemwright.audio import covers, tags
from stemwright.audio.decode import open_song
from stemwright.audio.encode import open_stem
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
@pytest.mark.parametrize("ending", ["mp3", "flac", "opus", "m4a", "wav"])
def test_covers_go_into_every_format(tmp_path: Path, ending: str, codec: str) -> None:
    cover = picture(codec)
    path = write(tmp_path / f"a.{ending}", music(5000), tags=Tags(TEXTS, cover))
    found = tags_of(path)
    assert found.cover == cover
    assert found.texts == TEXTS


@pytest.mark.parametrize("ending", ["mp3", "flac", "opus", "m4a", "wav"])
def test_a_second_program_finds_title_artist_and_cover(tmp_path: Path, ending: str) -> None:
    cover = picture("mjpeg")
    path = write(tmp_path / f"a.{ending}", music(5000), tags=Tags(TEXTS, cover))
    found = mutagen.File(path).tags
    pictures = {
        "mp3": lambda: found["APIC:"].data,
        "wav": lambda: found["APIC:"].data,
        "flac": lambda: mutagen.File(path).pictures[0].data,
        "opus": lambda: Picture(base64.b64decode(found["metadata_block_picture"][0])).data,
        "m4a": lambda: bytes(found["covr"][0]),
    }
    assert pictures[ending]() == cover
    names = {"m4a": ("\xa9nam", "\xa9ART")}.get(ending) or (
        ("TIT2", "TPE1") if "TIT2" in found else ("title", "artist")
    )
    assert [str(found[name][0]) for name in names] == [TEXTS["title"], TEXTS["artist"]]


@pytest.mark.parametrize("bits", ["16", "24", "32f"])
def test_a_wav_with_a_tag_is_still_a_wav_of_its_length(tmp_path: Path, bits: str) -> None:
    with open_stem(tmp_path / "a.wav", rate=44100, format=f"wav-{bits}", tags=Tags(TEXTS, picture("png"))) as writer:
        writer.write(music(5001))
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert (samples.shape, rate) == ((5001, 2), 44100)
    assert np.abs(samples.T - music(5001)).max() < 1 / 32768
    assert int.from_bytes((tmp_path / "a.wav").read_bytes()[4:8], "little") == (tmp_path / "a.wav").stat().st_size - 8


def test_djs_find_tempo_key_and_isrc(tmp_path: Path) -> None:
    texts = {"bpm": "128", "key": "Am", "isrc": "DEABC2400001", "disc": "1/2", "album_artist": "Various"}
    for ending in ("mp3", "flac", "opus", "wav", "m4a"):
        assert tags_of(write(tmp_path / f"a.{ending}", music(5000), tags=Tags(texts))).texts == texts
    found = mutagen.File(tmp_path / "a.m4a").tags
    assert found["tmpo"] == [128]
    assert found["----:com.apple.iTunes:initialkey"] == [b"Am"]
    assert [mutagen.File(tmp_path / f"a.{ending}").tags["initialkey"] for ending in ("flac", "opus")] == [["Am"]] * 2


@pytest.mark.parametrize("ending", ["mp3", "flac", "opus", "wav", "m4a"])
def test_a_karaoke_track_has_the_words_of_the_song(tmp_path: Path, ending: str) -> None:
    texts = {"comment": "hey", "lyrics": "One lïne\nand another " * 100, "publisher": "A label"}
    path = write(tmp_path / f"a.{ending}", music(5000), tags=Tags(texts))
    assert tags_of(path).texts == texts | {"lyrics": texts["lyrics"].strip()}


def test_lyrics_are_read_in_any_language_from_an_mp3(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", music(5000), tags=Tags({"title": "x"}))
    file = mutagen.id3.ID3(path)
    file.add(mutagen.id3.USLT(encoding=3, lang="deu", desc="of the album", text="Zeile eins\nZeile zwei"))
    file.save()
    assert tags_of(path).texts == {"title": "x", "lyrics": "Zeile eins\nZeile zwei"}


def test_the_tempo_and_key_that_another_program_put_into_an_m4a_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.m4a", music(5000))
    file = mutagen.mp4.MP4(path)
    file["tmpo"], file["----:com.apple.iTunes:initialkey"] = [174], [mutagen.mp4.MP4FreeForm(b"F#m")]
    file.save()
    assert tags_of(path).texts == {"bpm": "174", "key": "F#m"}


def test_a_tempo_with_a_fraction_is_the_nearest_whole_one_in_an_m4a(tmp_path: Path) -> None:
    for bpm, kept in (("127.98", 128), ("127,4", 127)):
        path = write(tmp_path / "a.m4a", music(5000), tags=Tags({"title": "x", "bpm": bpm}))
        assert mutagen.File(path).tags["tmpo"] == [kept]
    path = write(tmp_path / "b.m4a", music(5000), tags=Tags({"title": "x", "bpm": "fast"}))
    assert "tmpo" not in mutagen.File(path).tags


@pytest.mark.parametrize("size", [0, 1, 7, 0x7FFFFFFF])
def test_an_atom_whose_size_is_a_lie_stops_nothing(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "a.m4a", music(5000), tags=Tags({"title": "x", "bpm": "128"}))
    data = path.read_bytes()
    place = data.index(b"tmpo") - 4
    path.write_bytes(data[:place] + size.to_bytes(4, "big") + data[place + 4 :])
    assert tags_of(path).texts.get("bpm") in (None, "128")


def test_a_stems_title_has_its_name() -> None:
    assert Tags(TEXTS).for_stem("Vocals").title == "Tëst ♫ (Vocals)"
    assert Tags({}).for_stem("Vocals").title == "Vocals"
    assert Tags({}).for_stem("Vocals", fallback_title="song").title == "song (Vocals)"
    assert Tags(TEXTS).for_stem("Vocals").artist == "Ärtist"


def test_keys_of_any_case_and_the_first_source_win() -> None:
    found = tags.from_metadata({"TITLE": " a ", "artist": ""}, {"title": "b", "ARTIST": "c", "encoder": "x"})
    assert found.texts == {"title": "a", "artist": "c"}


@pytest.mark.parametrize(("track", "disc"), [("TRACKTOTAL", "DISCTOTAL"), ("TOTALTRACKS", "TOTALDISCS")])
def test_how_many_tracks_there_are_stands_behind_the_number_of_this_one(tmp_path: Path, track: str, disc: str) -> None:
    path = write(tmp_path / "a.flac", music(5000), tags=Tags({"title": "x", "track": "3", "disc": "1"}))
    file = mutagen.flac.FLAC(path)
    file[track], file[disc] = "12", "2"
    file.save()
    assert tags_of(path).texts == {"title": "x", "track": "3/12", "disc": "1/2"}


def test_a_total_without_a_number_or_beside_another_is_left_out() -> None:
    assert tags.from_metadata({"tracktotal": "12"}).texts == {}
    assert tags.from_metadata({"tracktotal": "12", "track": "A1"}).texts == {"track": "A1"}
    assert tags.from_metadata({"track": "3/10", "totaltracks": "12"}).texts == {"track": "3/10"}
    assert tags.from_metadata({"track": "3", "totaltracks": "many"}).texts == {"track": "3"}


def test_texts_without_end_are_cut() -> None:
    assert len(tags.from_metadata({"title": "x" * 99_999}).title or "") == 1000


def test_bytes_that_are_no_text_do_not_stop_a_song(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", music(5000), tags=Tags({"title": "QQQQ"}))
    path.write_bytes(path.read_bytes().replace(b"QQQQ", b"\xff\xfe\xfd\xfc"))
    assert tags_of(path).title


def bomb(side: int) -> bytes:
    """A png that is whole and says that it has side × side pixels."""
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    chunks = (header, b"IDAT" + zlib.compress(bytes(99)), b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") for chunk in chunks
    )


@pytest.mark.parametrize(
    ("cover", "words"),
    [
        (b"", "not a jpeg or png"),
        (b"GIF89a" + bytes(99), "not a jpeg or png"),
        (b"\x89PNG", "not a jpeg or png"),
        (b"\xff\xd8\xff\xe0", "not a jpeg or png"),
        (b"<html>not found</html>", "not a jpeg or png"),
        (b"\x89PNG" + bytes(9 << 20), "9.4 MB, more than 8 MB"),
        (picture("png")[:-20], "not a jpeg or png"),
        (picture("png").replace(b"IDAT", b"IDAX"), "not a jpeg or png"),
        (picture("mjpeg")[:300], "not a jpeg or png"),
        (bomb(50_000), "50000 × 50000 pixels are too many"),
        (bomb(12_000), "12000 × 12000 pixels are too many"),
    ],
)
def test_what_is_no_picture_or_a_bomb_is_no_cover(cover: bytes, words: str) -> None:
    assert words in (covers.complaint(cover) or "")
    assert Tags({}).with_cover(cover).cover is None


@pytest.mark.parametrize("cover", [b"<html>404</html>", bomb(50_000)])
def test_a_song_whose_cover_is_none_is_read_with_a_note(tmp_path: Path, cover: bytes) -> None:
    path = write(tmp_path / "a.mp3", music(20_000), tags=Tags(TEXTS, cover))
    with open_song(path) as song:
        assert sum(block.shape[1] for block in song.blocks()) == 20_000
    assert song.tags == Tags(TEXTS)
    assert [note for note in song.warnings if note.startswith("its cover was left out: ")] == song.warnings != []


def test_the_size_of_a_picture_is_read_from_its_file() -> None:
    assert covers.cover_size(picture("png", 40)) == covers.cover_size(picture("mjpeg", 40)) == (40, 40)


def test_a_songs_own_cover_is_no_sound_and_no_video(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", music(20_000), tags=Tags(TEXTS, picture("mjpeg")))
    with open_song(BytesIO(path.read_bytes())) as song:
        assert sum(block.shape[1] for block in song.blocks()) == 20_000
        assert not song.warnings


def test_foreign_tags_come_in(tmp_path: Path) -> None:
    path = write_with_pyav(tmp_path / "a.ogg", "ogg", "vorbis", music(5000), options={"strict": "-2"})
    assert tags_of(path).title is None
