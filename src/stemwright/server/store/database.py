"""The one database: SQLite in WAL mode or PostgreSQL, reached through short explicit transactions."""

from __future__ import annotations

import logging
import math
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc

from stemwright.audio.parts import is_full
from stemwright.errors import BlobsAway

T = TypeVar("T")

# A server or a network that vanished is noticed within seconds: nobody waits for it until the system gives up.
_ALIVE = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
# A little before nobody waits for the answer any more (impatient.py): else what is given up goes on over there.
_LIMITS = "-c idle_in_transaction_session_timeout=30s -c statement_timeout=9s"
_LASTING = {"options": _LIMITS, **_ALIVE, "tcp_user_timeout": 30_000}
# What is raised when the database does not answer, is full, takes no writes, restarts: the same work may succeed later.
AWAY = (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError)
READ_ONLY = "25006"  # PostgreSQL's code for a write where none is taken
TOLD_SECONDS = 60.0  # in which a library says the same of an outage once
ROOM_SECONDS = 10.0  # for a connection of the pool's to be free
TRUSTED_SECONDS = 5.0  # after its last use a connection is tested before the next one: it may be gone


class Database:
    """Our tables and the durable queue's, in one database, so that one transaction can hold both.

    `url` is `sqlite:///…` or `postgresql://…`. Use `transaction()` to write and `read()` to look.
    """

    def __init__(self, url: str) -> None:
        self.url = driver_url(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        if self.sqlite and self.url.database:
            begin_file(Path(self.url.database))
        self.engine = sa.create_engine(
            self.url,
            pool_size=10,
            max_overflow=20,
            pool_timeout=ROOM_SECONDS,
            pool_use_lifo=True,  # the same few again and again: they have our statements prepared
            hide_parameters=True,  # an error that quotes a statement must not tell the log what is in it
            connect_args={} if self.sqlite else _LASTING,
        )
        # PostgreSQL gives each statement a view of its own anyway: beginning and committing are two round trips more.
        isolation = {} if self.sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._reading = self.engine.execution_options(stemwright_read=True, **isolation)
        # Those who wait for SQLite's one writer sleep and try again, by luck; our own threads stand in line instead.
        self._writing = threading.Lock() if self.sqlite else nullcontext()
        self._waiting: deque[_Waiting[Any]] = deque()
        if self.sqlite:
            event.listen(self.engine, "connect", _configure)
            event.listen(self.engine, "begin", _begin)
        else:
            from stemwright.server.store import impatient

            event.listen(self.engine, "do_connect", impatient.Door().open)
            event.listen(self.engine, "detach", impatient.let_wait)
            event.listen(self.engine, "checkout", self._test)
            event.listen(self.engine, "checkin", _note_use)
            _leave_read_only(self.engine.dialect)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction that may write: committed at the end, rolled back by any exception."""
        with self._writing, self.engine.begin() as tx:
            yield tx

    def together(self, work: Callable[[sa.Connection], T]) -> T:
        """What `work` returns, done and committed; raises what it raises, with nothing done.

        On SQLite, those who wait while another commits share the next transaction, each in a savepoint of its own: a
        disk takes as long to make one request durable as to make twenty. PostgreSQL groups commits by itself.
        """
        if not self.sqlite:
            with self.transaction() as tx:
                return work(tx)
        mine = _Waiting(work)
        self._waiting.append(mine)
        with self._writing:
            if mine.outcome is None:
                self._serve_all()
        return mine.result()

    def _serve_all(self) -> None:
        served: list[_Waiting[Any]] = []
        try:
            with self.engine.begin() as tx:
                while self._waiting:
                    served.append(self._waiting.popleft())
                    served[-1].serve(tx)
        except BaseException as fault:
            if not served:  # it did not even begin: nothing may be done later, when nobody waits for it any more
                served = [self._waiting.popleft() for _ in range(len(self._waiting))]
            for each in served:
                each.outcome = _Outcome(fault=fault)
            if not isinstance(fault, Exception):
                raise

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A view that takes no write lock: one of SQLite's for all, one for each statement of PostgreSQL's."""
        with self._reading.begin() as tx:
            yield tx

    @contextmanager
    def single(self) -> Iterator[sa.Connection]:
        """For one statement that writes: a transaction of its own, without the round trips that begin and commit one.

        What goes before it or comes after it in the context only reads.
        """
        with self.transaction() if self.sqlite else self._reading.begin() as tx:
            yield tx

    def _test(self, connection: Any, record: Any, _proxy: object) -> None:
        """Replaces a connection that is gone; the work that asked for it hears nothing of that."""
        trusted = time.monotonic() - record.info.setdefault("used", time.monotonic()) < TRUSTED_SECONDS
        try:
            if not trusted or _was_spoken_to(connection):
                self.engine.dialect.do_ping(connection)
        except self.engine.dialect.loaded_dbapi.Error as fault:
            raise exc.InvalidatePoolError from fault

    def dispose(self) -> None:
        """Closes every pooled connection."""
        self.engine.dispose()


def take_time(tx: sa.Connection) -> None:
    """Lets what is done by this connection take hours: it leaves the pool, whose server has to answer soon."""
    tx.detach()
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql("SET statement_timeout = 0")


def holds(tx: sa.Connection, column: sa.Column[Any], text: str) -> sa.ColumnElement[bool]:
    """Whether the text is somewhere in the column, in letters of either case."""
    if tx.dialect.name == "sqlite" and text.isascii():  # its LIKE knows these, and calls no Python for every row
        return column.contains(text, autoescape=True)
    return column.icontains(text, autoescape=True)


def is_read_only(tx: sa.Connection) -> bool:
    """Whether this server takes no writes: it is a standby, or was closed to them, mostly as its disk is full. Whoever
    asks again asks by a new connection."""
    if tx.dialect.name != "postgresql" or tx.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "off":
        return False
    tx.connection.invalidate(soft=True)
    return True


def _leave_read_only(dialect: sa.Dialect) -> None:
    """A connection that takes no writes counts as lost: it may stay so for good, and a new one find the server that
    has become the first."""
    is_disconnect = dialect.is_disconnect

    def is_lost(error: Any, *where: Any) -> bool:
        return getattr(error, "sqlstate", None) == READ_ONLY or is_disconnect(error, *where)

    dialect.is_disconnect = is_lost  # type: ignore[method-assign]


def _was_spoken_to(connection: Any) -> bool:
    """Whether the server has said something to a connection at rest: mostly that it ends it. Asks nobody."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


@dataclass
class _Outcome:
    value: Any = None
    fault: BaseException | None = None


class _Waiting(Generic[T]):
    """Work that waits for the one writer's next transaction."""

    def __init__(self, work: Callable[[sa.Connection], T]) -> None:
        self._work = work
        self.outcome: _Outcome | None = None

    def serve(self, tx: sa.Connection) -> None:
        """Do the work in a savepoint: what goes wrong with one leaves the others alone."""
        driver: Any = tx.connection.driver_connection
        execute = driver.execute
        execute("SAVEPOINT one")
        try:
            self.outcome = _Outcome(value=self._work(tx))
        except Exception as fault:  # noqa: BLE001  it goes to the one who asked
            execute("ROLLBACK TO one")
            self.outcome = _Outcome(fault=fault)
        execute("RELEASE one")

    def result(self) -> T:
        """What came of it."""
        assert self.outcome is not None
        if self.outcome.fault is not None:
            raise self.outcome.fault
        return self.outcome.value


def outage(fault: BaseException) -> str:
    """What the database or the disk said in one line, where it is the machine that lacks something; empty else."""
    away = isinstance(fault, (*AWAY, BlobsAway)) or (isinstance(fault, OSError) and is_full(fault))
    return _in_a_line(fault) if away else ""


def _in_a_line(fault: BaseException) -> str:
    return str(getattr(fault, "orig", None) or fault).strip().partition("\n")[0]


def tell(log: logging.Logger, level: int, what: str, fault: BaseException, **about: str) -> None:
    """Logs what went wrong: an outage in the same line, all else with its traceback; `about` as in `logs.FIELDS`."""
    said = outage(fault)
    log.log(level, "%s%s", what, said and f": {said}", exc_info=None if said else fault, extra=about)


class Outages(logging.Filter):
    """What a library logs of an outage that it rides out: a line a minute of each kind, no traceback for each try."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._away = (*AWAY, database.engine.dialect.loaded_dbapi.OperationalError)
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Shortens the line; false where its like has just been said."""
        fault = sys.exc_info()[1]
        if not isinstance(fault, self._away):
            return True
        what, now = record.getMessage().partition(": ")[0], time.monotonic()
        record.msg, record.args, record.exc_info = f"{what}: {_in_a_line(fault)}", (), None
        is_new = now - self._told.get(what, -math.inf) > TOLD_SECONDS
        self._told |= {what: now} if is_new else {}
        return is_new


def begin_file(path: Path) -> None:
    """A file for SQLite, where there is none: for its owner alone, as are those that it puts beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)


def driver_url(url: str) -> sa.URL:
    """`url` with the one driver we use for its database."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _configure(connection: Any, _record: object) -> None:
    # The driver's own transaction handling is off: it would begin late, and only before some statements.
    connection.isolation_level = None
    connection.execute("PRAGMA busy_timeout=30000")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # a charge that was answered survives a power cut
    connection.execute("PRAGMA foreign_keys=ON")
    # Its own knows the letters of ASCII alone: nobody would find "Любовь" by "любовь".
    connection.create_function("lower", 1, lambda text: text and str(text).lower(), deterministic=True)


def _note_use(_connection: object, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _begin(connection: sa.Connection) -> None:
    # A deferred transaction that turns into a writer fails at once when another one wrote in between.
    read = connection.get_execution_options().get("stemwright_read")
    connection.exec_driver_sql("BEGIN" if read else "BEGIN IMMEDIATE")
