"""The folder of the models: what is in it under a name is whole."""

import errno
import os
import stat
from pathlib import Path

import pytest

from stemwright.zoo import installed


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no system here tells what a descriptor is of")
def test_a_model_has_its_name_when_it_is_on_the_disk_and_no_sooner(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[tuple[str, bool]] = []  # what was, and whether the model had its name then

    def fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").resolve().name
        settled.append((name, (models / "mine").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "weights.onnx").write_bytes(b"weights")
    installed.install("mine", tmp_path / "weights.onnx", {"architecture": "graph", "stems": ["vocals"]})
    *before, after = settled
    assert sorted(before) == [("card.toml", False), ("staged", False), ("weights.onnx", False)]
    assert after == ("models", True)


def test_a_model_comes_to_a_file_system_that_settles_no_folders(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "weights.onnx").write_bytes(b"weights")
    installed.install("mine", tmp_path / "weights.onnx", {"architecture": "graph", "stems": ["vocals"]})
    assert installed.names() == ["mine"]
