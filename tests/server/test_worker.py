"""One real worker process on either database: tasks in, files, callbacks and refunds out."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from stemwright.errors import TaskEnded
from stemwright.server import accounts, credits, fleet, tasks, turns, workflows
from stemwright.server.api import WORKER
from stemwright.server.clock import now_ms
from stemwright.server.settings import Settings
from stemwright.server.store.database import Database
from tests.crash.house import Receiver
from tests.server.http import sources
from tests.server.http.sources import source

from .crew import Crew, Submit, crew, hook, submit, wait, worker  # noqa: F401  fixtures


def test_a_worker_does_what_it_is_asked(
    database: Database, submit: Submit, worker: subprocess.Popen[bytes], hook: Receiver, account: accounts.Account
) -> None:
    good = submit()
    advanced = submit("split_stem_advanced", "Lead Guitar")
    refused = submit(refuse="a poem")
    everyone = [good, advanced, refused]
    wait(lambda: all(hook.got[task] for task in everyone))
    with database.read() as tx:
        found = {task: tasks.find(tx, task) for task in everyone}
        assert [found[task].flag for task in everyone] == ["SUCCESS", "SUCCESS", "CREATE_TASK_FAILED"]
        assert len(tasks.stems_of(tx, good)) == 12
        assert [stem.name for stem in tasks.stems_of(tx, advanced)] == ["guitar", "rest"]
        assert credits.balance(tx, account.id) == 100 - 10
        assert credits.audit(tx) == []
    assert hook.got[refused][0][1]["code"] == 500
    told = hook.got[good][0][1]["data"]["vocal_removal_info"]
    assert told["vocal_url"].startswith("https://stems.example/s/")  # what the one who asked reached us by
    worker.terminate()
    assert worker.wait(30) == 0


def test_a_running_task_can_be_cancelled(
    database: Database, submit: Submit, worker: subprocess.Popen[bytes], hook: Receiver, settings: Settings
) -> None:
    task = submit(seconds=60)

    def separating() -> bool:
        with database.read() as tx:
            return tasks.find(tx, task).state == "separating"

    wait(separating)
    with database.transaction() as tx:
        workflows.cancel(tx, task)
    wait(lambda: bool(hook.got[task]))
    wait(lambda: not list(settings.work.iterdir()))
    with pytest.raises(TaskEnded), database.transaction() as tx:
        workflows.cancel(tx, task)


def test_a_song_that_drips_holds_no_slot_once_its_task_is_cancelled(
    database: Database, submit: Submit, worker: subprocess.Popen[bytes], hook: Receiver, account: accounts.Account
) -> None:
    with source(sources.drips) as slow:
        asked = tasks.Submission(account.id, "split_stem", "mp3", "apikley", 5, None, audio_url=f"{slow.url}/song.mp3")
        with database.transaction() as tx:
            task = tasks.submit(tx, asked, now=now_ms()).id
        wait(lambda: bool(slow.asked))
        with database.transaction() as tx:
            workflows.cancel(tx, task)
        after = submit()
        wait(lambda: bool(hook.got[after]))
    assert worker.poll() is None


def test_what_is_not_committed_is_never_started(
    database: Database, settings: Settings, asked: tasks.Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a create nor a release: the task, its price and its place in the queue are one."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    with database.transaction() as tx:
        tasks.submit(tx, asked, now=now_ms())
        fleet.register(tx, version="1", device="cpu", model="m", now=fleet.clock(tx))
    enqueue = workflows._enqueue
    monkeypatch.setattr(workflows, "_enqueue", lambda *args, **named: (enqueue(*args, **named), fail()))
    with pytest.raises(RuntimeError):
        workflows.release(database, settings)
    with database.read() as tx:
        assert turns.due(tx).turn
        table = "workflow_status" if database.sqlite else "dbos.workflow_status"
        assert tx.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0


def test_a_worker_that_cannot_start_says_why_in_a_line(tmp_path: Path) -> None:
    told = {"STEMWRIGHT_DATA": str(tmp_path / "none"), "STEMWRIGHT_PARENT_PID": str(os.getpid())}
    pipe = subprocess.PIPE  # its input ends with us
    with subprocess.Popen(WORKER, env=os.environ | told, text=True, stdin=pipe, stderr=pipe) as process:
        assert process.stderr is not None
        said = process.stderr.read()
    assert (process.returncode, said.count("\n")) == (1, 1)
    assert f"There is no Stemwright data in {tmp_path / 'none'}" in said


def test_a_worker_ends_with_the_one_that_started_it(worker: subprocess.Popen[bytes]) -> None:
    assert worker.stdin is not None
    time.sleep(1)
    worker.stdin.close()
    assert worker.wait(30) != 0
