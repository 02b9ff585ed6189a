"""Workers: who is alive, and whose tasks have to be taken over."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

import sqlalchemy as sa

from stemwright.server.store.tables import workers as rows

SWEEP_CLAIM = 60_000  # ms after which another worker may take over a sweep that was not finished


def register(tx: sa.Connection, *, version: str, device: str, model: str, now: int) -> str:
    """Stores this process as a worker; returns its id, which no other process ever has."""
    host = here()
    worker_id = f"{socket.gethostname()[:60]}-{os.getpid()}-{secrets.token_hex(4)}"
    values = {"id": worker_id, "host": host, "pid": os.getpid(), "version": version, "device": device, "model": model}
    tx.execute(sa.insert(rows).values(**values, started=now, heartbeat=now))
    return worker_id


def beat(tx: sa.Connection, worker_id: str, *, now: int) -> bool:
    """Says that the worker lives; False when it was declared dead meanwhile and has to end itself."""
    mine = (rows.c.id == worker_id, rows.c.sweeper.is_(None))
    return tx.execute(sa.update(rows).where(*mine).values(heartbeat=now)).rowcount == 1


def drain(tx: sa.Connection, worker_id: str) -> None:
    """Notes that the worker takes no new tasks."""
    tx.execute(sa.update(rows).where(rows.c.id == worker_id).values(draining=True))


def alive(tx: sa.Connection, *, dead_after_ms: int, now: int) -> list[sa.RowMapping]:
    """The workers that gave a sign of life in time."""
    query = sa.select(rows).where(rows.c.heartbeat > now - dead_after_ms, rows.c.sweeper.is_(None))
    return list(tx.execute(query.order_by(rows.c.started)).mappings())


def claim_dead(tx: sa.Connection, sweeper: str, *, dead_after_ms: int, now: int) -> list[str]:
    """The dead workers that `sweeper` has to clear away; nobody else gets them for a minute."""
    everyone = list(tx.execute(sa.select(rows).with_for_update(skip_locked=True)).mappings())
    silent = {row["id"]: row for row in everyone if _is_silent(row, now - dead_after_ms)}
    busy = {row["id"] for row in everyone} - silent.keys()  # who may be clearing up right now
    dead = [
        worker_id
        for worker_id, row in silent.items()
        if worker_id != sweeper and (row["sweeper"] not in busy or row["swept"] < now - SWEEP_CLAIM)
    ]
    tx.execute(sa.update(rows).where(rows.c.id.in_(dead)).values(sweeper=sweeper, swept=now))
    return dead


def forget(tx: sa.Connection, worker_id: str) -> None:
    """Removes a worker that has ended and owns nothing any more."""
    tx.execute(sa.delete(rows).where(rows.c.id == worker_id))


def _is_silent(row: sa.RowMapping, since: int) -> bool:
    if row["heartbeat"] < since or row["sweeper"] is not None:
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
