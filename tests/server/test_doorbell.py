"""The doorbell: a ring wakes whoever waits and is never lost; without one it is quiet."""

import subprocess
import threading
import time
from queue import Queue

import pytest
import sqlalchemy as sa

from stemwright.server.doorbell import Doorbell
from stemwright.server.store.database import Database

from .crew import Crew, crew, wait  # noqa: F401

LONG = 60.0


def waiting(bell: Doorbell, stop: threading.Event, times: int) -> tuple[threading.Thread, Queue[bool]]:
    """A thread that waits so many times, and what it was told each time."""
    told: Queue[bool] = Queue()
    event = bell.instead_of(stop)
    thread = threading.Thread(target=lambda: [told.put(event.wait(0.01)) for _ in range(times)])
    thread.start()
    return thread, told


def test_a_ring_wakes_everyone_once() -> None:
    bell, stop = Doorbell(seldom_seconds=LONG), threading.Event()
    threads = [waiting(bell, stop, 1) for _ in range(3)]
    bell.ring()
    for thread, told in threads:
        thread.join(LONG)
        assert told.get(timeout=LONG) is False


def test_a_ring_before_the_wait_is_not_lost() -> None:
    bell = Doorbell(seldom_seconds=LONG)
    bell.ring()
    assert bell.instead_of(threading.Event()).wait(0.01) is False


def test_it_is_quiet_where_nobody_rings() -> None:
    bell, stop = Doorbell(seldom_seconds=LONG), threading.Event()
    thread, told = waiting(bell, stop, 2)
    bell.ring()
    assert told.get(timeout=LONG) is False
    assert told.empty()  # the second wait goes on, long after its own time
    stop.set()
    thread.join(LONG)
    assert told.get(timeout=LONG) is True


def test_a_closed_bell_holds_nobody_up() -> None:
    bell, stop = Doorbell(seldom_seconds=LONG), threading.Event()
    thread, _ = waiting(bell, stop, 5)
    bell.close()
    thread.join(LONG)
    assert not thread.is_alive()


@pytest.mark.parametrize("deployment", ["postgresql"], indirect=True)
def test_an_idle_worker_leaves_the_database_alone(crew: Crew, database: Database) -> None:
    """It used to begin 27 transactions a second."""
    seldom = {"heartbeat_seconds": 10, "dead_after_seconds": 45, "sweep_seconds": 10}
    worker: subprocess.Popen[bytes] = crew.start(callback_delays_seconds="0,60", **seldom)
    wait(lambda: crew.is_ready(worker))
    wait(lambda: per_second(database) < 14)  # once what it did at its start is over


def per_second(database: Database) -> float:
    before, began = transactions(database), time.monotonic()
    time.sleep(3)
    return (transactions(database) - before) / (time.monotonic() - began)


def transactions(database: Database) -> int:
    query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    with database.read() as tx:
        return tx.execute(sa.text(query)).scalar_one()
