"""What Prometheus reads: counts and times of this process, and the queues as the database has them."""

from __future__ import annotations

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from stemwright.server.store.tables import callbacks, tasks, workers

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ANSWER_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
_TASK_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 3600)
_FACTORS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256)


class Counts:
    """The counters of one API process, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "stemwright_http_answers_total", "Answers by route and code", ["route", "code"], registry=self._registry
        )
        self._seconds = Histogram(
            "stemwright_http_seconds", "Time to answer", ["route"], buckets=_ANSWER_SECONDS, registry=self._registry
        )
        self._charged = Counter(
            "stemwright_credits_charged_total", "Credits taken for tasks", ["kind"], registry=self._registry
        )
        self._queues = Queues(self._registry)

    def answered(self, route: str, code: int, seconds: float) -> None:
        """Count one answer."""
        self._answers.labels(route, code).inc()
        self._seconds.labels(route).observe(seconds)

    def charged(self, kind: str, cost: int) -> None:
        """Count what a new task costs."""
        self._charged.labels(kind).inc(cost)

    def text(self, tx: sa.Connection, *, dead_after_ms: int, running_per_account: int, now: int) -> bytes:
        """Everything in Prometheus' text format; the queues' figures are read now."""
        self._queues.look(tx, dead_after_ms=dead_after_ms, now=now)
        self._queues.look_at_limits(tx, running_per_account=running_per_account, now=now)
        return generate_latest(self._registry)


class Queues:
    """The queues as every process sees them: the same figures in each, so take the maximum, not the sum."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._depth = Gauge(
            "stemwright_queue_depth", "Tasks and callbacks that wait, by queue", ["queue"], registry=registry
        )
        self._age = Gauge(
            "stemwright_queue_oldest_seconds", "How long the oldest one has waited", ["queue"], registry=registry
        )
        self._runnable = Gauge(
            "stemwright_runnable_oldest_seconds",
            "How long the oldest task has waited that another worker could run: its account is not at its limit",
            registry=registry,
        )
        self._held = Gauge(
            "stemwright_tasks_held", "Tasks that wait because their account runs as many as it may", registry=registry
        )
        self._tasks = Gauge("stemwright_tasks_unfinished", "Unfinished tasks by state", ["state"], registry=registry)
        self._workers = Gauge("stemwright_workers", "Workers that live, by version", ["version"], registry=registry)
        self._slots = Gauge("stemwright_slots", "Separations that they can run at once", registry=registry)

    def look(self, tx: sa.Connection, *, dead_after_ms: int, now: int) -> None:
        """Read the figures; `now` is the time by the database's clock."""
        for gauge in (self._depth, self._age, self._tasks, self._workers):
            gauge.clear()
        for kind in ("separate_vocal", "split_stem", "split_stem_advanced"):
            waiting = (tasks.c.completed.is_(None), tasks.c.kind == kind, tasks.c.state == "queued")
            self._note(tx, kind, tasks.c.created, *waiting, now=now)
        self._note(tx, "callbacks", callbacks.c.created, callbacks.c.state == "pending", now=now)
        unfinished = sa.select(tasks.c.state, sa.func.count()).where(tasks.c.completed.is_(None))
        for state, count in tx.execute(unfinished.group_by(tasks.c.state)):
            self._tasks.labels(state).set(count)
        living = (workers.c.ended.is_(None), workers.c.sweeper.is_(None), workers.c.heartbeat > now - dead_after_ms)
        found = tx.execute(sa.select(workers.c.version, workers.c.slots).where(*living)).all()
        for version, _ in found:
            self._workers.labels(version).inc()
        self._slots.set(sum(slots for _, slots in found))

    def look_at_limits(self, tx: sa.Connection, *, running_per_account: int, now: int) -> None:
        """Read what waits for a worker, and what for its own account's limit, where more workers would not help."""
        unfinished = tasks.c.completed.is_(None)
        full = sa.select(tasks.c.account_id).where(tasks.c.released.is_not(None), unfinished)
        full = full.group_by(tasks.c.account_id).having(sa.func.count() >= running_per_account)
        is_held = tasks.c.account_id.in_(full)
        waiting = (tasks.c.released.is_(None), unfinished)
        self._held.set(tx.execute(sa.select(sa.func.count()).where(*waiting, is_held)).scalar_one())
        oldest = tx.execute(sa.select(sa.func.min(tasks.c.created)).where(*waiting, ~is_held)).scalar_one()
        self._runnable.set(0 if oldest is None else max(now - oldest, 0) / 1000)

    def _note(
        self, tx: sa.Connection, queue: str, created: sa.Column[int], *waiting: sa.ColumnElement[bool], now: int
    ) -> None:
        count, oldest = tx.execute(sa.select(sa.func.count(), sa.func.min(created)).where(*waiting)).one()
        self._depth.labels(queue).set(count)
        self._age.labels(queue).set(0 if oldest is None else max(now - oldest, 0) / 1000)


class Work:
    """The counters of one worker process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._seconds = Histogram(
            "stemwright_task_seconds",
            "Time of tasks by stage: waiting, fetching, separating, storing",
            ["stage", "model", "kind"],
            buckets=_TASK_SECONDS,
            registry=registry,
        )
        self._factor = Histogram(
            "stemwright_real_time_factor",
            "Seconds of song for each second of separating",
            ["model", "kind"],
            buckets=_FACTORS,
            registry=registry,
        )
        self._ended = Counter("stemwright_tasks_ended_total", "Tasks that ended", ["kind", "state"], registry=registry)
        self._retries = Counter("stemwright_task_retries_total", "Tasks begun again", ["reason"], registry=registry)
        self._refunds = Counter("stemwright_refunds_total", "Tasks whose credits went back", registry=registry)
        self._refunded = Counter("stemwright_credits_refunded_total", "Credits that went back", registry=registry)
        self._callbacks = Counter(
            "stemwright_callback_attempts_total", "Callback attempts by outcome", ["outcome"], registry=registry
        )
        self.busy = Gauge("stemwright_slots_busy", "Separations that this worker is running", registry=registry)
        self.warm = Gauge(
            "stemwright_children", "Separation processes that are up, with their model", registry=registry
        )

    def took(self, stage: str, seconds: float, *, model: str, kind: str) -> None:
        """Note how long a stage of a task took."""
        self._seconds.labels(stage, model, kind).observe(max(seconds, 0))

    def separated(self, song_seconds: float, seconds: float, *, model: str, kind: str) -> None:
        """Note how fast a song was separated."""
        self._factor.labels(model, kind).observe(song_seconds / max(seconds, 1e-3))

    def ended(self, kind: str, state: str, *, cost: int) -> None:
        """Count a task's end; unless it finished, its cost went back."""
        self._ended.labels(kind, state).inc()
        if state != "finished":
            self._refunds.inc()
            self._refunded.inc(cost)

    def retried(self, reason: str) -> None:
        """Count a task that is begun again: its `child` died, or its `worker` did."""
        self._retries.labels(reason).inc()

    def called_back(self, outcome: str) -> None:
        """Count an attempt to deliver: delivered, refused or unreachable."""
        self._callbacks.labels(outcome).inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
