"""Workers: who is alive, and whose tasks have to be taken over."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

import sqlalchemy as sa

from stemwright.server.parentage import is_stopped
from stemwright.server.store.tables import switches, tasks
from stemwright.server.store.tables import workers as rows

# The number of the workflows' shape, not of the release: workflows of another number are never gone on with, but begun
# anew once no worker has that number. Change it with their names, their arguments, their lines or what they
# leave to one another (2: each callback waits in the line of its account; 3: a song's warnings come with its files).
SHAPE = "3"
LATE_CLAIM = 5_000  # the same where a worker that has ended took something all the same
SWEEP_CLAIM = 60_000  # ms after which another worker may take over a sweep that was not finished
LEAP = 3_600_000  # ms without a word, which are noted: nobody was here, or a clock was put ahead
DOUBTED = 500  # by that part of the leap that a clock has made it is not believed
KEPT = 30 * 86_400_000  # ms for which an ended worker is remembered: one that comes back later than that is not known


def clock(tx: sa.Connection) -> int:
    """The database's time in epoch milliseconds: heartbeats of many machines are compared by one clock."""
    sqlite = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
    postgresql = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    return tx.exec_driver_sql(f"SELECT {sqlite if tx.dialect.name == 'sqlite' else postgresql}").scalar_one()


def register(
    tx: sa.Connection, *, version: str, device: str, model: str, slots: int = 1, shape: str = SHAPE, now: int
) -> str:
    """Stores this process as a worker; returns its id, which no other process ever has."""
    worker_id = f"{socket.gethostname()[:60]}-{os.getpid()}-{secrets.token_hex(4)}"
    here_it_is = {"id": worker_id, "host": here(), "pid": os.getpid()}
    told = {"version": version, "device": device, "model": model, "slots": slots, "shape": shape}
    tx.execute(sa.insert(rows).values(**here_it_is, **told, started=now, heartbeat=now))
    return worker_id


def beat(tx: sa.Connection, worker_id: str, *, now: int) -> bool:
    """Says that the worker lives; False when it was declared dead meanwhile and has to end itself."""
    mine = (rows.c.id == worker_id, rows.c.sweeper.is_(None), rows.c.ended.is_(None))
    return tx.execute(sa.update(rows).where(*mine).values(heartbeat=now)).rowcount == 1


def last_heard(tx: sa.Connection, *, now: int) -> int:
    """When anybody, alive or not, last gave a sign of life; 0 where nobody ever did."""
    signs = [sa.select(sa.func.max(each).filter(each <= now)) for each in (rows.c.heartbeat, rows.c.ended)]
    return max(tx.execute(sign).scalar() or 0 for sign in signs)


def note_leap(tx: sa.Connection, since: int, *, now: int) -> int:
    """Notes that the time went on from `since` without a word; for how long after it nothing is deleted, in ms."""
    if not since or now - since <= LEAP:
        return 0
    before = believed(tx, since)
    tx.execute(sa.delete(switches).where(switches.c.name == "leap"))
    tx.execute(sa.insert(switches).values(name="leap", value=str(before), since=now))
    return (now - before) // DOUBTED


def believed(tx: sa.Connection, now: int) -> int:
    """The time that files may be deleted by: for a while after a leap the one before it, in which a clock that is
    ahead can be put right; it would delete all of them."""
    row = tx.execute(sa.select(switches.c.value, switches.c.since).where(switches.c.name == "leap")).first()
    if row is None:
        return now
    before = int(row.value)
    return before if abs(now - row.since) * DOUBTED < row.since - before else now


def certain(tx: sa.Connection, worker_id: str) -> int:
    """The believed time by the database's clock, which may have leapt since this worker last looked at it."""
    now = clock(tx)
    note_leap(tx, now - silent_ms(tx, worker_id, now=now), now=now)
    return believed(tx, now)


def silent_ms(tx: sa.Connection, worker_id: str, *, now: int) -> int:
    """How long ago the worker last said that it lives; negative when the clock was set back meanwhile."""
    return now - (tx.execute(sa.select(rows.c.heartbeat).where(rows.c.id == worker_id)).scalar() or 0)


def drain(tx: sa.Connection, worker_id: str) -> None:
    """Notes that the worker takes no new tasks."""
    tx.execute(sa.update(rows).where(rows.c.id == worker_id).values(draining=True))


