"""What Prometheus reads: counts and times of this process, and the queues as the database has them."""

from __future__ import annotations

from collections import Counter as Sum
from collections.abc import Iterator, Mapping

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stemwright.server.store.tables import callbacks, ledger, tasks, workers

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
        self._refunds = Refunds(self._registry)

    def answered(self, route: str, code: int, seconds: float) -> None:
        """Count one answer."""
        self._answers.labels(route, code).inc()
        self._seconds.labels(route).observe(seconds)

    def charged(self, kind: str, cost: int) -> None:
        """Count what a new task costs."""
        self._charged.labels(kind).inc(cost)

    def look(self, tx: sa.Connection, *, dead_after_ms: int, running_per_account: int, now: int) -> None:
        """Read what the database tells, for whoever asks from now on; `now` is the time by its clock. One at a time."""
        self._queues.look(tx, dead_after_ms=dead_after_ms, running_per_account=running_per_account, now=now)
        self._refunds.look(tx, now=now)

    def look_away(self) -> None:
        """Tell nothing of the queues: what they were like is no longer known."""
        self._queues.look_away()

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)


class Queues(Collector):
    """The queues as every process sees them: the same figures in each, so take the maximum, not the sum.

    They change all at once: whoever asks meanwhile gets the ones before.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._told: list[Metric] = []
        registry.register(self)

    def collect(self) -> list[Metric]:
        """What the last look found."""
        return self._told

    def look_away(self) -> None:
        """Forget what the last look found."""
        self._told = []

    def look(self, tx: sa.Connection, *, dead_after_ms: int, running_per_account: int, now: int) -> None:
        """Read the figures; `now` is the time by the database's clock."""
        unfinished = tasks.c.completed.is_(None)
        by_state = sa.select(tasks.c.state, sa.func.count()).where(unfinished).group_by(tasks.c.state)
        states = dict(iter(tx.execute(by_state)))
        living = (workers.c.ended.is_(None), workers.c.sweeper.is_(None), workers.c.heartbeat > now - dead_after_ms)
        alive = tx.execute(sa.select(workers.c.version, workers.c.slots).where(*living)).all()
        self._told = [
            *_waiting(tx, now=now),
            *_limited(tx, running_per_account=running_per_account, now=now),
            _by("stemwright_tasks_unfinished", "Unfinished tasks by state", state=states),
            _by("stemwright_workers", "Workers that live, by version", version=Sum(version for version, _ in alive)),
            _one("stemwright_slots", "Separations that they can run at once", sum(slots for _, slots in alive)),
        ]


def _waiting(tx: sa.Connection, *, now: int) -> list[Metric]:
    """How much waits in each queue, and for how long."""
    depth: dict[str, float] = {}
    age: dict[str, float] = {}

    def note(queue: str, created: sa.Column[int], *waiting: sa.ColumnElement[bool]) -> None:
        depth[queue], oldest = tx.execute(sa.select(sa.func.count(), sa.func.min(created)).where(*waiting)).one()
        age[queue] = _seconds_since(oldest, now)

    for kind in ("separate_vocal", "split_stem", "split_stem_advanced"):
        waiting = (tasks.c.completed.is_(None), tasks.c.kind == kind, tasks.c.state == "queued")
        note(kind, tasks.c.created, *waiting)
    note("callbacks", callbacks.c.created, callbacks.c.state == "pending")
    return [
        _by("stemwright_queue_depth", "Tasks and callbacks that wait, by queue", queue=depth),
        _by("stemwright_queue_oldest_seconds", "How long the oldest one has waited", queue=age),
    ]


