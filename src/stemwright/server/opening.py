"""Opening a data folder: one server at a time, a schema that this version knows, an account to begin with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import sqlalchemy as sa

from stemwright.errors import AccountNotFound, CannotOpenData, DataInUse
from stemwright.server import accounts, credits, keys, workflows
from stemwright.server.settings import Settings
from stemwright.server.store import migrations
from stemwright.server.store.database import Database
from stemwright.server.store.tables import switches

ADMIN = "admin"


@contextmanager
def only_server(data: Path) -> Iterator[None]:
    """Holds the folder for this process; raises DataInUse when another server has it. The system lets go at its end."""
    _make(data)
    descriptor = os.open(data / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _lock(descriptor):
            raise DataInUse(path=data, pid=os.read(descriptor, 20).decode().strip() or "unknown")
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def open_database(settings: Settings) -> Database:
    """The database with its schema up to date; raises DataTooNew, and DataTooOld where another step must come first."""
    if not settings.database_url:
        _make(settings.data)
    database = Database(settings.database)
    try:
        if database.sqlite or migrations.version(database) is None:
            migrations.migrate(database)
        migrations.check(database)
        _prepare_queue(database)
    except BaseException:
        database.dispose()
        raise
    return database


def first_key(database: Database, settings: Settings, *, now: int) -> str | None:
    """At the first start: the admin account with its credits, and the secret of its key, to be shown once."""
    with database.transaction() as tx:
        try:
            accounts.by_name(tx, ADMIN)
        except AccountNotFound:
            admin = accounts.create(tx, ADMIN, now=now)
        else:
            return None
        if settings.admin_credits:
            credits.grant(tx, admin.id, settings.admin_credits, reason="first start", now=now)
        _, secret = keys.create(tx, admin.id, name="first", dialect=settings.dialect, scopes=("api", "admin"), now=now)
    return secret


def _prepare_queue(database: Database) -> None:
    """The queue's tables belong to its library: they follow the installed version of it."""
    wanted = version("dbos")
    mine = switches.c.name == "queue"
    with database.read() as tx:
        if tx.execute(sa.select(switches.c.value).where(mine)).scalar() == wanted:
            return
    workflows.migrate(database)
    with database.transaction() as tx:
        tx.execute(sa.delete(switches).where(mine))
        tx.execute(sa.insert(switches).values(name="queue", value=wanted, since=0))


def _make(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotOpenData(path=data, reason=error.strerror) from error


def _lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:
        return True  # not on this system: the port is what keeps a second server away
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
