"""Several worker processes: frozen, woken late, told to leave, replaced by another version; nothing is lost."""

import os
import signal
import subprocess
import time

import pytest
import sqlalchemy as sa

from stemwright.server import accounts, credits, fleet, operating, tasks
from stemwright.server.settings import Settings
from stemwright.server.store.database import Database
from tests.crash.house import Receiver

from .crew import Crew, Submit, crew, hook, submit, wait  # noqa: F401  fixtures

FROZEN_WITH_THE_LOCK = """
import os, signal
from stemwright.server import fleet
from stemwright.server.settings import Settings
from stemwright.server.store.database import Database
database = Database(Settings().database)
with database.transaction() as tx:
    fleet.register(tx, version="{version}", device="cpu", model="m", now=fleet.clock(tx))
with database.transaction() as tx:
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def found(database: Database, task_id: str) -> tasks.Task:
    with database.read() as tx:
        return tasks.find(tx, task_id)


def held_by(database: Database, process: subprocess.Popen[bytes], task_id: str) -> bool:
    task = found(database, task_id)
    return task.state == "separating" and f"-{process.pid}-" in (task.worker or "")


def freeze(database: Database, process: subprocess.Popen[bytes]) -> None:
    """Stops it, on SQLite between two transactions."""
    while True:
        process.send_signal(signal.SIGSTOP)
        if not database.sqlite:
            return
        with database.engine.connect() as connection:
            driver = connection.connection.driver_connection
            driver.execute("PRAGMA busy_timeout=20")
            try:
                connection.exec_driver_sql("SELECT 1")
            except sa.exc.OperationalError:
                process.send_signal(signal.SIGCONT)
            else:
                return
            finally:
                driver.execute("PRAGMA busy_timeout=30000")


def test_a_worker_that_comes_back_late_changes_nothing(
    database: Database, submit: Submit, crew: Crew, hook: Receiver, account: accounts.Account
) -> None:
    """On SQLite it does not come back: it may hold the only lock, so it is ended."""
    first = crew.start(dead_after_seconds=3)
    task_id = submit(seconds=4)
    wait(lambda: held_by(database, first, task_id))
    freeze(database, first)
    second = crew.start()
    wait(lambda: held_by(database, second, task_id))
    first.send_signal(signal.SIGCONT)
    wait(lambda: bool(hook.got[task_id]))
    assert first.wait(30) == (-signal.SIGKILL if database.sqlite else 3)
    with database.read() as tx:
        task = tasks.find(tx, task_id)
        assert (task.state, f"-{second.pid}-" in (task.worker or "")) == ("finished", True)
        assert len({message for message, _ in hook.got[task_id]}) == 1
        assert credits.balance(tx, account.id) == 95
        assert credits.audit(tx) == []


def test_a_dead_worker_cannot_begin_again(database: Database, asked: tasks.Submission) -> None:
    """It was frozen between two steps: the next worker's attempt must not be superseded by its."""
    with database.transaction() as tx:
        worker = fleet.register(tx, version="1", device="cpu", model="m", now=1000)
        other = fleet.register(tx, version="1", device="cpu", model="m", now=900_000)
        task = tasks.submit(tx, asked, now=1000)
        tasks.begin(tx, task.id, state="separating", worker=worker, now=1000)
        tx.execute(sa.update(fleet.rows).where(fleet.rows.c.id == worker).values(host="elsewhere"))
        assert fleet.claim_dead(tx, other, dead_after_ms=45_000, now=900_000) == [worker]
    with pytest.raises(tasks.Superseded), database.transaction() as tx:
        tasks.begin(tx, task.id, state="separating", worker=worker, now=900_001)
    with database.transaction() as tx:
        fleet.forget(tx, worker, now=900_001)
        assert tasks.begin(tx, task.id, state="separating", worker=other, now=900_002).attempt == 2


def test_a_worker_frozen_inside_a_transaction_is_ended(
    database: Database, settings: Settings, submit: Submit, crew: Crew
) -> None:
    if not database.sqlite:
        pytest.skip("only SQLite has one write lock for all")
    task_id = submit()
    working = crew.start(dead_after_seconds=4)
    wait(lambda: found(database, task_id).state == "finished")
    frozen = crew.start(program=FROZEN_WITH_THE_LOCK)
    assert frozen.wait(30) == -signal.SIGKILL
    again = submit()
    wait(lambda: found(database, again).state == "finished")
    assert working.poll() is None


