"""What fell between the workers: taken by one that was declared dead, let go in an outage, held by nobody."""

import signal
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from stemwright.errors import BlobsAway
from stemwright.server import accounts, credits, fleet, retention, running, tasks, tracks, worker, workflows
from stemwright.server.clock import now_ms
from stemwright.server.settings import Settings
from stemwright.server.store.blobs import open_blobs
from stemwright.server.store.database import Database
from stemwright.server.store.tables import tasks as rows
from tests.crash.house import Receiver

from .conftest import keep
from .crew import Crew, Submit, crew, hook, submit, wait  # noqa: F401  fixtures

HASTY = """
from stemwright.server import worker, workflows
worker.version, workflows.PATIENT_MS = (lambda _: {version!r}), -1
worker.main()
"""


def found(database: Database, task_id: str) -> tasks.Task:
    with database.read() as tx:
        return tasks.find(tx, task_id)


def workflow_table(database: Database) -> str:
    return "workflow_status" if database.sqlite else "dbos.workflow_status"


def declare_everyone_dead(database: Database) -> None:
    """As another worker does it, which has taken over what they held."""
    with database.transaction() as tx:
        now = fleet.clock(tx)
        tx.execute(sa.update(fleet.rows).values(sweeper="other", swept=now - 60_000, ended=now))


def is_over(database: Database, *task_ids: str) -> bool:
    return all(found(database, task_id).completed for task_id in task_ids)


def test_what_a_worker_takes_that_was_declared_dead_is_done_by_the_next(
    database: Database, submit: Submit, crew: Crew, hook: Receiver, account: accounts.Account
) -> None:
    """It has not heard of it yet: it ends when it finds out, and what it took goes on."""
    cut_off = crew.start(heartbeat_seconds=600, sweep_seconds=600, dead_after_seconds=3000)
    wait(lambda: crew.is_ready(cut_off))
    declare_everyone_dead(database)
    with database.transaction() as tx:
        fleet.register(tx, version="1", device="cpu", model="m", slots=1, now=fleet.clock(tx))  # so there is a turn
    task_id = submit()
    assert cut_off.wait(90) == running.DECLARED_DEAD
    assert found(database, task_id).state == "queued"
    crew.start()
    wait(lambda: bool(hook.got[task_id]))
    assert (found(database, task_id).state, found(database, task_id).attempt) == ("finished", 1)
    with database.read() as tx:
        assert credits.balance(tx, account.id) == 95


def test_what_an_ended_worker_still_holds_is_taken_over(database: Database, submit: Submit, crew: Crew) -> None:
    first = crew.start()
    task_id = submit(seconds=60, once="")
    wait(lambda: found(database, task_id).state == "separating")
    first.send_signal(signal.SIGKILL)
    first.wait()
    declare_everyone_dead(database)
    second = crew.start()
    wait(lambda: f"-{second.pid}-" in (found(database, task_id).worker or ""))
    assert found(database, task_id).attempt == 2


