"""What Prometheus reads: counts of this process's answers, and the queue as the database has it."""

from __future__ import annotations

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from stemwright.server.store.tables import callbacks, tasks

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class Counts:
    """Counters of one API process, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "stemwright_http_answers_total", "Answers by route and code", ["route", "code"], registry=self._registry
        )
        self._seconds = Histogram(
            "stemwright_http_seconds", "Time to answer", ["route"], buckets=_SECONDS, registry=self._registry
        )
        self._tasks = Gauge(
            "stemwright_tasks_unfinished", "Unfinished tasks by state", ["state"], registry=self._registry
        )
        self._callbacks = Gauge(
            "stemwright_callbacks_pending", "Callbacks still to be delivered", registry=self._registry
        )

    def answered(self, route: str, code: int, seconds: float) -> None:
        """Count one answer."""
        self._answers.labels(route, code).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self, tx: sa.Connection) -> bytes:
        """Everything in Prometheus' text format; the queue's figures are read now."""
        self._tasks.clear()
        unfinished = (
            sa.select(tasks.c.state, sa.func.count()).where(tasks.c.completed.is_(None)).group_by(tasks.c.state)
        )
        for state, count in tx.execute(unfinished):
            self._tasks.labels(state).set(count)
        pending = sa.select(sa.func.count()).where(callbacks.c.state == "pending")
        self._callbacks.set(tx.execute(pending).scalar_one())
        return generate_latest(self._registry)