def test_a_worker_that_leaves_finishes_what_it_can(database: Database, submit: Submit, crew: Crew) -> None:
    leaving = crew.start(drain_seconds=20)
    task_id = submit(seconds=1)
    wait(lambda: held_by(database, leaving, task_id))
    leaving.terminate()
    assert leaving.wait(40) == 0
    assert found(database, task_id).state == "finished"
    assert found(database, task_id).attempt == 1


def test_a_worker_that_cannot_finish_hands_its_task_back_at_once(
    database: Database, submit: Submit, crew: Crew
) -> None:
    # Nobody is going to look for the dead; and both are there before the task, which a slow start would outlast.
    both = [crew.start(drain_seconds=0, sweep_seconds=3600, dead_after_seconds=3600) for _ in range(2)]
    wait(lambda: all(crew.is_ready(each) for each in both))
    task_id = submit(seconds=3)
    wait(lambda: any(held_by(database, each, task_id) for each in both))
    leaving, staying = both if held_by(database, both[0], task_id) else both[::-1]
    leaving.terminate()
    assert leaving.wait(30) == 0
    wait(lambda: held_by(database, staying, task_id))
    wait(lambda: found(database, task_id).state == "finished")


def test_one_version_takes_over_from_another_and_nothing_is_stranded(
    database: Database, submit: Submit, crew: Crew, hook: Receiver
) -> None:
    old = crew.start(version="1.0", drain_seconds=0)
    asked = [submit(seconds=0.4) for _ in range(4)]
    wait(lambda: any(held_by(database, old, task_id) for task_id in asked))
    crew.start(version="1.1")

    def versions() -> set[str]:
        with database.read() as tx:
            return {row["version"] for row in operating.workers(tx, dead_after_ms=3000)}

    wait(lambda: versions() == {"1.0", "1.1"})
    asked += [submit(seconds=0.4) for _ in range(4)]
    old.terminate()
    assert old.wait(30) == 0
    asked += [submit() for _ in range(2)]
    wait(lambda: all(hook.got[task_id] for task_id in asked))
    assert {found(database, task_id).state for task_id in asked} == {"finished"}
    assert versions() == {"1.1"}


def test_a_second_worker_shares_the_work(database: Database, submit: Submit, crew: Crew) -> None:
    first, second = crew.start(), crew.start()
    wait(lambda: crew.is_ready(first) and crew.is_ready(second))
    asked = [submit(seconds=0.5) for _ in range(6)]
    wait(lambda: all(found(database, task_id).completed for task_id in asked))
    done = [found(database, task_id).worker or "" for task_id in asked]
    assert all(any(f"-{process.pid}-" in worker for worker in done) for process in (first, second))


def test_a_machine_that_was_asleep_finds_its_workers_alive(database: Database) -> None:
    """After a sleep, or a jump of the clock, everyone looks dead to everyone: nobody is declared so at once."""
    with database.transaction() as tx:
        first, second = (fleet.register(tx, version="1", device="cpu", model="m", now=1000) for _ in range(2))
        for later in (10**7, -(10**7)):
            assert fleet.claim_dead(tx, first, dead_after_ms=45_000, now=1000 + later) == []
        fleet.beat(tx, first, now=10**7)
        fleet.beat(tx, second, now=10**7)
        assert fleet.claim_dead(tx, first, dead_after_ms=45_000, now=10**7) == []


def test_heartbeats_are_told_by_the_databases_clock(database: Database) -> None:
    with database.read() as tx:
        first, here = fleet.clock(tx), time.time_ns() // 1_000_000
        assert abs(first - here) < 5000  # one machine in these tests
        time.sleep(0.01)
        assert fleet.clock(tx) > first


def test_a_process_that_is_stopped_is_known_as_such(crew: Crew) -> None:
    process = crew.start(program="import sys; sys.stdin.read()")
    assert not fleet.is_stopped(process.pid)
    os.kill(process.pid, signal.SIGSTOP)
    wait(lambda: fleet.is_stopped(process.pid))
