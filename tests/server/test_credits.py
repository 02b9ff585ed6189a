"""The ledger: what it counts, and what the database itself refuses."""

from concurrent.futures import ThreadPoolExecutor

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


def test_those_who_give_at_the_same_time_wait_for_each_other(database: Database, asked: tasks.Submission) -> None:
    with database.transaction() as tx:
        tried = [tasks.submit(tx, asked, now=NOW).id for _ in range(5)]

    def refund(task_id: str) -> credits.Entry:
        with database.transaction() as tx:
            return credits.refund(tx, task_id, now=NOW)

    def grant(amount: int) -> credits.Entry:
        with database.transaction() as tx:
            return credits.grant(tx, asked.account_id, amount, now=NOW)

    with ThreadPoolExecutor(8) as pool:
        for task_id in tried:
            assert len(set(pool.map(refund, [task_id] * 8))) == 1
        assert len(set(pool.map(grant, [1] * 20))) == 20
    with database.read() as tx:
        assert credits.balance(tx, asked.account_id) == 120


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


@pytest.mark.parametrize(
    "forged",
    [
        "UPDATE ledger SET sequence = sequence + 5",  # rows are missing
        "UPDATE ledger SET balance = balance - 200, amount = amount - CASE kind WHEN 'grant' THEN 200 ELSE 0 END",
        "DELETE FROM ledger WHERE kind = 'charge'",
        "UPDATE tasks SET cost = 2",
        "UPDATE ledger SET amount = 2, balance = 101 WHERE kind = 'refund'",
    ],
)
def test_the_audit_finds_what_was_forged_without_the_rules(
    database: Database, asked: tasks.Submission, forged: str
) -> None:
    off = ["ALTER TABLE ledger DISABLE TRIGGER USER", "ALTER TABLE ledger DROP CONSTRAINT ledger_never_negative"]
    if database.sqlite:
        off = [f"DROP TRIGGER {rule}" for rule in credits.RULES["sqlite"]] + ["PRAGMA ignore_check_constraints = ON"]
    with database.transaction() as tx:
        task = tasks.submit(tx, asked, now=NOW)
        if "refund" in forged:
            tasks.cancel(tx, task.id, now=NOW)
        for statement in [*off, forged]:
            tx.exec_driver_sql(statement)
        found = [each for each in credits.audit(tx) if "is missing" not in each]
    assert found
