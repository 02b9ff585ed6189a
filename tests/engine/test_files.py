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


def slowly() -> Iterator[Samples]:
    for _ in range(20):
        time.sleep(0.02)
        yield np.zeros((2, 4410), np.float32)


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
