"""Whether the service lives and is ready, and its figures."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from stemwright.server import fleet, maintenance
from stemwright.server.http import answers
from stemwright.server.http.answers import Answer
from stemwright.server.http.calls import Call


def health(_call: Call) -> Answer:
    """`GET /health`: the process answers."""
    return answers.plain({"status": "ok"})


def ready(call: Call) -> Answer:
    """`GET /ready`: the database answers too; says how many workers live. 503 when it does not."""
    dead_after = int(call.api.settings.dead_after_seconds * 1000)
    try:
        with call.api.database.read() as tx:
            workers = len(fleet.alive(tx, dead_after_ms=dead_after, now=call.now))
            closed = maintenance.since(tx) is not None
    except SQLAlchemyError:
        return answers.plain({"status": "unavailable", "workers": 0, "maintenance": False}, status_code=503)
    return answers.plain({"status": "ready", "workers": workers, "maintenance": closed})


def figures(call: Call) -> Answer:
    """`GET /metrics`: Prometheus' text format."""
    with call.api.database.read() as tx:
        text = call.api.counts.text(tx)
    return Answer(200, text, "text/plain; version=0.0.4; charset=utf-8")
