"""Songs that are made to hurt: the real separation process refuses them, keeps its memory, and goes on."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stemwright.errors import InputRefused, LimitExceeded
from stemwright.server.bounds import Limits
from stemwright.server.jobs import Job
from stemwright.server.separating import Child
from tests.audio.sounds import write
from tests.audio.test_bad_input import PLAYLISTS

MEMORY_MB = 900


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    child = Child(Limits(MEMORY_MB << 20, 300))
    yield child
    child.close()


def atom(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def compressed_index(claimed_bytes: int, *, really: int) -> bytes:
    """A movie whose index is compressed: a thousandth of its size in the file."""
    squeezed = zlib.compressobj(9)
    packed = b"".join(squeezed.compress(bytes(1 << 20)) for _ in range(really >> 20)) + squeezed.flush()
    data = atom(b"cmvd", struct.pack(">I", claimed_bytes) + packed)
    return atom(b"ftyp", b"qt  " + bytes(8)) + atom(b"moov", atom(b"cmov", atom(b"dcom", b"zlib") + data))


def chunk_that_lies(claimed_bytes: int) -> bytes:
    """A wav with a text that is said to be larger than the file."""
    text = b"LIST" + struct.pack("<I", claimed_bytes) + b"INFOISFT" + struct.pack("<I", claimed_bytes - 12) + b"x" * 99
    form = struct.pack("<IHHIIHH", 16, 1, 2, 44100, 176400, 4, 16)
    return b"RIFF" + struct.pack("<I", 4000) + b"WAVEfmt " + form + text + b"data" + struct.pack("<I", 400) + bytes(400)


def hours_of_silence(folder: Path) -> bytes:
    """A small file that lasts longer than a song may."""
    return write(folder / "a.flac", np.zeros((2, 70 * 44100), np.float32)).read_bytes()


def cover_without_end(folder: Path) -> bytes:
    """A picture of which the tag says that it has 256 MB, before a sound that is none."""
    size = bytes([0x7F, 0x7F, 0x7F, 0x7F])
    frame = (
        b"APIC"
        + size
        + b"\0\0"
        + b"\0image/png\0\3\0"
        + b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I4sII", 13, b"IHDR", 60000, 60000)
    )
    return b"ID3\4\0\0" + size + frame + bytes(50_000)


BOMBS = {
    "an index that is 100 MB": lambda _: compressed_index(100 << 20, really=100 << 20),
    "an index that says it has 4 GB": lambda _: compressed_index(0x7FFFFFF0, really=32 << 20),
    "a text that says it has 2 GB": lambda _: chunk_that_lies(0x7FFF0000),
    "silence": hours_of_silence,
    "a cover": cover_without_end,
} | {
    f"{name} to {target}": lambda _, text=text, target=target: text.format(target=target).encode()
    for name, text in PLAYLISTS.items()
    for target in ("file:///etc/passwd", "concat:/etc/passwd|/etc/hosts")
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_hostile_song_is_refused_and_the_process_stays(child: Child, tmp_path: Path, bomb) -> None:
    source = tmp_path / "source"
    source.write_bytes(bomb(tmp_path))
    job = Job("t", "split_stem", None, str(source), str(tmp_path / "stems"), "mp3", "twelve", 60)
    pid = child.pid
    with pytest.raises(InputRefused, match="The song"):
        child.separate(job, on_progress=lambda _: True)
    assert child.pid == pid or pid is None
    assert not list((tmp_path / "stems").glob("*")) if (tmp_path / "stems").exists() else True


def tags_without_end(count: int) -> bytes:
    frames = b"".join(b"TXXX" + struct.pack(">IH", 11, 0) + b"\0%08x\0v" % number for number in range(count))
    size = bytes(len(frames) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + frames + bytes(50_000)


def test_a_song_of_tags_alone_holds_no_worker_for_an_hour(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(tags_without_end(200_000))
    job = Job("t", "split_stem", None, str(source), str(tmp_path / "stems"), "mp3", "twelve", 60)
    child = Child(Limits(MEMORY_MB << 20, 60, header_seconds=0.5))
    try:
        with pytest.raises(LimitExceeded, match=r"0\.5 s of processor time before the song's sound"):
            child.separate(job, on_progress=lambda _: True)
    finally:
        child.close()


@pytest.mark.skipif(not Path("/proc").exists(), reason="no /proc to read the peak from")
def test_none_of_them_took_much_memory(child: Child) -> None:
    if child.pid is None:
        pytest.skip("counts only when the others ran")
    peak = next(line for line in Path(f"/proc/{child.pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    assert int(peak.split()[1]) >> 10 < MEMORY_MB
