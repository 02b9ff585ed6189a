"""THE ONE FILE that touches DBOS: what is durable, in which order, and how it is taken up again."""

from __future__ import annotations

import sqlalchemy as sa

from stemwright.server.tasks import Task


def enqueue_separation(tx: sa.Connection, task: Task) -> None:
    """Lets a worker take the task, from the moment `tx` commits."""


def enqueue_callback(tx: sa.Connection, task_id: str) -> None:
    """Lets a worker deliver the task's callback, from the moment `tx` commits."""
