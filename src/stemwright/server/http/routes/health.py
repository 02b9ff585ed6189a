"""Whether the service lives and is ready, and its figures."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from stemwright.server import fleet, maintenance, metrics
from stemwright.server.http import answers
from stemwright.server.http.answers import Answer
from stemwright.server.http.calls import Call
from stemwright.server.store.database import is_read_only

FIGURES_MS = 1000
CHECK_MS, CHECK_SECONDS = 5000, 1.0
PROBE = bytes(1 << 16)  # an empty file still finds a place on a disk that is full


def live(_call: Call) -> Answer:
    """`GET /livez`: the process answers."""
    return answers.plain({"status": "ok"})


def ready(call: Call) -> Answer:
    """`GET /readyz`: what works. 503 only without the database: all else can wait, and so can the tasks. One that takes
    no writes still lets everybody have their files."""
    storage = "ok" if _storage_answers(call) else "unavailable"
    told: dict[str, Any] = {"status": "unavailable", "database": "unavailable", "storage": storage, "workers": 0}
    told |= {"slots": 0, "maintenance": False}
    try:
        with call.api.database.read() as tx:
            slots = fleet.slots(tx, dead_after_ms=_dead_after_ms(call), now=fleet.clock(tx))
            told |= {"workers": len(slots), "slots": sum(slots.values())}
            told["database"] = "read-only" if is_read_only(tx) else "ok"
            told["maintenance"] = maintenance.since(tx) is not None
    except SQLAlchemyError:
        return answers.plain(told, status_code=503)
    told["status"] = "ready" if told["workers"] and told["database"] == storage == "ok" else "degraded"
    return answers.plain(told)


def figures(call: Call) -> Answer:
    """`GET /metrics`: Prometheus' text format. The database is asked at most every second: anybody may ask here."""
    api = call.api
    if abs(call.now - api.figures_read) >= FIGURES_MS and api.reading_figures.acquire(blocking=False):
        try:
            with api.database.read() as tx:
                limits = {"dead_after_ms": _dead_after_ms(call), "now": fleet.clock(tx)}
                api.counts.look(tx, running_per_account=api.settings.max_running_per_account, **limits)
        except SQLAlchemyError:
            api.counts.look_away()
        finally:
            api.figures_read = api.clock()
            api.reading_figures.release()
    return Answer(200, api.counts.text(), metrics.CONTENT_TYPE)


def _storage_answers(call: Call) -> bool:
    """Whether bytes can be stored; looked up at most every few seconds, because it stores some and anyone may ask.

    By one at a time: whoever asks meanwhile hears what was found last.
    """
    api = call.api
    checked, answers_now = api.storage_checked
    if abs(call.now - checked) < CHECK_MS or not api.checking_storage.acquire(blocking=False):
        return answers_now
    try:
        api.blobs.check(PROBE, patience_seconds=CHECK_SECONDS)
        answers_now = True
    except Exception:  # noqa: BLE001  whatever its client raises, it is not there
        answers_now = False
    finally:
        api.storage_checked = (api.clock(), answers_now)
        api.checking_storage.release()
    return answers_now


def _dead_after_ms(call: Call) -> int:
    return int(call.api.settings.dead_after_seconds * 1000)
