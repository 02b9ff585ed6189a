"""PostgreSQL has to answer soon, but for what takes its time."""

import pytest

from stemwright.server.store import impatient
from stemwright.server.store.database import AWAY, Database, take_time

pytestmark = pytest.mark.parametrize("deployment", ["postgresql"], indirect=True)


def test_one_that_says_nothing_is_given_up_and_the_next_is_another(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impatient.Impatient, "answer_seconds", 0.3)
    with pytest.raises(AWAY, match="did not answer"), database.read() as tx:
        tx.exec_driver_sql("SELECT pg_sleep(60)")
    with database.read() as tx:
        assert tx.exec_driver_sql("SELECT 1").scalar_one() == 1


def test_what_takes_its_time_is_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impatient.Impatient, "answer_seconds", 0.3)
    with database.transaction() as tx:
        take_time(tx)
        limit = tx.exec_driver_sql("SELECT current_setting('statement_timeout') FROM pg_sleep(1)").scalar_one()
    assert limit == "0"  # nor does the server end it


def test_the_server_ends_what_nobody_waits_for(database: Database) -> None:
    with database.read() as tx:
        ended = tx.exec_driver_sql("SELECT extract(epoch FROM current_setting('statement_timeout')::interval)")
        assert 0 < ended.scalar_one() < impatient.ANSWER_SECONDS
