"""A database of the first release, full of rows, goes forward through every later schema and keeps them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from stemwright.errors import DataTooOld
from stemwright.server import credits, opening, tasks, workflows
from stemwright.server.settings import Settings
from stemwright.server.store import migrations
from stemwright.server.store.database import Database
from tests.servers import Deployment

ROWS = """
INSERT INTO accounts (id, name, webhook_secret, created) VALUES ('a', 'someone', 'whsec_x', 1);
INSERT INTO keys (id, account_id, name, hint, hash, dialect, scopes, created)
    VALUES ('k', 'a', 'first', 'sw_abc', 'hash', 'sunoapi', 'api', 2);
INSERT INTO tracks (audio_id, task_id, account_id, blob, bytes, details, created)
    VALUES ('u', 't', 'a', 'song.mp3', 5, '{"title": "é"}', 3);
INSERT INTO tasks (id, account_id, kind, audio_id, source, format, dialect, cost, state, progress, attempt, created,
    started, completed, callback_url)
    VALUES ('one', 'a', 'split_stem', 'u', 'song.mp3', 'mp3', 'sunoapi', 5, 'finished', 100, 1, 4, 5, 6, 'https://x');
INSERT INTO tasks (id, account_id, kind, audio_id, source, format, dialect, cost, state, created)
    VALUES ('two', 'a', 'separate_vocal', 'u', 'song.mp3', 'mp3', 'sunoapi', 1, 'queued', 7);
INSERT INTO stems (id, task_id, position, name, label, blob, format, bytes, duration_seconds, silent, experimental)
    VALUES ('s', 'one', 0, 'vocals', 'Vocals', 's_Vocals.mp3', 'mp3', 7, 1.5, false, true);
INSERT INTO callbacks (id, task_id, url, state, attempts, created) VALUES ('m', 'one', 'https://x', 'delivered', 2, 8);
INSERT INTO ledger (account_id, sequence, kind, amount, balance, created) VALUES ('a', 1, 'grant', 100, 100, 9);
INSERT INTO ledger (account_id, sequence, kind, amount, balance, task_id, created)
    VALUES ('a', 2, 'charge', -5, 95, 'one', 10);
INSERT INTO ledger (account_id, sequence, kind, amount, balance, task_id, created)
    VALUES ('a', 3, 'charge', -1, 94, 'two', 11)
"""


@pytest.fixture
def old(deployment: Deployment, tmp_path: Path) -> Iterator[Settings]:
    """A database as the first release would have left it."""
    with deployment.empty(tmp_path) as places:
        settings = Settings(**places)
        database = Database(settings.database)
        with database.transaction() as tx:
            command.upgrade(migrations.config(tx), "0001")
            for row in ROWS.split(";"):
                tx.execute(sa.text(row.replace(": ", "\\: ")))
        database.dispose()
        yield settings


def test_the_rows_of_the_first_release_survive(old: Settings) -> None:
    with pytest.raises(DataTooOld, match=r"0001.*stemwright migrate"):
        opening.open_database(old)
    database = Database(old.database)
    migrations.migrate(database)
    workflows.migrate(database)
    migrations.check(database)
    with database.read() as tx:
        one, two = tasks.find(tx, "one"), tasks.find(tx, "two")
        assert (one.state, one.cost, one.completed, two.state, two.completed) == ("finished", 5, 6, "queued", None)
        assert [stem.experimental for stem in tasks.stems_of(tx, "one")] == [True]
        delivery = tasks.delivery(tx, "one")
        assert delivery is not None
        assert (delivery.id, delivery.attempts) == ("m", 2)
        assert credits.balance(tx, "a") == 94
        assert credits.audit(tx) == []
    with database.transaction() as tx:  # and they are worked with: the queued one ends, and gives its price back
        tasks.cancel(tx, "two", now=12)
        assert credits.balance(tx, "a") == 95
    database.dispose()


def test_migrating_twice_changes_nothing(old: Settings) -> None:
    database = Database(old.database)
    for _ in range(2):
        migrations.migrate(database)
    assert migrations.version(database) == migrations.HEAD
    database.dispose()
