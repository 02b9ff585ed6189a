"""Opening a data folder, and refusing to."""

import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from stemwright.errors import CannotOpenBlobs, CannotOpenData, CannotReachDatabase, DataInUse, DataTooNew, DataTooOld
from stemwright.server import accounts, credits, keys, opening
from stemwright.server.settings import Settings
from stemwright.server.store import migrations
from stemwright.server.store.database import Database
from stemwright.server.store.tables import metadata
from tests.servers import Deployment

from .conftest import NOW


def test_the_migrations_end_where_the_tables_are(database: Database) -> None:
    def ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
        return kind != "table" or name in metadata.tables

    with database.read() as tx:
        context = MigrationContext.configure(tx, opts={"include_object": ours, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_newer_database_is_refused_and_left_alone(database: Database, settings: Settings) -> None:
    with database.transaction() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for open_it in (opening.open_database, lambda _: migrations.migrate(database)):
        with pytest.raises(DataTooNew, match="newer version"):
            open_it(settings)
    with database.transaction() as tx:
        assert tx.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == "9999"
        tx.execute(sa.text(f"UPDATE alembic_version SET version_num = '{migrations.HEAD}'"))


def test_a_database_without_our_schema_is_too_old(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(DataTooOld):
        migrations.check(database)
    database.dispose()


def test_who_only_looks_makes_no_tables(deployment: Deployment, tmp_path: Path) -> None:
    """The address may be a mistyped one, of a database of others."""
    with deployment.empty(tmp_path) as places:
        settings = Settings(database_url=places.get("database_url", f"sqlite:///{tmp_path / 'others.db'}"))
        (tmp_path / "others.db").touch()
        with pytest.raises(DataTooOld, match="stemwright migrate"):
            opening.open_database(settings, begin=False)
        database = Database(settings.database)
        assert migrations.version(database) is None
        database.dispose()


def test_a_second_server_on_the_folder_is_refused(tmp_path: Path) -> None:
    with opening.only_server(tmp_path):
        program = f"from stemwright.server import opening; opening.only_server({str(tmp_path)!r}).__enter__()"
        program = "from pathlib import Path; " + program.replace(repr(str(tmp_path)), f"Path({str(tmp_path)!r})")
        second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "DataInUse" in second.stderr
    assert f"process {os.getpid()}" in second.stderr


def test_the_folder_is_free_after_its_server(tmp_path: Path) -> None:
    for _ in range(2):
        with opening.only_server(tmp_path):
            pass
    with (tmp_path / "server.lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(DataInUse), opening.only_server(tmp_path):
            pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotOpenData), opening.only_server(tmp_path / "file"):
        pass


def test_a_full_disk_is_that_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "ftruncate", full)
    with pytest.raises(CannotOpenData, match="No space left"), opening.only_server(tmp_path):
        pass


def test_a_new_folder_is_its_owners_alone(tmp_path: Path) -> None:
    opening.open_database(Settings(data=tmp_path / "new")).dispose()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_a_folder_that_may_not_be_used_is_said(mode: int, tmp_path: Path) -> None:
    tmp_path.chmod(mode)
    try:
        with pytest.raises(CannotOpenData), opening.only_server(tmp_path):
            pass
        with pytest.raises(CannotOpenData):
            opening.open_database(Settings(data=tmp_path))
    finally:
        tmp_path.chmod(0o700)


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "stemwright.db").write_bytes(b"not a database" * 100)
    with pytest.raises(CannotOpenData, match="not a database"):
        opening.open_database(Settings(data=tmp_path))


def test_the_first_start_makes_the_admin_account_once(database: Database, settings: Settings) -> None:
    secret = opening.first_key(database, settings, now=NOW)
    assert secret is not None
    with database.read() as tx:
        admin = keys.verify(tx, secret, now=NOW)
        assert accounts.get(tx, admin.account_id).name == "admin"
        assert credits.balance(tx, admin.account_id) == settings.admin_credits
    assert opening.first_key(database, settings, now=NOW) is None


def test_of_two_first_starts_at_once_one_makes_the_admin_account(database: Database, settings: Settings) -> None:
    with ThreadPoolExecutor() as pool, database.transaction() as tx:
        accounts.create(tx, accounts.ADMIN, now=NOW)
        other = pool.submit(opening.first_key, database, settings, now=NOW)
        time.sleep(0.3)  # it looks before this one is committed
    assert other.result() is None


def test_sqlite_survives_a_power_cut_after_the_answer(tmp_path: Path) -> None:
    database = opening.open_database(Settings(data=tmp_path))
    with database.read() as tx:
        found = {
            name: tx.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.dispose()


def test_an_older_database_is_refused_until_it_is_migrated(settings: Settings, database: Database) -> None:
    with database.transaction() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(DataTooOld, match="stemwright migrate"):
        opening.open_database(settings)


def test_a_database_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, database_url="postgresql://someone:secret@127.0.0.1:9/stems?connect_timeout=2")
    with pytest.raises(CannotReachDatabase) as told:
        opening.open_database(settings)
    assert "127.0.0.1:9/stems" in str(told.value)
    assert "refused" in str(told.value)
    assert "secret" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_database_server_that_takes_no_writes_is_one_line(deployment: Deployment, tmp_path: Path) -> None:
    if deployment.postgresql is None:
        pytest.skip("a file of this machine has no standby")
    with deployment.new(tmp_path) as places:
        settings = Settings(**places)
        name = sa.make_url(settings.database).database
        deployment.postgresql.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        database = opening.open_database(settings)
        for act in (lambda tx: accounts.create(tx, "me", now=NOW), lambda tx: accounts.lock(tx, "me")):
            with (
                pytest.raises(CannotReachDatabase, match="read-only"),
                opening.telling(settings.data, database=settings.database),
                database.transaction() as tx,
            ):
                act(tx)
        database.dispose()


def test_what_an_upload_left_goes_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "half.part").write_bytes(b"half")
    with opening.only_server(tmp_path):
        assert not (tmp_path / "uploads" / "half.part").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_store_that_may_not_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir(mode=0o000)
    with pytest.raises(CannotOpenBlobs, match="denied"):
        opening.open_store(Settings(data=tmp_path))
    (tmp_path / "blobs").chmod(0o700)


def test_a_store_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "SILENT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as storage:
        url = f"s3://stems?endpoint=http://127.0.0.1:{storage.getsockname()[1]}&access_key_id=a&secret_access_key=b"
        with pytest.raises(CannotOpenBlobs, match="Nothing can be stored in s3://stems: it says nothing"):
            opening.open_store(Settings(data=tmp_path, blobs_url=url), patience_seconds=0)
