"""The console's page for operators: accounts, workers, the queue, models and the maintenance switch."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from stemwright import errors
from stemwright.audio import naming
from stemwright.server import accounts, credits, fleet, keys, maintenance, overview
from stemwright.server.http import answers, idempotency, wire, wire_console
from stemwright.server.http.answers import Answer
from stemwright.server.http.calls import Call
from stemwright.server.http.routes import separation
from stemwright.zoo import catalog, installed


def show(call: Call) -> Answer:
    """`GET /console/api/operator`: the house as it is now."""
    dead_after = int(call.api.settings.dead_after_seconds * 1000)
    with call.api.database.read() as tx:
        now = fleet.clock(tx)  # which their heartbeats are told by
        alive = fleet.alive(tx, dead_after_ms=dead_after, now=now)
        busy = overview.tasks_by_worker(tx)
        queue = overview.queue(tx, now=call.now)
        since = maintenance.since(tx)
    workers = [wire_console.worker_of(row, tasks=busy.get(row["id"], 0), now=now) for row in alive]
    waiting = {
        "waiting": queue["waiting"],
        "running": queue["running"],
        "oldestSeconds": queue["oldest_seconds"],
        "callbacks": queue["callbacks"],
    }
    return answers.success({"workers": workers, "queue": waiting, "models": _models(call), "maintenanceSince": since})


def list_accounts(call: Call) -> Answer:
    """`GET /console/api/operator/accounts?text=&after=`: one page, by name."""
    text, after = call.query.get("text", "").strip()[:200], call.query.get("after") or None
    with call.api.database.read() as tx:
        found = overview.everyone(tx, text=text, after=after, limit=overview.PAGE + 1, now=call.now)
    shown = found[: overview.PAGE]
    more = shown[-1]["name"] if len(found) > len(shown) else None
    return answers.success({"accounts": [wire_console.account_of(row) for row in shown], "next": more})


def create_account(call: Call) -> Answer:
    """`POST /console/api/operator/accounts`: a new account with credits and its first key, shown once."""
    asked = wire.parse(call.body).to(wire_console.NewAccount)
    name = naming.shown(asked.name)
    if not name or set(name) & set("/\\"):
        raise errors.InvalidRequest(field="name", problem="must be one that can be read, without / and \\")
    with call.api.database.transaction() as tx:
        account = accounts.create(tx, name, now=call.now)
        if asked.credits:
            credits.grant(tx, account.id, asked.credits, reason=_by(call), now=call.now)
        key, secret = keys.create(tx, account.id, name="first", dialect=call.api.settings.dialect, now=call.now)
    made = {"accountId": account.id, "name": account.name, "keyId": key.id, "secret": secret}
    return answers.success(made)


def grant(call: Call) -> Answer:
    """`POST /console/api/operator/grants`: credits for an account; a negative amount takes some back.

    With an Idempotency-Key once only, however often it is sent.
    """
    body = wire.parse(call.body)
    asked, key = body.to(wire_console.Grant), idempotency.key_of(call.sent)
    if asked.amount == 0:
        raise errors.InvalidRequest(field="amount", problem="must not be 0")

    def act(tx: sa.Connection) -> Answer:
        accounts.get(tx, asked.account_id)
        entry = credits.grant(tx, asked.account_id, asked.amount, reason=asked.reason or _by(call), now=call.now)
        return answers.success({"balance": entry.balance})

    with call.api.running.hold(call.caller.account_id, key), call.api.database.transaction() as tx:
        if key is None:
            return act(tx)
        return separation.first(call, tx, act, key=key, fingerprint=body.fingerprint("/console/api/operator/grants"))


def switch(call: Call) -> Answer:
    """`POST /console/api/operator/maintenance`: on or off."""
    asked = wire.parse(call.body).to(wire_console.Switch)
    with call.api.database.transaction() as tx:
        maintenance.switch(tx, on=asked.on, now=call.now)
        since = maintenance.since(tx)
    return answers.success({"maintenanceSince": since})


def _models(call: Call) -> list[dict[str, Any]]:
    """The models on this machine: those in the package, and those that were pulled."""
    found = [(name, catalog.card(name).weights_path, catalog.card(name).stems, "bundled") for name in catalog.names()]
    pulled, _ = installed.readable()  # `stemwright models verify` tells of the others
    found += [(model.name, model.weights, tuple(model.facts["stems"]), "pulled") for model in pulled]
    return [
        {
            "name": name,
            "source": source,
            "bytes": path.stat().st_size if path.is_file() else 0,
            "stems": list(stems),
            "current": name == call.api.settings.model,
        }
        for name, path, stems, source in found
    ]


def _by(call: Call) -> str:
    return f"console, key {call.caller.key_id[:8]}"
