"""One real worker process on either database: tasks in, files, callbacks and refunds out."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemwright.errors import TaskEnded
from stemwright.server import accounts, credits, fleet, tasks, turns, workflows
from stemwright.server.api import WORKER
from stemwright.server.clock import now_ms
from stemwright.server.settings import Settings
from stemwright.server.store.blobs import Blobs
from stemwright.server.store.database import Database
from tests.crash.house import Receiver, receiver
from tests.server.http import sources
from tests.server.http.sources import source

from .crew import Crew, Submit, crew, hook, submit, wait, worker  # noqa: F401  fixtures


def test_a_worker_does_what_it_is_asked(
    database: Database,
    submit: Submit,
    worker: subprocess.Popen[bytes],
    hook: Receiver,
    account: accounts.Account,
    blobs: Blobs,
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
    for task in (good, advanced):  # also what is for the player alone
        assert len(found[task].beside) == 2
        assert all(name in blobs for name in found[task].beside)


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


@pytest.fixture
def silent() -> Iterator[Receiver]:
    """Takes callbacks and answers none, for as long as the test goes on."""
    over = threading.Event()
    with receiver() as server:
        server.answer = lambda _: 200 if over.wait(60) else 500
        yield server
        over.set()


def test_a_receiver_that_hangs_holds_up_nobody_elses_callbacks(
    database: Database, submit: Submit, worker: subprocess.Popen[bytes], hook: Receiver, silent: Receiver
) -> None:
    """More of one account's than a worker delivers of it at once; another account's go past them."""
    slow = [submit(callback_url=silent.url) for _ in range(20)]
    with database.transaction() as tx:
        for task in slow:
            workflows.cancel(tx, task)
        other = accounts.create(tx, "other", now=now_ms())
        credits.grant(tx, other.id, 100, reason="test", now=now_ms())
    wait(lambda: silent.busy >= workflows.CALLBACKS_OF_ONE)
    quick = submit(account=other)
    with database.transaction() as tx:
        workflows.cancel(tx, quick)
    wait(lambda: bool(hook.got[quick]), seconds=8)  # none of the others has been given up by then
    assert silent.busy == workflows.CALLBACKS_OF_ONE


def test_a_worker_has_the_slots_it_is_given_and_not_those_of_another_or_of_the_last_time(
    database: Database, submit: Submit, crew: Crew
) -> None:
    before = crew.start(concurrent_tasks=1)
    wait(lambda: crew.is_ready(before))
    before.terminate()
    assert before.wait(30) == 0
    now = crew.start(concurrent_tasks=3)
    wait(lambda: crew.is_ready(now))
    beside = crew.start(concurrent_tasks=1)
    wait(lambda: crew.is_ready(beside))
    asked = [submit(seconds=30) for _ in range(4)]

    def separating() -> list[int]:
        """How many each of the two is at."""
        with database.read() as tx:
            found = [tasks.find(tx, task) for task in asked]
        who = [task.worker or "" for task in found if task.state == "separating"]
        return [sum(f"-{each.pid}-" in worker for worker in who) for each in (now, beside)]

    wait(lambda: separating() == [3, 1], seconds=20)


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
