"""Files that are missing, broken, lying or hostile: a clear message each, and nothing else is touched."""

from __future__ import annotations

import http.server
import io
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from stemwright import errors
from stemwright.audio import decode
from tests.audio.sounds import RATE, music, noise, read, write, write_with_pyav


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(errors.FileMissing, match=r"There is no file .*song\.mp3"):
        read(tmp_path / "song.mp3")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(errors.NotAFile):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"la la la\n" * 900, b"hi", b"<!doctype html><p>404</p>" * 99, bytes(30_000)])
def test_something_else_named_mp3(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    with pytest.raises(errors.NotAudio, match=r"song\.mp3 is not audio"):
        read(path)


def test_random_bytes_never_do_worse_than_an_error(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    for start in (
        b"",
        b"ID3\x04\0\0\0\0\0\0",
        b"RIFF\xff\xff\xff\xffWAVEfmt ",
        b"fLaC\0\0\0\x22",
        b"OggS\0\2",
        b"\xff\xfb\x90\x44",
    ):
        with pytest.raises(errors.AudioError):
            read(io.BytesIO(start + random.bytes(20_000)))


def test_an_empty_file_and_a_file_of_no_samples(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").touch()
    for path in (tmp_path / "a.mp3", wav(tmp_path, b"")):
        with pytest.raises(errors.EmptyAudio):
            read(path)


def test_a_video_without_sound(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "v.mp4"), "w") as video:
        picture = video.add_stream("mpeg4", rate=10, width=32, height=32)
        video.mux([*picture.encode(av.VideoFrame(32, 32, "yuv420p")), *picture.encode(None)])
    with pytest.raises(errors.NoAudioStream):
        read(tmp_path / "v.mp4")


def test_a_truncated_mp3_gives_what_is_there_and_a_warning(tmp_path: Path) -> None:
    path, samples = tmp_path / "a.mp3", music(3 * RATE)
    path.write_bytes(write(tmp_path / "whole.mp3", samples).read_bytes()[:60_000])
    with decode.open_song(path) as song:
        found = np.concatenate(list(song.blocks()), axis=1)
    assert RATE < found.shape[1] < 2 * RATE
    assert song.warnings[-1].endswith("s are missing: the file is cut off or damaged")


@pytest.mark.parametrize(
    ("announced", "told"),
    [(None, ["1.0 s are missing: the file is cut off or damaged"]), (0, []), (0xFFFFFFFF, []), (0x7FFFF000, [])],
)
def test_a_wav_that_was_cut_off_is_told_but_not_one_of_unknown_length(
    tmp_path: Path, announced: int | None, told: list[str]
) -> None:
    whole = bytearray(write(tmp_path / "a.wav", music(2 * RATE)).read_bytes())
    at = whole.index(b"data") + 4
    if announced is not None:
        whole[at : at + 4] = announced.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(whole[: (len(whole) + at + 4) // 2])
    with decode.open_song(tmp_path / "a.wav") as song:
        length = sum(block.shape[1] for block in song.blocks())
    assert (length, song.warnings) == (pytest.approx(RATE, abs=2), told)


@pytest.mark.parametrize("ending", ["mp3", "flac"])
def test_damage_in_the_middle_is_survived_and_reported(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"a.{ending}", music(3 * RATE))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 6000] = np.random.default_rng(0).bytes(6000)
    path.write_bytes(content)
    with decode.open_song(path) as song:
        assert sum(block.shape[1] for block in song.blocks()) > 2 * RATE
    assert song.warnings


def damaged(path: Path, samples: np.ndarray, packets: slice) -> Path:
    """A film's sound, some of whose packets are no flac any more."""
    write_with_pyav(path, "matroska", "flac", samples)
    with av.open(str(path)) as container:
        positions = [packet.pos for packet in container.demux() if packet.size]
    content = bytearray(path.read_bytes())
    for position in positions[packets]:
        start = content.index(b"\xff\xf8", position)
        content[start : start + 16] = bytes(16)
    path.write_bytes(content)
    return path


def test_sound_behind_damage_stays_where_it_was(tmp_path: Path) -> None:
    samples = music(3 * RATE)
    found = read(damaged(tmp_path / "a.mkv", samples, slice(10, 13)))
    assert found.shape == samples.shape  # though the file times its packets in milliseconds
    assert np.abs(found[:, -RATE:] - samples[:, -RATE:]).max() < 1e-4


def test_what_is_mostly_damage_is_no_song(tmp_path: Path) -> None:
    with pytest.raises(errors.NotAudio, match="most of it could not be decoded"):
        read(damaged(tmp_path / "a.mkv", music(3 * RATE), slice(10, None)))


def test_damage_in_an_mp3_makes_no_burst_above_full_scale(tmp_path: Path) -> None:
    swell = 1 + np.sin(np.arange(4 * RATE) / RATE * 40).astype(np.float32)  # what is loud takes bits that quiet saved
    song = write_with_pyav(tmp_path / "a.mp3", "mp3", "libmp3lame", music(4 * RATE) * swell, options={"b": "160k"})
    whole = song.read_bytes()
    for place in range(10_000, 60_000, 2500):
        song.write_bytes(whole[:place] + bytes(3000) + whole[place + 3000 :])
        heard = read(song)
        assert np.abs(heard).max() <= 1


def test_a_truncated_m4a_has_lost_its_index(tmp_path: Path) -> None:
    path = write(tmp_path / "a.m4a", music(RATE))
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(errors.NotAudio, match="cut off"):
        read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 1e30])
@pytest.mark.parametrize("bits", [32, 64])
def test_values_that_are_no_numbers(tmp_path: Path, value: float, bits: int) -> None:
    samples = np.zeros((RATE, 2), f"<f{bits // 8}")
    with np.errstate(over="ignore"):
        samples[RATE // 2, 1] = value
    with pytest.raises(errors.NotFinite, match=r"NaN, infinity or far beyond full scale\) at 0\.500 s"):
        read(wav(tmp_path, samples.tobytes(), kind=3, bits=bits))


def test_infinity_in_surround_is_refused_as_quietly(tmp_path: Path) -> None:
    samples = np.zeros((100, 6), "<f4")
    samples[50, 2:4] = np.inf, -np.inf
    with pytest.raises(errors.NotFinite):
        read(wav(tmp_path, samples.tobytes(), channels=6, kind=3, bits=32))


@pytest.mark.parametrize(("rate", "channels"), [(1, 2), (900_000_000, 2), (RATE, 255), (RATE, 0)])
def test_headers_that_make_no_sense(tmp_path: Path, rate: int, channels: int) -> None:
    with pytest.raises(errors.AudioError):
        read(wav(tmp_path, bytes(5100), rate=rate, channels=channels))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_wav_that_was_streamed_and_never_learned_its_size(tmp_path: Path, size: int) -> None:
    limits = decode.Limits(max_seconds=10)
    with decode.open_song(wav(tmp_path, bytes(4 * RATE), size=size), limits=limits) as song:
        assert sum(block.shape[1] for block in song.blocks()) == RATE


def test_ten_hours_of_silence_in_a_small_file_whose_header_says_nothing(tmp_path: Path) -> None:
    minute = write(tmp_path / "a.flac", np.zeros((2, 60 * RATE), np.float32)).read_bytes()
    header = minute.index(b"fLaC") + 8
    total = minute[: header + 13] + bytes([minute[header + 13] & 0xF0, 0, 0, 0, 0]) + minute[header + 18 :]
    with decode.open_song(io.BytesIO(total), limits=decode.Limits(max_seconds=10)) as song:
        with pytest.raises(errors.TooLong):
            list(song.blocks())
        assert song.length < 15 * RATE


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (io.StringIO("text"), 'mode "rb"'),
        (5, "type int .* give a path"),
        (None, "type NoneType .* give a path"),
        (object(), "type object .* give a path"),
    ],
)
def test_what_is_no_binary_file(file: object, told: str) -> None:
    with pytest.raises(errors.CannotRead, match=told):
        read(file)  # pyright: ignore[reportArgumentType]