def alive(tx: sa.Connection, *, dead_after_ms: int, now: int) -> list[sa.RowMapping]:
    """The workers that gave a sign of life in time."""
    in_time = rows.c.heartbeat.between(now - dead_after_ms, now + dead_after_ms)
    query = sa.select(rows).where(in_time, rows.c.sweeper.is_(None), rows.c.ended.is_(None))
    return list(tx.execute(query.order_by(rows.c.started)).mappings())


def slots(tx: sa.Connection, *, dead_after_ms: int, shape: str | None = None, now: int) -> dict[str, int]:
    """How many separations each worker that lives and takes tasks (of that shape) runs at once."""
    taking = [row for row in alive(tx, dead_after_ms=dead_after_ms, now=now) if not row["draining"]]
    return {row["id"]: row["slots"] for row in taking if shape in (None, row["shape"])}


def shapes(tx: sa.Connection, *, dead_after_ms: int, now: int) -> set[str]:
    """The shapes of workflows for which there is a worker that lives and takes tasks."""
    return {row["shape"] for row in alive(tx, dead_after_ms=dead_after_ms, now=now) if not row["draining"]}


def frozen_here(tx: sa.Connection, *, dead_after_ms: int, now: int) -> list[int]:
    """Process ids of this machine's workers that were stopped too long ago; found without a write lock."""
    found = tx.execute(sa.select(rows).where(rows.c.host == here(), rows.c.ended.is_(None))).mappings()
    return [row["pid"] for row in found if is_stopped(row["pid"]) and not _has_beaten(row, dead_after_ms, now)]


def claim_dead(tx: sa.Connection, sweeper: str, *, dead_after_ms: int, now: int) -> list[str]:
    """The dead workers that `sweeper` has to clear away; nobody else gets them for a minute.

    A sweeper that looks dead itself was frozen, or the clock has jumped: it first lets everyone say that they live.
    """
    query = sa.select(rows).where(rows.c.ended.is_(None)).with_for_update(skip_locked=True)
    everyone = list(tx.execute(query).mappings())
    if any(row["id"] == sweeper and not _has_beaten(row, dead_after_ms, now) for row in everyone):
        return []
    silent = {row["id"]: row for row in everyone if _is_silent(row, dead_after_ms, now)}
    busy = {row["id"] for row in everyone} - silent.keys()  # who may be clearing up right now
    dead = [
        worker_id
        for worker_id, row in silent.items()
        if worker_id != sweeper and (row["sweeper"] not in busy or row["swept"] < now - SWEEP_CLAIM)
    ]
    tx.execute(sa.update(rows).where(rows.c.id.in_(dead)).values(sweeper=sweeper, swept=now))
    return dead


def claim_ended(tx: sa.Connection, sweeper: str, ended: list[str], *, now: int) -> list[str]:
    """Those of the `ended` workers that nobody has just cleared away: they had something left, or took it too late."""
    free = sa.or_(rows.c.swept.is_(None), rows.c.swept < now - LATE_CLAIM)
    claimed = sa.update(rows).where(rows.c.id.in_(ended), rows.c.ended.is_not(None), free)
    return list(tx.execute(claimed.values(sweeper=sweeper, swept=now).returning(rows.c.id)).scalars())


def forget(tx: sa.Connection, worker_id: str, *, now: int) -> None:
    """Notes that a worker has ended; what it held is nobody's until the next one begins with it."""
    tx.execute(sa.update(tasks).where(tasks.c.worker == worker_id, tasks.c.completed.is_(None)).values(worker=None))
    tx.execute(sa.update(rows).where(rows.c.id == worker_id).values(ended=now))
    tx.execute(sa.delete(rows).where(rows.c.ended < now - KEPT))


def _has_beaten(row: sa.RowMapping, dead_after_ms: int, now: int) -> bool:
    """Whether there was a sign of life in time; one from the future is from before the clock was set back."""
    return now - dead_after_ms <= row["heartbeat"] <= now + dead_after_ms


def _is_silent(row: sa.RowMapping, dead_after_ms: int, now: int) -> bool:
    if row["sweeper"] is not None or not _has_beaten(row, dead_after_ms, now):
        return True
    # On this machine there is no need to wait: a restart takes its predecessor's tasks over at once.
    return row["host"] == here() and not _runs(row["pid"])


def here() -> str:
    """Where a process id means the same: this machine, and in it this container."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115
    except OSError:
        return socket.gethostname()


def _runs(pid: int) -> bool:
    try:
        # A dead process that nobody has waited for still has a number.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def leave(tx: sa.Connection, worker_id: str) -> None:
    """Says that this worker is ending: what it has not finished is free at once."""
    tx.execute(sa.update(rows).where(rows.c.id == worker_id).values(heartbeat=0))
