"""The whole service behind PgBouncer, where this machine has one: whole sessions, as the guide says."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from stemwright.server import opening, tasks
from stemwright.server.settings import Settings
from stemwright.server.store.database import Database
from tests.crash.house import Receiver
from tests.servers import Deployment

from .crew import Crew, Submit, hook, submit, wait  # noqa: F401  fixtures

pytestmark = [
    pytest.mark.parametrize("deployment", ["postgresql"], indirect=True),
    pytest.mark.skipif(not shutil.which("pgbouncer"), reason="PgBouncer is not there"),
]
CONFIGURATION = """
[databases]
* = host={host} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = session
max_client_conn = 500
default_pool_size = 90
ignore_startup_parameters = options
"""


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def pooler(deployment: Deployment) -> Iterator[str]:
    """Where PgBouncer listens, in front of the suite's PostgreSQL."""
    assert deployment.postgresql
    there = deployment.postgresql.admin.url
    host, user = str(there.query.get("host") or there.host), there.username or "postgres"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # it does not run as root
        file = Path(folder) / "pgbouncer.ini"
        file.write_text(CONFIGURATION.format(host=host, user=user, port=port))
        command = ["pgbouncer", *(["-u", Path(host).owner()] if os.geteuid() == 0 else []), str(file)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while not listens(port):
                assert process.poll() is None
                time.sleep(0.1)
            yield f"{user}@127.0.0.1:{port}"
            process.terminate()


@pytest.fixture
def settings(deployment: Deployment, pooler: str, tmp_path: Path) -> Iterator[Settings]:
    with deployment.new(tmp_path) as places:
        name = sa.make_url(places["database_url"]).database
        yield Settings(**places | {"database_url": f"postgresql://{pooler}/{name}"})


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = opening.open_database(settings)
    yield database
    database.dispose()


def test_tasks_end_through_it(
    database: Database, settings: Settings, submit: Submit, hook: Receiver, tmp_path: Path
) -> None:
    """More than a statement needs before the driver prepares it, and every callback."""
    crew = Crew(settings, tmp_path / "log")
    try:
        crew.start(concurrent_tasks=2)
        asked = [submit() for _ in range(12)]
        wait(lambda: all(hook.got[task] for task in asked))
    finally:
        crew.close()
    with database.read() as tx:
        assert {tasks.find(tx, task).state for task in asked} == {"finished"}
    assert "Traceback" not in crew.log.read_text()
