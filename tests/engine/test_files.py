"""Stems become files, all of them or none, whenever an interrupt comes."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stemwright.audio.encode import StemWriter, open_stem
from stemwright.audio.signal import Samples
from stemwright.engine.files import write_files
from stemwright.errors import CannotWrite


def slowly() -> Iterator[Samples]:
    for _ in range(20):
        time.sleep(0.02)
        yield np.zeros((2, 4410), np.float32)


def test_what_was_there_is_not_lost_when_a_file_cannot_have_its_name(tmp_path: Path) -> None:
    def started(name: str) -> StemWriter:
        return open_stem(tmp_path / f"{name}.wav", rate=44100, format="wav")

    def tell(_: int) -> None:
        if part.exists():
            (tmp_path / "drums.wav").mkdir(exist_ok=True)

    (tmp_path / "vocals.wav").write_bytes(b"the old one")
    part = tmp_path / "drums.wav.part"
    with pytest.raises(CannotWrite):
        write_files({"vocals": slowly(), "bass": slowly(), "drums": slowly()}, started, gain=1.0, on_written=tell)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drums.wav", "vocals.wav"]


@pytest.mark.parametrize("opening", [0.0, 0.3])
def test_an_interrupt_while_a_thread_starts_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opening: float
) -> None:
    """Then the pool knows nothing of the thread, which has begun all the same."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.startswith("encode"):
            time.sleep(0.1)
            raise KeyboardInterrupt

    def begun(name: str) -> StemWriter:
        time.sleep(opening)
        return open_stem(tmp_path / "out" / f"{name}.wav", rate=44100, format="wav")

    before = set(threading.enumerate())
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_files({"vocals": slowly()}, begun, gain=1.0)
    left = list((tmp_path / "out").glob("*"))
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert left == list((tmp_path / "out").glob("*")) == []
