"""Ctrl-C and a polite kill while a net is in the middle of a segment that would take for ever."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch")
sys.path.append(str(Path(__file__).parents[1] / "zoo"))

import tiny

# Songs that are loud are endless: the net goes through its first layer again and again.
COMMAND = """
import sys, time
import torch
from pathlib import Path
from stemwright import cli
from stemwright.engine.spool import Spool
from stemwright.nets.roformer import Roformer

once, more = Roformer.forward, sys.argv.pop(1)

def forward(net, mix):
    while mix.abs().max() > 0.5:
        Path("reached").touch()
        time.sleep(0.01)
        net.norm(torch.zeros(1, net.config.dim))
    return once(net, mix)

Roformer.forward = forward
exec(more)
cli.main()
"""
SAID = "stemwright: stopping; once more leaves at once\n"
ENDED = "stemwright: interrupted: nothing half-written was left behind\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a quiet song, which is separated soon, and a loud one."""
    monkeypatch.setenv("STEMWRIGHT_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    tiny.install("slow", "roformer", ("vocals",))
    for name, level in (("quiet", 0.1), ("loud", 0.9)):
        soundfile.write(tmp_path / f"{name}.wav", np.full((30000, 2), level), 44100)
    return tmp_path


@contextmanager
def start(place: Path, *arguments: str, more: str = "") -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", COMMAND, more, "separate", *arguments, "--model", "slow", "--out", "out", "--json"]
    with subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()  # one that has not heard would be waited for without end


def in_the_middle(place: Path, process: subprocess.Popen[str]) -> None:
    while not (place / "reached").exists():
        assert process.poll() is None
        time.sleep(0.01)


def left(place: Path) -> list[str]:
    folders = (place / "out", place / "temporary")
    return sorted(path.relative_to(place).as_posix() for folder in folders for path in folder.rglob("*"))


def children(process: subprocess.Popen[str]) -> str:
    """Empty also where there is no /proc."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return found.read_text() if found.exists() else ""


def test_a_segment_is_left_in_its_middle_and_nothing_stays(place: Path) -> None:
    with start(place, "loud.wav") as process:
        in_the_middle(place, process)
        assert children(process) == ""
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1] == SAID + ENDED
    assert process.returncode == 130
    assert not (place / "out").exists()
    assert left(place) == []


def test_one_that_does_not_wake_the_thread_that_waits_is_heard_all_the_same(place: Path) -> None:
    """As when it comes just before the wait begins."""
    more = """
import signal, threading
endless = Roformer.forward
def forward(net, mix):
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    return endless(net, mix)
Roformer.forward = forward
"""
    with start(place, "loud.wav", more=more) as process:
        assert process.communicate(timeout=60)[1] == SAID + ENDED
    assert left(place) == []


def test_signals_that_come_together_are_one_and_those_that_a_shell_turned_off_are_none(place: Path) -> None:
    more = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); cli.ONE_SECONDS = 1e9"
    with start(place, "loud.wav", "--profile", "upstream", more=more) as process:
        in_the_middle(place, process)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        for _ in range(5):
            process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[1] == SAID + ENDED
    assert left(place) == []


def test_the_second_leaves_at_once(place: Path) -> None:
    with start(place, "loud.wav", more="Spool.close = lambda spool: time.sleep(600)") as process:
        in_the_middle(place, process)
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert process.stderr.readline() == SAID
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_a_batch_keeps_what_is_finished_and_makes_the_rest_another_time(place: Path) -> None:
    songs = ("quiet.wav", "loud.wav", "--jobs", "2", "--format", "wav")
    with start(place, *songs) as process:
        assert process.stdout
        while json.loads(process.stdout.readline())["event"] != "finished":
            pass
        in_the_middle(place, process)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[1] == SAID + ENDED
    assert left(place) == [
        "out/.stemwright.jsonl", "out/quiet", "out/quiet/instrumental.wav", "out/quiet/vocals.wav",
    ]  # fmt: skip
    with start(place, *songs, more="Roformer.forward = once") as process:
        told = [json.loads(line) for line in process.communicate(timeout=60)[0].splitlines()]
    ends = [(Path(event["song"]).name, event["event"]) for event in told if event["event"] in ("skipped", "finished")]
    assert sorted(ends) == [("loud.wav", "finished"), ("quiet.wav", "skipped")]