def _limited(tx: sa.Connection, *, running_per_account: int, now: int) -> list[Metric]:
    """What waits for a worker, and what for its own account's limit, where more workers would not help."""
    unfinished = tasks.c.completed.is_(None)
    full = sa.select(tasks.c.account_id).where(tasks.c.released.is_not(None), unfinished)
    full = full.group_by(tasks.c.account_id).having(sa.func.count() >= running_per_account)
    is_held = tasks.c.account_id.in_(full)
    waiting = (tasks.c.released.is_(None), unfinished)
    held = tx.execute(sa.select(sa.func.count()).where(*waiting, is_held)).scalar_one()
    oldest = tx.execute(sa.select(sa.func.min(tasks.c.created)).where(*waiting, ~is_held)).scalar_one()
    runnable = "How long the oldest task has waited that another worker could run: its account is not at its limit"
    return [
        _one("stemwright_runnable_oldest_seconds", runnable, _seconds_since(oldest, now)),
        _one("stemwright_tasks_held", "Tasks that wait because their account runs as many as it may", held),
    ]


def _seconds_since(time: int | None, now: int) -> float:
    return 0 if time is None else max(now - time, 0) / 1000


def _one(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _by(name: str, text: str, **values: Mapping[str, float]) -> Metric:
    """A gauge of one label: its values by the label's."""
    ((label, found),) = values.items()
    family = GaugeMetricFamily(name, text, labels=[label])
    for each, value in found.items():
        family.add_metric([each], value)
    return family


class Refunds(Collector):
    """What went back to accounts, as the ledger has it: a worker gives back, and so do an owner's and an operator's
    cancel, in processes that nobody asks for figures. The same in each API process, like the queues."""

    USUAL = ("input", "fetch", "separation", "cancelled")  # told before the first of them, so that a rate sees it
    LATE_MS = 300_000  # a row may be seen so long after its time: it was committed late, or by another clock

    def __init__(self, registry: CollectorRegistry) -> None:
        self._settled: Sum[tuple[str, str]] = Sum()  # (what, reason) of all that is older
        self._until = 0
        self._told: Sum[tuple[str, str]] = Sum()
        registry.register(self)

    def look(self, tx: sa.Connection, *, now: int) -> None:
        """Reads what is new; all of it once in a process."""
        if (until := now - self.LATE_MS) > self._until:
            self._settled += _refunds(tx, ledger.c.created > self._until, ledger.c.created <= until)
            self._until = until
        self._told = self._settled + _refunds(tx, ledger.c.created > self._until)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The two counters, of the usual reasons and whatever else the ledger has."""
        reasons = dict.fromkeys([*self.USUAL, *(reason for _, reason in self._told)])
        texts = {"refunds": "Tasks whose credits went back, by reason", "credits_refunded": "Credits that went back"}
        for what, text in texts.items():
            family = CounterMetricFamily(f"stemwright_{what}", text, labels=["reason"])
            for reason in reasons:
                family.add_metric([reason], self._told[what, reason])
            yield family


def _refunds(tx: sa.Connection, *when: sa.ColumnElement[bool]) -> Sum[tuple[str, str]]:
    """How many tasks' credits went back for each reason, and how many credits."""
    sums = sa.select(ledger.c.reason, sa.func.count(), sa.func.sum(ledger.c.amount))
    is_refund = sa.literal_column("kind = 'refund'", sa.Boolean)  # in the words of its index
    found: Sum[tuple[str, str]] = Sum()
    for reason, tasks_given, credits_given in tx.execute(sums.where(is_refund, *when).group_by(ledger.c.reason)):
        found["refunds", reason] = tasks_given
        found["credits_refunded", reason] = int(credits_given)
    return found


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

    def ended(self, kind: str, state: str) -> None:
        """Count a task's end."""
        self._ended.labels(kind, state).inc()

    def retried(self, reason: str) -> None:
        """Count a task that is begun again: its `child` died, its `worker` died or went, or the database or the
        storage was away (`outage`). Whoever begins it counts it."""
        self._retries.labels(reason).inc()

    def called_back(self, outcome: str) -> None:
        """Count an attempt to deliver: delivered, refused or unreachable."""
        self._callbacks.labels(outcome).inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
