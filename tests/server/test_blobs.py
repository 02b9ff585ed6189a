"""Blobs: whole or not at all, and never outside of their folder."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stemwright.audio.formats import EXTENSIONS
from stemwright.errors import BlobNotFound, CannotOpenBlobs, UnknownBlobs
from stemwright.server.store.blob_names import headers_of, kind_of, suffix_of
from stemwright.server.store.blobs import Blobs, Folder, open_blobs

from .conftest import keep


def test_a_blob_comes_back(blobs: Blobs, tmp_path: Path) -> None:
    content = b"sound" * 4_000_000  # more than two pieces
    (tmp_path / "file").write_bytes(content)
    assert blobs.put("name.mp3", tmp_path / "file") == len(content)
    assert "name.mp3" in blobs
    with blobs.local("name.mp3", tmp_path) as path:
        assert path.read_bytes() == content
    with blobs.reading("name.mp3") as file:
        assert (file.read(3), file.read()) == (content[:3], content[3:])
    blobs.delete("name.mp3")
    blobs.delete("name.mp3")
    assert "name.mp3" not in blobs
    with pytest.raises(BlobNotFound), blobs.local("name.mp3", tmp_path):
        pass
    with pytest.raises(BlobNotFound), blobs.reading("name.mp3"):
        pass


def test_the_same_name_again_replaces_it(blobs: Blobs, tmp_path: Path) -> None:
    for content in (b"first", b"", b"third"):
        keep(blobs, "song.wav", content)
        with blobs.reading("song.wav") as file:
            assert file.read() == content


def test_a_store_that_can_be_used_is_not_refused(blobs: Blobs) -> None:
    blobs.check()


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Folder(tmp_path).put("name", tmp_path / "nothing")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_a_killed_writer_left_goes_with_its_blob(tmp_path: Path) -> None:
    blobs = Folder(tmp_path)
    keep(blobs, "abc_Vocals.mp3", b"whole")
    part = blobs.path("abc").with_name(".abc_Vocals.mp3.77.part")
    part.write_bytes(b"half")
    blobs.delete("abc_Vocals.mp3")
    assert not part.exists()


def test_a_folder_where_nothing_can_be_kept_is_said(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file")
    with pytest.raises(CannotOpenBlobs, match="STEMWRIGHT_BLOBS_URL"):
        Folder(tmp_path / "blobs").check()


KILLED = """
import resource, signal, sys
from pathlib import Path
from stemwright.server.store.blobs import Folder
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # writing is what it dies of
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
Folder(Path(sys.argv[1])).check(bytes(5000))
"""


def test_a_check_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGXFSZ
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a\\b", "a\0b"])
def test_a_name_cannot_lead_out(blobs: Blobs, name: str, tmp_path: Path) -> None:
    with pytest.raises(BlobNotFound), blobs.local(name, tmp_path):
        pass


def test_the_store_is_named_by_a_url(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    opened = open_blobs(folder.as_uri())
    assert isinstance(opened, Folder)
    assert opened.root == folder
    with pytest.raises(UnknownBlobs):
        open_blobs("ftp://x")


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_every_song_is_served_as_the_sound_or_film_it_is(extension: str) -> None:
    kind = kind_of(f"song{extension.upper()}")
    assert kind.startswith(("audio/", "video/"))
    assert headers_of(f"song{extension}") == {"Content-Type": kind}
    assert kind_of(f"song{suffix_of(kind)}") == kind
