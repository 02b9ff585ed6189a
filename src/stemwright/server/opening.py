"""Opening a data folder: one server at a time, a schema that this version knows, an account to begin with."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, OperationalError

from stemwright.errors import AccountExists, CannotOpenBlobs, CannotOpenData, CannotReachDatabase, DataInUse, NoData
from stemwright.server import accounts, credits, keys, workflows
from stemwright.server.glances import Glance
from stemwright.server.settings import Settings
from stemwright.server.store import migrations
from stemwright.server.store.blobs import Blobs, open_blobs
from stemwright.server.store.database import READ_ONLY, Database
from stemwright.server.store.tables import switches

SILENT_SECONDS = 5  # beyond its patience with a store that refuses
_KEPT_OUT = ("42501", READ_ONLY)  # PostgreSQL's codes for what its user may not do, and for a write where none is taken


@contextmanager
def only_server(data: Path) -> Iterator[None]:
    """Holds the folder for this process; raises DataInUse when another server has it. The system lets go at its end."""
    make(data)
    with telling(data):
        descriptor = os.open(data / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _lock(descriptor):
            raise DataInUse(path=data, pid=os.read(descriptor, 20).decode().strip() or "unknown")
        with telling(data):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        shutil.rmtree(data / "uploads", ignore_errors=True)  # what was arriving when the last one was killed
        yield
    finally:
        os.close(descriptor)


def open_database(settings: Settings, *, begin: bool = True) -> Database:
    """The database with its schema up to date, a new one only if `begin`; raises CannotOpenData, NoData, DataTooNew,
    and DataTooOld where another step must come first."""
    if not begin:
        require(settings)
    if not settings.database_url:
        make(settings.data)
    with telling(settings.data, database=settings.database):
        return _opened(Database(settings.database), begin=begin)


def require(settings: Settings) -> None:
    """Raises NoData where a database in a file has no file: a mistyped folder is not made, and not filled."""
    if is_new(settings):
        raise NoData(path=(_file(settings.database) or settings.data).parent)


def is_new(settings: Settings) -> bool:
    """Whether a database in a file has no file yet."""
    file = _file(settings.database)
    with telling(settings.data):
        return file is not None and not file.exists()


@contextmanager
def telling(data: Path, *, database: str = "") -> Iterator[None]:
    """Says what the system or SQLite does not allow in the data folder as CannotOpenData, and what keeps us out of a
    database server as CannotReachDatabase."""
    try:
        yield
    except OSError as error:
        raise CannotOpenData(path=data, reason=error.strerror or error) from error
    except DatabaseError as error:
        fault = error.orig
        if type(fault) in (sqlite3.OperationalError, sqlite3.DatabaseError):
            raise CannotOpenData(path=(_file(database) or data / "stemwright.db").parent, reason=fault) from error
        if isinstance(error, OperationalError) or getattr(fault, "sqlstate", None) in _KEPT_OUT:
            url = sa.make_url(database).render_as_string(hide_password=True)
            raise CannotReachDatabase(url=url, reason=_one_line(fault)) from error
        raise  # a broken rule of ours


def _one_line(fault: object) -> str:
    """The first line of what a driver says."""
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    return lines[0].removesuffix(".") if lines else "it did not answer"


def make(data: Path) -> None:
    """Makes the data folder where there is none, for its owner alone; raises CannotOpenData."""
    with telling(data):
        data.mkdir(mode=0o700, parents=True, exist_ok=True)


def _file(database: str) -> Path | None:
    url = sa.make_url(database) if database else None
    return Path(url.database) if url and url.get_backend_name() == "sqlite" and url.database else None


def _opened(database: Database, *, begin: bool) -> Database:
    try:
        if begin and migrations.version(database) is None:
            migrations.migrate(database)
        migrations.check(database)
        _prepare_queue(database)
    except BaseException:
        database.dispose()
        raise
    return database


def open_store(settings: Settings, *, patience_seconds: float = 10) -> Blobs:
    """The blob store, tried out; raises UnknownBlobs and CannotOpenBlobs."""
    blobs = open_blobs(settings.blobs, patience_seconds=patience_seconds)
    try:  # by a thread of its own: whoever is told to stop while nobody answers has to hear it
        Glance(blobs.check).begin().result(patience_seconds + SILENT_SECONDS)
    except TimeoutError:
        raise CannotOpenBlobs(url=settings.blobs.partition("?")[0], reason="it says nothing") from None
    return blobs


def first_key(database: Database, settings: Settings, *, now: int) -> str | None:
    """At the first start: the admin account with its credits, and the secret of its key, to be told once."""
    try:
        with database.transaction() as tx:
            admin = accounts.create(tx, accounts.ADMIN, now=now).id
            if settings.admin_credits:
                credits.grant(tx, admin, settings.admin_credits, reason="first start", now=now)
            return keys.create(tx, admin, name="first", dialect=settings.dialect, scopes=("api", "admin"), now=now)[1]
    except AccountExists:  # or another server starts for the first time at the same moment
        return None


def keep_key(data: Path, secret: str) -> Path:
    """Writes the first key into the data folder, for its owner alone; returns where. Raises CannotOpenData."""
    path = data / "admin.key"
    with telling(data):
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{secret}\n")
    return path


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
