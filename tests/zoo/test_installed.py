"""The folder of the models: what is in it under a name is whole."""

import os
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