def test_after_a_silence_of_its_own_a_worker_declares_nobody_dead(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was away for everyone: the others are about to say that they live."""
    shop = worker.open_workshop(settings, database)
    with database.transaction() as tx:
        other = fleet.register(tx, version="1", device="cpu", model="m", now=fleet.clock(tx))
        tx.execute(sa.update(fleet.rows).values(heartbeat=fleet.clock(tx) - 60_000))
        tx.execute(sa.update(fleet.rows).where(fleet.rows.c.id == other).values(host="elsewhere"))
    worker._beat(shop)
    assert worker._dead(shop) == []
    later = time.monotonic() + 46
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert worker._dead(shop) == [other]


def test_a_step_waits_for_the_database_for_as_long_as_it_takes(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PAUSES_SECONDS", (0, 0.001))
    shop, calls = worker.open_workshop(settings, database), []

    def step(_shop: running.Workshop, fault: Exception, times: int) -> int:
        calls.append(fault)
        if len(calls) <= times:
            raise fault
        return times

    away = sa.exc.OperationalError("SELECT 1", None, Exception("away"))
    assert running.patiently(shop, step, away, 20) == 20
    calls.clear()
    with pytest.raises(ZeroDivisionError):
        running.patiently(shop, step, ZeroDivisionError(), 20)


def test_a_step_that_an_outage_broke_off_is_counted_once(
    database: Database, settings: Settings, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PAUSES_SECONDS", (0,))
    outage = [sa.exc.OperationalError("", None, Exception()), BlobsAway(reason="away")]
    shop, faults = worker.open_workshop(settings, database), outage * running.MAX_ATTEMPTS

    def broken(*_: object) -> running.Answer:
        if faults:
            raise faults.pop()
        return {"files": []}

    monkeypatch.setattr(running, "_separated", broken)
    assert running.patiently(shop, running.separate, task_id := submit(), "song") == {"files": []}
    assert found(database, task_id).attempt == 1  # an outage, however long, is no failure of the task
    assert not shop.held
    assert b'stemwright_task_retries_total{reason="outage"} 1.0' in shop.work.text()


def test_the_first_callback_waits_too_where_the_settings_say_so(
    database: Database, settings: Settings, submit: Submit
) -> None:
    shop, delays = worker.open_workshop(settings.model_copy(update={"callback_delays_seconds": (5, 60)}), database), []
    failure = {"failure": "input", "error": "It is no song."}
    running.end(shop, submit(), failure, enqueue=lambda tx, callback_id, delay_seconds: delays.append(delay_seconds))
    assert delays == [5]


def test_a_task_whose_workflow_is_no_more_begins_anew(
    database: Database, submit: Submit, crew: Crew, hook: Receiver, account: accounts.Account
) -> None:
    lost, old = submit(), submit()
    released = {lost: now_ms() - 61_000, old: now_ms() - retention.DAY_MS - 1}
    with database.transaction() as tx:  # their turn came, and there is no workflow; one of them has been so for a day
        for task_id, at in released.items():
            tx.execute(sa.update(rows).where(rows.c.id == task_id).values(released=at))
    crew.start(retention_cron="* * * * * *")
    wait(lambda: bool(hook.got[lost] and hook.got[old]))
    assert (found(database, lost).state, found(database, old).state) == ("finished", "failed")
    chores = f"SELECT count(*) FROM {workflow_table(database)} WHERE name = 'chores' AND status = "

    def are_done() -> bool:
        with database.read() as tx:
            return tx.exec_driver_sql(f"{chores}'SUCCESS'").scalar_one() > 0

    wait(are_done)
    with database.read() as tx:
        assert credits.balance(tx, account.id) == 95
        assert tx.exec_driver_sql(f"{chores}'ERROR'").scalar_one() == 0


@pytest.mark.parametrize("days", [0, 400])
def test_nothing_is_deleted_by_a_clock_that_has_leapt(
    days: int, database: Database, settings: Settings, account: accounts.Account, crew: Crew
) -> None:
    """SQLite has no other clock than its machine's: a worker that was here before is all that tells of a leap."""
    blobs = open_blobs(settings.blobs)
    keep(blobs, "song", b"sound")
    with database.transaction() as tx:
        now = fleet.clock(tx)
        fleet.register(tx, version="1", device="cpu", model="m", now=now - days * retention.DAY_MS)
        tracks.register(tx, account.id, blob="song", size=5, expires=now - retention.DAY_MS, now=now)
    crew.start(retention_cron="* * * * * *")

    def has_been_done() -> bool:
        with database.read() as tx:
            done = f"SELECT count(*) FROM {workflow_table(database)} WHERE name = 'chores' AND status = 'SUCCESS'"
            return tx.exec_driver_sql(done).scalar_one() > 0

    wait(has_been_done)
    assert ("song" in blobs) == bool(days)


def test_a_clock_that_has_leapt_is_believed_after_a_while_or_once_it_is_right(database: Database) -> None:
    right, year = 1_800_000_000_000, 365 * retention.DAY_MS
    with database.transaction() as tx:
        worker_id = fleet.register(tx, version="1", device="cpu", model="m", now=right)
        assert fleet.note_leap(tx, right, now=right + 60_000) == 0
        ahead = right + year
        assert fleet.note_leap(tx, fleet.last_heard(tx, now=ahead), now=ahead) == year // fleet.DOUBTED
        assert fleet.note_leap(tx, ahead, now=ahead + fleet.LEAP + 1)  # once more, before it was believed
        ahead += fleet.LEAP + 1
        assert [fleet.believed(tx, now) for now in (ahead - 5, ahead, ahead + 1000)] == [right] * 3
        assert [fleet.believed(tx, now) for now in (right + 7, ahead + year // (fleet.DOUBTED - 1))] == [
            right + 7,
            ahead + year // (fleet.DOUBTED - 1),
        ]
        before = fleet.clock(tx) - year
        fleet.beat(tx, worker_id, now=before)
        assert fleet.certain(tx, worker_id) == before  # noted by whoever looks first


def test_the_chores_are_called_once_for_each_time_that_they_are_due(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also once the clock is right again that was days ahead; a time that was a day ago is missed."""
    night, minute = 1_800_000_000_000 // retention.DAY_MS * retention.DAY_MS, 60_000

    def called(now: int, cron: str = "*/5 * * * *") -> int:
        monkeypatch.setattr(workflows, "now_ms", lambda: night + now)
        workflows.call_chores(database, settings.model_copy(update={"retention_cron": cron}))
        with database.read() as tx:
            count = f"SELECT count(*) FROM {workflow_table(database)} WHERE name = 'chores'"
            return tx.exec_driver_sql(count).scalar_one()

    times = (1, minute, 5 * retention.DAY_MS + 1, 6 * minute, 6 * minute + 1)
    assert [called(now) for now in times] == [1, 1, 2, 3, 3]
    assert called(-2, "0 0 * * *") == 4
    assert called(2 * retention.DAY_MS, "0 0 1 1 *") == 4


def test_a_callback_whose_workflow_failed_is_sent_all_the_same(
    database: Database, submit: Submit, crew: Crew, hook: Receiver
) -> None:
    hook.answer = lambda number: 503 if number == 1 else 200
    first = crew.start(callback_delays_seconds="0,3600")
    task_id = submit()

    def is_noted() -> bool:
        with database.read() as tx:
            delivery = tasks.delivery(tx, task_id)
        return delivery is not None and delivery.attempts == 1

    wait(is_noted)
    first.kill()
    first.wait()
    with database.transaction() as tx:
        tx.exec_driver_sql(f"UPDATE {workflow_table(database)} SET status = 'ERROR' WHERE status = 'DELAYED'")
    crew.start(program=HASTY, retention_cron="* * * * * *")
    wait(lambda: len(hook.got[task_id]) == 2)
    assert len({message for message, _ in hook.got[task_id]}) == 1


def test_an_attempt_that_is_written_down_is_not_made_again(
    database: Database, settings: Settings, submit: Submit, hook: Receiver
) -> None:
    """By whoever takes up the workflow of one that was killed just then."""
    shop, ids = worker.open_workshop(settings.model_copy(update={"allow_networks": ("127.0.0.0/8",)}), database), []
    failure, task_id = {"failure": "input", "error": "It is no song."}, submit()
    running.end(shop, task_id, failure, enqueue=lambda tx, callback_id, **_: ids.append(callback_id))
    for _ in range(2):
        workflows._callback(shop, ids[0], 1)
    assert len(hook.got[task_id]) == 1


def test_songs_that_tasks_wait_for_hold_no_others_up(
    database: Database, settings: Settings, asked: tasks.Submission, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from stemwright.server import tracks
    from stemwright.server.store.blobs import open_blobs

    monkeypatch.setattr(retention, "BATCH", 2)
    blobs, now = open_blobs(settings.blobs), now_ms()
    with database.transaction() as tx:
        for name in ("a", "b", "c"):
            track = tracks.register(tx, asked.account_id, blob=name, size=1, expires=now, now=now)
            if name != "c":
                tasks.submit(tx, tasks.Submission(**vars(asked) | {"track": track}), now=now)
    assert retention.purge(database, blobs, settings, now=now)["tracks"] == 1
