"""Writers that wait for each other share a commit, and nothing else."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from stemwright.errors import OutOfCredits
from stemwright.server import accounts, credits, tasks
from stemwright.server.store import database as module
from stemwright.server.store.database import AWAY, Database

from .conftest import NOW

FLEET = pytest.mark.parametrize("deployment", ["postgresql"], indirect=True)


def test_what_goes_wrong_with_one_leaves_the_others_alone(database: Database, asked: tasks.Submission) -> None:
    def submit(number: int) -> str:
        price = 1 if number % 2 else 1000
        try:
            work = tasks.Submission(**vars(asked) | {"cost": price})
            return database.together(lambda tx: tasks.submit(tx, work, now=NOW)).id
        except OutOfCredits:
            return ""

    with ThreadPoolExecutor(8) as pool:
        made = [task_id for task_id in pool.map(submit, range(40)) if task_id]
    with database.read() as tx:
        assert credits.balance(tx, asked.account_id) == 80
        assert {tasks.find(tx, task_id).state for task_id in made} == {"queued"}
        assert credits.audit(tx) == []
    assert len(made) == 20


def test_what_is_returned_is_committed(database: Database) -> None:
    account = database.together(lambda tx: accounts.create(tx, "x", now=NOW))
    with database.read() as tx:
        assert accounts.get(tx, account.id) == account


def test_what_fails_by_itself_has_done_nothing(database: Database) -> None:
    def work(tx: sa.Connection) -> None:
        accounts.create(tx, "y", now=NOW)
        raise ValueError

    with pytest.raises(ValueError):
        database.together(work)
    with database.read() as tx:
        assert accounts.listing(tx) == []


def test_those_who_wait_are_served_together(tmp_path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    begun = 0

    @sa.event.listens_for(database.engine, "begin")
    def count(_connection: sa.Connection) -> None:
        nonlocal begun
        begun += 1

    with ThreadPoolExecutor(10) as pool:
        with database._writing:
            waiting = [pool.submit(database.together, lambda _tx: threading.get_ident()) for _ in range(10)]
            while len(database._waiting) < 10:
                pass
        served_by = {each.result() for each in waiting}
    assert (begun, len(served_by)) == (1, 1)
    database.dispose()


@FLEET
def test_an_idle_connection_that_is_gone_is_replaced(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def session() -> int:
        with database.read() as tx:
            return tx.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()

    monkeypatch.setattr(module, "TRUSTED_SECONDS", 0.0)
    before = session()
    other = Database(database.url.render_as_string(hide_password=False))
    with other.single() as tx:
        assert tx.exec_driver_sql(f"SELECT pg_terminate_backend({before}, 60000)").scalar_one()
    other.dispose()
    assert session() != before


@FLEET
def test_a_transaction_that_stood_still_for_too_long_may_succeed_later(database: Database) -> None:
    """Its process was frozen: PostgreSQL ends it, and that is no fault of the task's."""

    def stand_still(tx: sa.Connection) -> None:
        tx.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '1ms'")
        time.sleep(0.2)

    with pytest.raises(AWAY):
        database.together(stand_still)
