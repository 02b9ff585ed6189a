"""Blobs: whole or not at all, and never outside of their folder."""

from pathlib import Path

import pytest

from stemwright.errors import BlobNotFound, UnknownBlobs
from stemwright.server.store.blobs import Folder, open_blobs


def test_a_blob_comes_back(blobs: Folder, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"sound")
    assert blobs.put("name.mp3", tmp_path / "file") == 5
    with blobs.local("name.mp3") as path:
        assert path.read_bytes() == b"sound"
    assert blobs.names("na") == ["name.mp3"]
    blobs.delete("name.mp3")
    blobs.delete("name.mp3")
    with pytest.raises(BlobNotFound), blobs.local("name.mp3"):
        pass


def test_a_writer_that_fails_leaves_nothing(blobs: Folder) -> None:
    with pytest.raises(TypeError), blobs.writing("name") as file:
        file.writelines([b"half", None])
    assert "name" not in blobs
    assert [path for path in blobs.root.rglob("*") if path.is_file()] == []


def test_what_a_killed_writer_left_is_cleared_away(blobs: Folder) -> None:
    blobs.path("abc").parent.mkdir()
    part = blobs.path("abc").with_name(".abc_Vocals.mp3.77.part")
    part.write_bytes(b"half")
    assert blobs.forget_parts("x") == 0
    assert blobs.forget_parts("abc", older_than_seconds=60) == 0
    assert blobs.forget_parts("abc") == 1
    assert not part.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a\\b", "a\0b"])
def test_a_name_cannot_lead_out(blobs: Folder, name: str) -> None:
    with pytest.raises(BlobNotFound):
        blobs.path(name)


def test_the_store_is_named_by_a_url(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    assert open_blobs(folder.as_uri()).root == folder
    with pytest.raises(UnknownBlobs):
        open_blobs("ftp://x")
