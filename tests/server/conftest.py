"""Real databases for the service's tests: SQLite in a folder, and a PostgreSQL that the suite starts itself."""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemwright.server import accounts, credits, opening, tasks, tracks
from stemwright.server.settings import Settings
from stemwright.server.store.blobs import Blobs, open_blobs
from stemwright.server.store.database import Database
from tests.servers import Deployment

STUB = Path(__file__).with_name("stub_child.py")
NOW = 1_795_000_000_000


@pytest.fixture
def settings(deployment: Deployment, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a service with an empty database, whose separation process is the stub."""
    with deployment.new(tmp_path) as places:
        yield Settings(**places, separator_command=(sys.executable, str(STUB)))


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = opening.open_database(settings)
    yield database
    database.dispose()


@pytest.fixture
def blobs(settings: Settings) -> Blobs:
    return open_blobs(settings.blobs)


def keep(blobs: Blobs, name: str, content: bytes) -> None:
    """Stores `content` as a blob."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        blobs.put(name, path)


@pytest.fixture
def account(database: Database) -> accounts.Account:
    with database.transaction() as tx:
        account = accounts.create(tx, "someone", now=NOW)
        credits.grant(tx, account.id, 100, reason="test", now=NOW)
    return account


@pytest.fixture
def asked(database: Database, account: accounts.Account, blobs: Blobs) -> tasks.Submission:
    """A submission of a stored song that the stub separates at once."""
    keep(blobs, "song", json.dumps({}).encode())
    with database.transaction() as tx:
        track = tracks.register(tx, account.id, blob="song", size=2, now=NOW)
    return tasks.Submission(
        account_id=account.id, kind="separate_vocal", format="mp3", dialect="apikley", cost=1, track=track
    )
