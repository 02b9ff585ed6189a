"""Arrivals: blobs announced before their bytes come, so that what a crash leaves without an owner is known by name."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from stemwright.server.store.prepared import Prepared, PreparedInsert
from stemwright.server.store.tables import arrivals as rows
from stemwright.server.store.tables import tasks

_announce = PreparedInsert(rows, ("blob", "task_id", "created"), once=True)
_of_task = Prepared(sa.select(rows.c.blob).where(rows.c.task_id == sa.bindparam("task_id")))


def announce(tx: sa.Connection, names: Iterable[str], *, task_id: str | None = None, now: int) -> None:
    """Says that these blobs are about to be written, `task_id`'s or an upload's. The same names again: no change."""
    _announce(tx, [{"blob": name, "task_id": task_id, "created": now} for name in names])


def settle(tx: sa.Connection, names: Iterable[str]) -> None:
    """Says that these blobs have an owner, or are gone for good."""
    tx.execute(sa.delete(rows).where(rows.c.blob.in_(list(names))))


def of_task(tx: sa.Connection, task_id: str) -> list[str]:
    """What any attempt of the task has announced and does not own."""
    return [name for (name,) in _of_task(tx, task_id=task_id)]


def left_over(tx: sa.Connection, *, before: int, limit: int) -> list[str]:
    """Blobs announced before that time whose writers are no more."""
    running = sa.exists().where(tasks.c.id == rows.c.task_id, tasks.c.completed.is_(None))
    return list(tx.execute(sa.select(rows.c.blob).where(rows.c.created < before, ~running).limit(limit)).scalars())
