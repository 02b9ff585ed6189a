"""The ledger: what it counts, and what the database itself refuses."""

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stemwright.errors import NothingCharged, OutOfCredits
from stemwright.server import accounts, credits, tasks
from stemwright.server.store.database import Database

from .conftest import NOW


def test_a_charge_of_more_than_there_is_changes_nothing(database: Database, asked: tasks.Submission) -> None:
    dear = tasks.Submission(**vars(asked) | {"cost": 101})
    with pytest.raises(OutOfCredits) as error, database.transaction() as tx:
        tasks.submit(tx, dear, now=NOW)
    assert error.value.fields == {"needed": 101, "balance": 100}
    with database.read() as tx:
        assert credits.balance(tx, asked.account_id) == 100
        assert tasks.unfinished(tx, asked.account_id) == 0


def test_a_refund_happens_once(database: Database, asked: tasks.Submission) -> None:
    with database.transaction() as tx:
        task = tasks.submit(tx, asked, now=NOW)
        first = credits.refund(tx, task.id, now=NOW)
    with database.transaction() as tx:
        assert credits.refund(tx, task.id, now=NOW + 1) == first
        assert credits.balance(tx, asked.account_id) == 100


def test_what_was_not_charged_is_not_refunded(database: Database) -> None:
    with pytest.raises(NothingCharged), database.transaction() as tx:
        credits.refund(tx, "0" * 32, now=NOW)


GRANT = "INSERT INTO ledger (account_id, sequence, kind, amount, balance, created) SELECT id, {}, 0 FROM accounts"


@pytest.mark.parametrize(
    "forbidden",
    [
        "UPDATE ledger SET amount = 1000000",
        "DELETE FROM ledger",
        GRANT.format("2, 'grant', 1, 1000"),  # does not follow from the row before it
        GRANT.format("9, 'grant', 1, 1"),  # begins a chain anew further up
        GRANT.format("1, 'grant', 1, 1"),  # a fork
        GRANT.format("2, 'grant', -101, -1"),  # less than nothing
    ],
)
def test_the_database_refuses(database: Database, account: accounts.Account, forbidden: str) -> None:
    with pytest.raises(sa.exc.IntegrityError), database.transaction() as tx:
        tx.exec_driver_sql(forbidden)
    with database.read() as tx:
        assert credits.balance(tx, account.id) == 100
        assert credits.audit(tx) == []


@pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
@pytest.mark.parametrize("wrong", ["id, 1, 'grant', 1000, 1000", "id, 2, 'grant', 1, 101"])
def test_sqlite_replaces_no_row(database: Database, account: accounts.Account, wrong: str) -> None:
    """INSERT OR REPLACE deletes what is in its way without asking the triggers for DELETE."""
    row = f"INSERT OR REPLACE INTO ledger (id, account_id, sequence, kind, amount, balance, created) SELECT 1, {wrong}"
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), database.transaction() as tx:
        tx.exec_driver_sql(f"{row}, 0 FROM accounts")


@pytest.mark.parametrize("deployment", ["postgresql"], indirect=True)
def test_postgresql_neither_truncates_nor_upserts(database: Database, account: accounts.Account) -> None:
    upsert = GRANT.format("1, 'grant', 1, 1") + " ON CONFLICT (account_id, sequence) DO UPDATE SET amount = 1000"
    for forbidden in ("TRUNCATE ledger CASCADE", upsert):
        with pytest.raises(sa.exc.IntegrityError), database.transaction() as tx:
            tx.exec_driver_sql(forbidden)


def test_the_audit_finds_a_rule_that_is_missing(database: Database) -> None:
    off = "DROP TRIGGER ledger_no_update" if database.sqlite else "ALTER TABLE ledger DISABLE TRIGGER ledger_no_change"
    with database.transaction() as tx:
        tx.exec_driver_sql(off)
    with database.read() as tx:
        (sentence,) = credits.audit(tx)
    assert "is missing" in sentence


def test_a_refund_gives_back_exactly_what_was_taken(database: Database, asked: tasks.Submission) -> None:
    with database.transaction() as tx:
        tasks.submit(tx, asked, now=NOW)
    too_much = (
        "INSERT INTO ledger (account_id, sequence, kind, amount, balance, created, task_id) "
        "SELECT account_id, 3, 'refund', 50, 149, 0, id FROM tasks"
    )
    with pytest.raises(sa.exc.IntegrityError), database.transaction() as tx:
        tx.exec_driver_sql(too_much)


@pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amounts=st.lists(st.integers(-50, 50), max_size=20))
def test_the_balance_is_the_sum_and_never_negative(database: Database, amounts: list[int]) -> None:
    with database.transaction() as tx:
        owner = accounts.create(tx, f"law {tx.execute(sa.text('SELECT count(*) FROM accounts')).scalar()}", now=NOW)
        total = 0
        for amount in amounts:
            try:
                credits.grant(tx, owner.id, amount, now=NOW)
                total += amount
            except OutOfCredits:
                assert total + amount < 0
            assert credits.balance(tx, owner.id) == total >= 0
        assert credits.audit(tx) == []


def test_the_audit_finds_a_task_that_ended_without_its_refund(database: Database, asked: tasks.Submission) -> None:
    with database.transaction() as tx:
        task = tasks.submit(tx, asked, now=NOW)
        tx.execute(sa.text("UPDATE tasks SET state = 'failed', completed = 1"))
        (sentence,) = credits.audit(tx)
    assert task.id in sentence