def test_a_closed_file_is_told(tmp_path: Path) -> None:
    with write(tmp_path / "song.wav", noise(9)).open("rb") as file:
        pass
    with pytest.raises(errors.CannotRead, match="it is closed"):
        read(file)


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000])
def test_paths_that_cannot_be(path: str) -> None:
    with pytest.raises(errors.CannotRead):
        read(path)


def test_a_failing_disk_is_told_apart_from_a_broken_song(tmp_path: Path) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 100_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    path = write(tmp_path / "a.wav", noise(5 * RATE))
    with pytest.raises(errors.CannotRead, match="Input/output error"):
        read(Failing(path.read_bytes()))


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """The paths that a web server on port 0 of this machine was asked for; the first entry is its address."""
    requests: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        requests.append(f"http://127.0.0.1:{server.server_port}")
        yield requests
        server.shutdown()
        thread.join()


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "m3u": "{target}\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    '<AdaptationSet mimeType="audio/mp4"><Representation id="1"><BaseURL>{target}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "smil": '<smil><body><audio src="{target}"/></body></smil>',
}


@pytest.mark.parametrize("name", ["song.mp3", "song.m3u8", "song.txt"])
@pytest.mark.parametrize("playlist", PLAYLISTS)
def test_playlists_reach_neither_files_nor_the_network(
    tmp_path: Path, asked: list[str], playlist: str, name: str
) -> None:
    secret = write(tmp_path / "secret.wav", noise(1000))
    for target in (f"{asked[0]}/x.mp3", secret.as_uri(), str(secret), "secret.wav", "/etc/passwd"):
        path = tmp_path / name
        path.write_text(PLAYLISTS[playlist].format(target=target))
        with pytest.raises(errors.NotAudio):
            read(path)
    assert len(asked) == 1


