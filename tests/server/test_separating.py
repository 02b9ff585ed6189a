"""The separation process: a crash, a hang or a glut in it is an answer, never an accident."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from stemwright.errors import ChildDied, InputRefused, LimitExceeded, Superseded
from stemwright.server import separating
from stemwright.server.bounds import Limits
from stemwright.server.jobs import Job
from stemwright.server.separating import Child
from tests.audio.sounds import RATE, noise, write

from .conftest import STUB

MANY = 1 << 40


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child(Limits(MANY, 20), command=[sys.executable, str(STUB)])
    yield child
    child.close()


@pytest.fixture
def job(tmp_path: Path):
    def make(**script: object) -> Job:
        source = tmp_path / "source"
        source.write_text(json.dumps(script))
        return Job("t", "split_stem", None, str(source), str(tmp_path), "mp3", "twelve", 60)

    return make


def go_on(fraction: float) -> bool:
    return True


def test_a_job_gives_files_and_facts_and_the_process_stays(child: Child, job) -> None:
    outcome = child.separate(job(), on_progress=go_on)
    assert len(outcome.parts) == 12
    assert all(Path(part.file).exists() for part in outcome.parts)
    pid = child.pid
    child.separate(job(), on_progress=go_on)
    assert child.pid == pid


@pytest.mark.parametrize("how", ["SIGSEGV", "SIGKILL", "SIGABRT"])
def test_a_death_is_told_and_the_next_job_gets_a_new_process(child: Child, job, how: str) -> None:
    with pytest.raises(ChildDied, match=how):
        child.separate(job(die=how), on_progress=go_on)
    assert len(child.separate(job(), on_progress=go_on).parts) == 12


def test_a_refused_song_says_why_without_our_paths(child: Child, job, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="The song is not audio") as error:
        child.separate(job(refuse="it is a poem"), on_progress=go_on)
    assert str(tmp_path) not in str(error.value)


def test_a_hang_ends_at_the_limit(job) -> None:
    child = Child(Limits(MANY, 1.5), command=[sys.executable, str(STUB)])
    with pytest.raises(LimitExceeded, match=r"1\.5 s"):
        child.separate(job(seconds=60), on_progress=go_on)
    assert child.pid is None
    child.close()


def test_a_glut_of_memory_ends_at_the_limit(job) -> None:
    child = Child(Limits(300 << 20, 20), command=[sys.executable, str(STUB)])
    with pytest.raises(LimitExceeded, match="300 MiB"):
        child.separate(job(swell=600), on_progress=go_on)
    child.close()


def test_a_cancelled_job_stops_and_the_process_stays(child: Child, job) -> None:
    with pytest.raises(Superseded):
        child.separate(job(seconds=60), on_progress=lambda fraction: False)
    assert child.pid is not None
    assert len(child.separate(job(), on_progress=go_on).parts) == 12


def test_a_job_that_is_deaf_to_cancel_is_killed(child: Child, job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separating, "CANCEL_SECONDS", 0.5)
    with pytest.raises(Superseded):
        child.separate(job(seconds=60, deaf=True), on_progress=lambda fraction: False)
    assert child.pid is None


def test_progress_rises(child: Child, job) -> None:
    said: list[float] = []
    child.separate(job(seconds=3), on_progress=lambda fraction: said.append(fraction) or True)
    assert said == sorted(said)
    assert 0 < said[0] < said[-1] < 1


def test_an_idle_process_is_ended(child: Child, job) -> None:
    child.separate(job(), on_progress=go_on)
    assert not child.kill_when_idle(60)
    assert child.kill_when_idle(0)
    assert child.pid is None


def test_the_process_dies_with_the_worker_however_that_ends(tmp_path: Path, job) -> None:
    work = job(seconds=60)
    program = (
        "import sys; from stemwright.server.separating import Child, Limits\n"
        "from stemwright.server.jobs import Job\n"
        f"child = Child(Limits({MANY}, 60), command={[sys.executable, str(STUB)]!r})\n"
        f"child.separate({work!r}, on_progress=lambda f: print(child.pid, flush=True) or True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        pid = int(worker.stdout.readline())
        worker.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(pid)


def test_the_real_process_refuses_what_is_not_a_song(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("a poem")
    child = Child(Limits(4 << 30, 60))
    with pytest.raises(InputRefused, match="The song"):
        child.separate(Job("t", "split_stem", None, str(source), str(tmp_path), "mp3", "twelve", 60), on_progress=go_on)
    child.close()


def test_what_is_odd_about_a_song_is_told_and_not_what_is_odd_about_the_machine(tmp_path: Path) -> None:
    source = tmp_path / "source.wav"
    write(source, noise(2 * RATE), rate=RATE)
    os.truncate(source, source.stat().st_size // 2)
    child = Child(Limits(MANY, 60), device="cuda")
    job = Job("t", "separate_vocal", None, str(source), str(tmp_path), "mp3", "twelve", 60)
    assert child.separate(job, on_progress=go_on).warnings == ["1.0 s are missing: the file is cut off or damaged"]
    child.close()


def test_too_much_processor_time_ends_at_the_limit(job) -> None:
    child = Child(Limits(MANY, 300, cpu_seconds=1), command=[sys.executable, str(STUB)])
    with pytest.raises(LimitExceeded, match="1 s of processor time"):
        child.separate(job(burn=60), on_progress=go_on)
    child.close()


def test_every_job_has_processor_time_of_its_own(job) -> None:
    child = Child(Limits(MANY, 300, cpu_seconds=1), command=[sys.executable, str(STUB)])
    pids = {child.separate(job(burn=0.8), on_progress=go_on) and child.pid for _ in range(3)}
    assert len(pids) == 1
    child.close()


def test_the_system_ends_a_job_that_nobody_watches(job) -> None:
    environment = os.environ | {"STEMWRIGHT_CHILD_SECONDS": "0.5"}
    with subprocess.Popen([sys.executable, str(STUB)], stdin=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"job": asdict(job(seconds=600))}) + "\n")
        process.stdin.flush()
        assert process.wait(120) == -signal.SIGALRM


@pytest.mark.skipif(not Path("/proc").exists(), reason="no /proc, and so no SIGSTOP that could be seen")
def test_a_process_that_stands_still_is_replaced(job) -> None:
    child = Child(Limits(MANY, 300, silent_seconds=2), command=[sys.executable, str(STUB)])

    def stop(fraction: float) -> bool:
        os.kill(child.pid or 0, signal.SIGSTOP)
        return True

    with pytest.raises(ChildDied, match="no sign of life for 2 s"):
        child.separate(job(seconds=60), on_progress=stop)
    assert len(child.separate(job(), on_progress=go_on).parts) == 12
    child.close()


def test_it_knows_no_secret_of_ours(child: Child, job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"STEMWRIGHT_UPSTREAM_KEY", "STEMWRIGHT_DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "HF_TOKEN"}
    for name in secrets | {"STEMWRIGHT_MODELS"}:
        monkeypatch.setenv(name, "hunter2")
    child.separate(job(tell=str(tmp_path / "told")), on_progress=go_on)
    told = json.loads((tmp_path / "told").read_text())
    assert not told.keys() & secrets
    assert {name for name, value in told.items() if value == "hunter2"} == {"STEMWRIGHT_MODELS"}


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False if Path("/proc").exists() else _exists(pid)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
