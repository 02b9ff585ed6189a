"""Whether the service lives and is ready, and its figures."""

from __future__ import annotations

from concurrent.futures import Future, wait
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from stemwright.server import fleet, maintenance, metrics
from stemwright.server.glances import MOMENT_SECONDS, Glance
from stemwright.server.http import answers
from stemwright.server.http.answers import Answer
from stemwright.server.http.calls import Api, Call
from stemwright.server.store.database import is_read_only

FIGURES_MS = 1000
CHECK_SECONDS, PATIENCE_SECONDS = 5.0, 1.0  # between two looks at the storage, and with it
PROBE = bytes(1 << 16)  # an empty file still finds a place on a disk that is full


def live(_call: Call) -> Answer:
    """`GET /livez`: the process answers."""
    return answers.plain({"status": "ok"})


class Readiness:
    """`GET /readyz`: what works. 503 only without the database: all else can wait, and so can the tasks. One that takes
    no writes still lets everybody have their files."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._database = Glance(self._look_at_database)
        self._storage = Glance(self._look_at_storage, fresh_seconds=CHECK_SECONDS)  # it stores some, and anyone may ask

    def __call__(self, _call: Call) -> Answer:
        """The answer within a moment: what has not been heard of by then does not work."""
        looks: list[Future[Any]] = [self._database.begin(), self._storage.begin()]
        answered, _ = wait(looks, timeout=MOMENT_SECONDS)
        database, storage = looks
        works = {each for each in answered if each.exception() is None}
        told: dict[str, Any] = {"status": "unavailable", "database": "unavailable"}
        told |= {"storage": "ok" if storage in works else "unavailable", "workers": 0, "slots": 0, "maintenance": False}
        if database not in works:
            return answers.plain(told, status_code=503)
        told |= database.result()
        told["status"] = "ready" if told["workers"] and told["database"] == told["storage"] == "ok" else "degraded"
        return answers.plain(told)

    def _look_at_database(self) -> dict[str, Any]:
        with self._api.database.read() as tx:
            slots = fleet.slots(tx, dead_after_ms=_dead_after_ms(self._api), now=fleet.clock(tx))
            told = {"workers": len(slots), "slots": sum(slots.values())}
            told |= {"maintenance": maintenance.since(tx) is not None}
            return told | {"database": "read-only" if is_read_only(tx) else "ok"}

    def _look_at_storage(self) -> None:
        self._api.blobs.check(PROBE, patience_seconds=PATIENCE_SECONDS)


def figures(call: Call) -> Answer:
    """`GET /metrics`: Prometheus' text format. The database is asked at most every second: anybody may ask here."""
    api = call.api
    if abs(call.now - api.figures_read) >= FIGURES_MS and api.reading_figures.acquire(blocking=False):
        try:
            with api.database.read() as tx:
                limits = {"dead_after_ms": _dead_after_ms(api), "now": fleet.clock(tx)}
                api.counts.look(tx, running_per_account=api.settings.max_running_per_account, **limits)
        except SQLAlchemyError:
            api.counts.look_away()
        finally:
            api.figures_read = api.clock()
            api.reading_figures.release()
    return Answer(200, api.counts.text(), metrics.CONTENT_TYPE)


def _dead_after_ms(api: Api) -> int:
    return int(api.settings.dead_after_seconds * 1000)