@pytest.mark.parametrize(
    "url", ["{web}/a.mp3", "file:{secret}", "concat:{secret}|{secret}", "subfile,,start,0,end,0,,:{secret}"]
)
def test_a_path_is_a_path_and_no_address(tmp_path: Path, asked: list[str], url: str) -> None:
    secret = write(tmp_path / "secret.wav", noise(1000))
    with pytest.raises(errors.FileMissing):
        read(url.format(web=asked[0], secret=secret))
    assert len(asked) == 1


def test_a_movie_that_points_to_another_file_gets_nothing_of_it(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.mov.wav", noise(RATE))
    movie = write_with_pyav(tmp_path / "a.mov", "mov", "pcm_s16le", music(RATE)).read_bytes()
    alias = b"\0\0\0\x01".join([struct.pack(">I4s", 12, b"url "), b""])
    assert alias in movie
    content = str(secret).encode() + b"\0"
    remote = struct.pack(">I4sI", 12 + len(content), b"url ", 0) + content
    hostile = grown(movie, alias, remote)
    try:
        found = read(io.BytesIO(hostile))
    except errors.AudioError:
        return
    assert not np.array_equal(found[:, :1000], read(secret)[:, :1000])


def grown(movie: bytes, old: bytes, new: bytes) -> bytes:
    """The movie with one atom replaced, and every atom around it made longer."""
    at = movie.index(old)
    content, added = bytearray(movie.replace(old, new, 1)), len(new) - len(old)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = movie.rindex(name, 0, at) - 4
        content[start : start + 4] = struct.pack(">I", struct.unpack(">I", movie[start : start + 4])[0] + added)
    return bytes(content)


def wav(folder: Path, data: bytes, *, rate: int = RATE, channels: int = 2, kind: int = 1, bits: int = 16,
        size: int | None = None) -> Path:  # fmt: skip
    """A wav file with whatever header one likes; `size` is the length that it claims."""
    frame = channels * bits // 8
    header = struct.pack("<IHHIIHH", 16, kind, channels, rate, rate * frame & 0xFFFFFFFF, frame, bits)
    claimed = len(data) if size is None else size
    path = folder / "made.wav"
    path.write_bytes(
        b"RIFF"
        + struct.pack("<I", claimed & 0xFFFFFFFF)
        + b"WAVEfmt "
        + header
        + b"data"
        + struct.pack("<I", claimed)
        + data
    )
    return path
