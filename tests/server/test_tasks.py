"""A task's life: one table of transitions, one end, whoever comes late."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from stemwright.errors import AccountExists, QueueFull, StemwrightError, Superseded, TaskEnded, TaskNotFound
from stemwright.server import accounts, credits, fleet, tasks
from stemwright.server.store.database import Database

from .conftest import NOW

FACTS = {"model": "m", "device": "cpu", "duration_seconds": 1.0, "gain_db": 0.0, "expires": NOW + 9}


def stem(number: int = 0) -> tasks.Stem:
    return tasks.Stem(
        f"id-{number}", number, "vocals", "Vocals", f"id-{number}_Vocals.mp3", "mp3", 9, 1.0, False, False, -9.0
    )


def submit(database: Database, asked: tasks.Submission, **other: object) -> tasks.Task:
    with database.transaction() as tx:
        return tasks.submit(tx, tasks.Submission(**vars(asked) | other), now=NOW)


def test_a_task_is_charged_with_the_transaction_that_stores_it(database: Database, asked: tasks.Submission) -> None:
    task = submit(database, asked)
    assert (task.state, task.flag, task.source, len(task.id)) == ("queued", "PENDING", "song", 32)
    with database.read() as tx:
        assert credits.balance(tx, asked.account_id) == 99
        assert tasks.get(tx, asked.account_id, task.id) == task


def test_another_accounts_task_does_not_exist(database: Database, asked: tasks.Submission) -> None:
    task = submit(database, asked)
    with pytest.raises(TaskNotFound), database.read() as tx:
        tasks.get(tx, "other", task.id)


def test_the_queue_of_an_account_is_limited(database: Database, asked: tasks.Submission) -> None:
    submit(database, asked)
    with pytest.raises(QueueFull), database.transaction() as tx:
        tasks.submit(tx, asked, max_queued=1, now=NOW)


def test_a_finished_task_has_its_files_and_its_callback(database: Database, asked: tasks.Submission) -> None:
    task = submit(database, asked, callback_url="http://example.com/")
    with database.transaction() as tx:
        task = tasks.begin(tx, task.id, state="separating", worker="w", now=NOW)
        tasks.advance(tx, task.id, "storing", attempt=task.attempt)
        task = tasks.finish(tx, task.id, [stem()], facts=FACTS, attempt=task.attempt, now=NOW + 5)
        assert tasks.stems_of(tx, task.id) == [stem()]
        assert tasks.by_stem(tx, "id-0_Vocals.mp3") == (task, stem())
        assert tasks.delivery(tx, task.id).state == "pending"
        assert credits.audit(tx) == []
    assert (task.flag, task.progress, task.completed) == ("SUCCESS", 100, NOW + 5)


def test_a_worker_that_chose_its_device_tells_which(database: Database, asked: tasks.Submission) -> None:
    task = submit(database, asked)
    with database.transaction() as tx:
        worker = fleet.register(tx, version="1", device="auto", model="m", now=NOW)
        attempt = tasks.begin(tx, task.id, state="separating", worker=worker, now=NOW).attempt
        tasks.advance(tx, task.id, "storing", attempt=attempt)
        tasks.finish(tx, task.id, [stem()], facts=FACTS, attempt=attempt, now=NOW + 5)
        assert [row["device"] for row in fleet.alive(tx, dead_after_ms=1000, now=NOW)] == ["cpu"]


@pytest.mark.parametrize(
    ("failure", "flag"), [("input", "CREATE_TASK_FAILED"), ("separation", "GENERATE_AUDIO_FAILED")]
)
def test_a_failed_task_gives_its_credits_back(
    database: Database, asked: tasks.Submission, failure: str, flag: str
) -> None:
    task = submit(database, asked)
    with database.transaction() as tx:
        task = tasks.fail(tx, task.id, failure=failure, error="why", now=NOW)
        assert credits.balance(tx, asked.account_id) == 100
    assert task.flag == flag


@pytest.mark.parametrize(("end", "left"), [(tasks.cancel, 100), (None, 99)], ids=["cancelled", "finished"])
def test_a_task_ends_once(
    database: Database, asked: tasks.Submission, end: Callable[..., tasks.Task] | None, left: int
) -> None:
    task = submit(database, asked)
    with database.transaction() as tx:
        if end:
            end(tx, task.id, now=NOW)
        else:
            attempt = tasks.begin(tx, task.id, state="separating", worker="w", now=NOW).attempt
            tasks.advance(tx, task.id, "storing", attempt=attempt)
            tasks.finish(tx, task.id, [stem()], facts=FACTS, attempt=attempt, now=NOW)
    for again in (
        lambda tx: tasks.cancel(tx, task.id, now=NOW),
        lambda tx: tasks.fail(tx, task.id, failure="input", error="", now=NOW),
    ):
        with pytest.raises(TaskEnded), database.transaction() as tx:
            again(tx)
    with pytest.raises(TaskEnded), database.transaction() as tx:
        tasks.begin(tx, task.id, state="separating", worker="w", now=NOW)
    with database.read() as tx:
        assert credits.balance(tx, asked.account_id) == left


def test_a_worker_that_comes_back_late_changes_nothing(database: Database, asked: tasks.Submission) -> None:
    task = submit(database, asked)
    with database.transaction() as tx:
        late = tasks.begin(tx, task.id, state="separating", worker="late", now=NOW)
        current = tasks.begin(tx, task.id, state="separating", worker="current", now=NOW)
    with database.transaction() as tx:
        assert not tasks.report(tx, task.id, 50, attempt=late.attempt)
        assert tasks.report(tx, task.id, 10, attempt=current.attempt)
    for late_words in (
        lambda tx: tasks.advance(tx, task.id, "storing", attempt=late.attempt),
        lambda tx: tasks.keep_source(tx, task.id, "another", attempt=late.attempt),
        lambda tx: tasks.fail(tx, task.id, failure="separation", error="", attempt=late.attempt, now=NOW),
    ):
        with pytest.raises(Superseded), database.transaction() as tx:
            late_words(tx)


def test_progress_never_falls(database: Database, asked: tasks.Submission) -> None:
    task = submit(database, asked)
    with database.transaction() as tx:
        task = tasks.begin(tx, task.id, state="separating", worker="w", now=NOW)
        for progress in (40.0, 20.0):
            tasks.report(tx, task.id, progress, attempt=task.attempt)
        assert tasks.find(tx, task.id).progress == 40


def test_a_state_that_does_not_follow_is_refused_by_the_table(database: Database, asked: tasks.Submission) -> None:
    task = submit(database, asked)
    with pytest.raises(TaskEnded), database.transaction() as tx:
        tasks.advance(tx, task.id, "storing", attempt=0)
    with pytest.raises(sa.exc.IntegrityError), database.transaction() as tx:
        tx.execute(sa.text("UPDATE tasks SET state = 'finished'"))  # without the time of its end


def test_many_at_once_never_spend_more_than_there_is(database: Database, asked: tasks.Submission) -> None:
    dear = tasks.Submission(**vars(asked) | {"cost": 30})
    refused = []

    def one() -> None:
        try:
            with database.transaction() as tx:
                tasks.submit(tx, dear, now=NOW)
        except StemwrightError as error:
            refused.append(type(error).__name__)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == ["OutOfCredits"] * 5
    with database.read() as tx:
        assert credits.balance(tx, asked.account_id) == 10
        assert credits.audit(tx) == []


def test_a_delivery_is_noted_once_per_attempt(database: Database, asked: tasks.Submission) -> None:
    task = submit(database, asked, callback_url="http://example.com/")
    with database.transaction() as tx:
        tasks.cancel(tx, task.id, now=NOW)
        message = tasks.delivery(tx, task.id).id
        assert not tasks.delivered(tx, message, number=1, status=500, error="500", last=False, now=NOW)
        assert tasks.delivered(tx, message, number=2, status=204, error=None, last=False, now=NOW)
        for number in (1, 2):
            tasks.delivered(tx, message, number=number, status=500, error="500", last=False, now=NOW)
        found = tasks.delivery_by_id(tx, message)
    assert (found.state, found.attempts, found.last_status) == ("delivered", 2, 204)


def test_of_many_who_want_a_name_at_once_one_has_it(database: Database) -> None:
    def create(name: str) -> str:
        try:
            with database.transaction() as tx:
                return accounts.create(tx, name, now=NOW).name
        except AccountExists:
            return ""

    with ThreadPoolExecutor(8) as pool:
        for number in range(5):
            assert sorted(pool.map(create, [f"name {number}"] * 8)) == [""] * 7 + [f"name {number}"]


def test_an_account_that_waits_does_not_deadlock(database: Database, account: accounts.Account) -> None:
    with database.transaction() as tx:
        accounts.lock(tx, account.id)
        credits.grant(tx, account.id, 1, now=NOW)
