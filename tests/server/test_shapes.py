"""Workers of two shapes of the workflows: what one left behind the other begins anew, once, when nobody else may."""

import signal
from typing import Any

import pytest
import sqlalchemy as sa

from stemwright.server import accounts, credits, fleet, tasks, workflows
from stemwright.server.settings import Settings
from stemwright.server.store.database import Database
from tests.crash.house import Receiver

from .crew import Crew, Submit, crew, hook, submit, wait  # noqa: F401  fixtures

OURS = workflows.SHAPE
NEXT = """
import os, signal
from stemwright.server import worker, workflows
workflows.SHAPE = "next"
worker.version = lambda _: "{version}"
"""
WORKS = f"{NEXT}worker.main()"
PATIENT: dict[str, Any] = {"dead_after_seconds": 60}  # who is killed here is known to be dead; who is only slow is not
DIES_WITHIN = f"{NEXT}workflows._begin_anew = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nworker.main()"


def found(database: Database, task_id: str) -> tasks.Task:
    with database.read() as tx:
        return tasks.find(tx, task_id)


def shapes(database: Database) -> set[str]:
    with database.read() as tx:
        return set(tx.execute(sa.select(workflows._table(tx, "workflow_status").c.application_version)).scalars())


def release_for(database: Database, settings: Settings, *, slots: int) -> str:
    """Gives out turns for a worker of this shape that is never going to take them; returns its id."""
    with database.transaction() as tx:
        told: dict[str, Any] = {"version": "1", "device": "cpu", "model": "m", "slots": slots, "shape": workflows.SHAPE}
        worker = fleet.register(tx, **told, now=fleet.clock(tx))
        tx.execute(sa.update(fleet.rows).where(fleet.rows.c.id == worker).values(host="elsewhere"))
    assert workflows.release(database, settings)
    return worker


def silence(database: Database, worker: str) -> None:
    with database.transaction() as tx:
        fleet.leave(tx, worker)


def left_behind(database: Database, settings: Settings, submit: Submit, crew: Crew, hook: Receiver) -> list[str]:
    """A task in the middle, two in the queue, one whose callback was refused once; and nobody of their shape."""
    hook.answer = lambda number: 500 if number == 1 else 200
    old = crew.start(callback_delays_seconds="0,3,0.1", **PATIENT)
    told = submit()
    wait(lambda: bool(hook.got[told]))
    held = submit(seconds=1)
    wait(lambda: found(database, held).state == "separating")
    old.kill()
    old.wait()
    queued = [submit(), submit()]
    silence(database, release_for(database, settings, slots=3))
    return [told, held, *queued]


def check_everything(
    database: Database, asked: list[str], hook: Receiver, account: accounts.Account, crew: Crew
) -> None:
    wait(lambda: all(len(hook.got[task_id]) == 2 for task_id in asked))
    assert [found(database, task_id).state for task_id in asked] == ["finished"] * 4
    assert [found(database, task_id).attempt for task_id in asked] == [1, 2, 1, 1], crew.log.read_text()
    assert all(len({message for message, _ in hook.got[task_id]}) == 1 for task_id in asked)
    with database.read() as tx:
        assert credits.balance(tx, account.id) == 100 - 4 * 5
        assert credits.audit(tx) == []


def test_the_next_shape_finishes_what_an_older_one_left_also_after_dying_of_it(
    database: Database, settings: Settings, submit: Submit, crew: Crew, hook: Receiver, account: accounts.Account
) -> None:
    asked = left_behind(database, settings, submit, crew, hook)
    assert crew.start(program=DIES_WITHIN, **PATIENT).wait(90) == -signal.SIGKILL
    assert shapes(database) == {OURS}
    for _ in range(2):  # at once: each workflow goes to one of them
        crew.start(program=WORKS, **PATIENT)
    check_everything(database, asked, hook, account, crew)
    assert f"anew in shape next: no worker has shape {OURS}" in crew.log.read_text()


def test_two_shapes_side_by_side_each_do_their_own(
    database: Database, submit: Submit, crew: Crew, hook: Receiver
) -> None:
    both = crew.start(**PATIENT), crew.start(program=WORKS, version="2.0", **PATIENT)
    wait(lambda: all(crew.is_ready(each) for each in both))
    asked = [submit(seconds=0.5) for _ in range(6)]
    wait(lambda: all(hook.got[task_id] for task_id in asked))
    assert {found(database, task_id).attempt for task_id in asked} == {1}
    workers = [found(database, task_id).worker or "" for task_id in asked]
    assert all(any(f"-{each.pid}-" in worker for worker in workers) for each in both)
    assert "anew" not in crew.log.read_text()


def test_what_a_living_worker_may_still_take_is_left_to_it(
    database: Database, settings: Settings, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = submit()
    worker = release_for(database, settings, slots=1)
    monkeypatch.setattr(workflows, "SHAPE", "next")
    assert workflows.adopt(database, settings) == []
    silence(database, worker)
    assert workflows.adopt(database, settings) == [f"separation-{task_id}"]
    assert workflows.adopt(database, settings) == []
    assert shapes(database) == {"next"}


def test_an_older_version_goes_on_after_a_newer_one(
    database: Database, settings: Settings, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chores too."""
    monkeypatch.setattr(workflows, "SHAPE", "next")
    task_id = submit()
    silence(database, release_for(database, settings, slots=1))
    with database.transaction() as tx:
        workflows._enqueue(tx, "chores", workflows.CHORES, workflow_id="chores-0")
    monkeypatch.setattr(workflows, "SHAPE", OURS)
    assert sorted(workflows.adopt(database, settings)) == ["chores-0", f"separation-{task_id}"]
    assert shapes(database) == {OURS}
