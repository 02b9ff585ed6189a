"""Who is alive, and who takes over."""

import os
import subprocess
import sys

import sqlalchemy as sa

from stemwright.server import fleet
from stemwright.server.settings import Settings
from stemwright.server.store.database import Database
from stemwright.server.store.tables import workers

from .conftest import NOW

LATER = NOW + 60_000


def register(database: Database, *, now: int = NOW, **other: object) -> str:
    with database.transaction() as tx:
        worker = fleet.register(tx, version="1", device="cpu", model="m", now=now)
        if other:
            tx.execute(sa.update(workers).where(workers.c.id == worker).values(**other))
    return worker


def claim(database: Database, sweeper: str, now: int = LATER) -> list[str]:
    with database.transaction() as tx:
        return fleet.claim_dead(tx, sweeper, dead_after_ms=45_000, now=now)


def test_every_process_gets_an_id_of_its_own(database: Database) -> None:
    assert register(database) != register(database)


def test_a_silent_worker_is_claimed_once(database: Database) -> None:
    silent = register(database, host="elsewhere")
    first, second = register(database, now=LATER), register(database, now=LATER)
    assert claim(database, first) == [silent]
    assert claim(database, second) == []


def test_a_claim_passes_on_when_the_sweeper_dies_too(database: Database) -> None:
    silent = register(database, host="elsewhere")
    first = register(database, now=LATER, host="elsewhere")
    assert claim(database, first) == [silent]
    second = register(database, now=LATER + 50_000)
    assert sorted(claim(database, second, LATER + 50_000)) == sorted([first, silent])


def test_a_dead_process_of_this_machine_is_not_waited_for(database: Database) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = register(database, pid=ended.pid)
    assert claim(database, register(database), now=NOW) == [dead]


def test_a_worker_that_lives_is_left_alone(database: Database) -> None:
    register(database, pid=os.getppid())
    assert claim(database, register(database), now=NOW) == []


def test_a_worker_that_leaves_is_free_at_once(database: Database) -> None:
    leaving, staying = register(database), register(database)
    with database.transaction() as tx:
        fleet.leave(tx, leaving)
    assert claim(database, staying, now=NOW) == [leaving]


def test_a_worker_that_was_declared_dead_hears_of_it(database: Database) -> None:
    silent, sweeper = register(database, host="elsewhere"), register(database, now=LATER)
    with database.transaction() as tx:
        assert fleet.beat(tx, silent, now=NOW)
    claim(database, sweeper)
    with database.transaction() as tx:
        assert not fleet.beat(tx, silent, now=LATER)
        assert [row["id"] for row in fleet.alive(tx, dead_after_ms=45_000, now=LATER)] == [sweeper]


def test_a_dead_workers_tasks_move_within_a_minute_by_default() -> None:
    settings = Settings()
    assert settings.heartbeat_seconds * 3 < settings.dead_after_seconds  # one lost heartbeat is nobody's death
    assert settings.dead_after_seconds + settings.sweep_seconds <= 55
