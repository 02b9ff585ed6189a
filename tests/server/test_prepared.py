"""Prepared statements: SQLAlchemy's answers, without its cost."""

import pytest
import sqlalchemy as sa

from stemwright.server import arrivals, tasks, tracks
from stemwright.server.store.database import Database
from stemwright.server.store.prepared import Prepared
from stemwright.server.store.tables import stems
from stemwright.server.store.tables import tracks as rows

from .conftest import NOW


def test_rows_are_those_of_sqlalchemy(database: Database, asked: tasks.Submission) -> None:
    """JSON, null, numbers and text, on both databases."""
    details = {"a": [1, None, "é"]}
    with database.transaction() as tx:
        tracks.register(tx, asked.account_id, blob="b", size=5, duration_seconds=1.5, details=details, now=NOW)
        query = sa.select(rows).order_by(rows.c.blob).where(rows.c.account_id == sa.bindparam("account"))
        plain = tx.execute(query, {"account": asked.account_id}).all()
        assert [tuple(row) for row in Prepared(query)(tx, account=asked.account_id)] == [tuple(row) for row in plain]
        assert details in [row.details for row in plain]


def test_truth_stays_truth(database: Database, asked: tasks.Submission) -> None:
    with database.transaction() as tx:
        task = tasks.submit(tx, asked, now=NOW)
        row = {"id": "i", "task_id": task.id, "position": 0, "name": "n", "label": "l", "blob": "x", "format": "mp3"}
        tx.execute(sa.insert(stems).values(**row, bytes=1, duration_seconds=1.0, silent=True, experimental=False))
        stem = tasks.stems_of(tx, task.id)[0]
    assert stem.silent is True
    assert stem.experimental is False


def test_a_submitted_task_is_the_stored_one(database: Database, asked: tasks.Submission) -> None:
    with database.transaction() as tx:
        task = tasks.submit(tx, asked, now=NOW)
    with database.read() as tx:
        assert tasks.find(tx, task.id) == task


def test_errors_are_those_of_sqlalchemy(database: Database, asked: tasks.Submission) -> None:
    insert = Prepared(sa.insert(stems).values({"id": sa.bindparam("id"), "task_id": sa.bindparam("task_id")}))
    with pytest.raises(sa.exc.IntegrityError) as told, database.transaction() as tx:
        insert(tx, id="i", task_id="nothing")
    assert "parameters hidden" in str(told.value)
    with database.read() as tx:  # and the connection is as good as before
        assert tx.execute(sa.select(sa.func.count()).select_from(stems)).scalar() == 0


def test_many_rows_go_in_at_once_and_known_ones_stay_as_they_are(database: Database) -> None:
    with database.transaction() as tx:
        arrivals.announce(tx, ["a", "b"], task_id="first", now=NOW)
        arrivals.announce(tx, ["b", "c", "d"], task_id="second", now=NOW + 1)
        arrivals.announce(tx, [], task_id="third", now=NOW)
        assert sorted(arrivals.of_task(tx, "first")) == ["a", "b"]
        assert sorted(arrivals.of_task(tx, "second")) == ["c", "d"]
