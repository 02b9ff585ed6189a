"""What an operator looks at: tasks, workers, callbacks and accounts of the whole house, as plain rows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from stemwright.server import accounts as domain
from stemwright.server import credits, fleet, maintenance, turns
from stemwright.server import tasks as asked
from stemwright.server.settings import Settings
from stemwright.server.store import tables

_TOLD = ("id", "kind", "state", "progress", "failure", "error", "worker", "cost", "priority")
_TIMES = ("created", "released", "started", "completed")

Row = dict[str, Any]


def tasks(
    tx: sa.Connection,
    *,
    state: str | None = None,
    unfinished: bool = False,
    account: str | None = None,
    limit: int,
    settings: Settings,
) -> list[Row]:
    """Tasks, newest first, or the unfinished ones, oldest first, and what they wait for; raises AccountNotFound."""
    rows = tables.tasks
    columns = [rows.c[name] for name in (*_TOLD, *_TIMES, "account_id")]
    query = sa.select(*columns)
    if state:
        query = query.where(rows.c.state == state)
    if unfinished:
        query = query.where(rows.c.completed.is_(None))
    if account:
        query = query.where(rows.c.account_id == domain.by_name(tx, account).id)
    order = (rows.c.created, rows.c.id) if unfinished else (rows.c.created.desc(), rows.c.id)
    found = _with_names(tx, query.order_by(*order).limit(limit))
    _tell_what_they_wait_for(tx, found, settings)
    return [{name: value for name, value in row.items() if name != "account_id"} for row in found]


def task(tx: sa.Connection, task_id: str, *, settings: Settings) -> Row:
    """Everything about one task, without the queries of its addresses; raises TaskNotFound."""
    found = asked.find(tx, task_id)
    told = vars(found) | {"account": domain.get(tx, found.account_id).name}
    _tell_what_they_wait_for(tx, [told], settings)
    told |= {name: without_query(told[name]) for name in ("callback_url", "audio_url")}
    told["files"] = [stem.blob for stem in asked.stems_of(tx, task_id)]
    delivery = asked.delivery(tx, task_id)
    told["callback"] = vars(delivery) | {"url": without_query(delivery.url)} if delivery else None
    return told


def workers(tx: sa.Connection, *, dead_after_ms: int, ended: bool = False) -> list[Row]:
    """The workers and what they are on, by the database's clock."""
    now = fleet.clock(tx)
    rows = tables.workers
    query = sa.select(rows).order_by(rows.c.started)
    found = _plain(tx.execute(query if ended else query.where(rows.c.ended.is_(None))))
    alive = {row["id"] for row in fleet.alive(tx, dead_after_ms=dead_after_ms, now=now)}
    running = sa.select(tables.tasks.c.worker, tables.tasks.c.id).where(tables.tasks.c.completed.is_(None))
    begun = tx.execute(running.where(tables.tasks.c.worker.is_not(None))).all()
    for row in found:
        row["tasks"] = [task_id for worker, task_id in begun if worker == row["id"]]
        row["busy"] = len(row["tasks"])
        row["seen_seconds"] = max(now - (row["ended"] or row["heartbeat"]), 0) / 1000
        row["state"] = _state(row, alive)
    return found


def callbacks(tx: sa.Connection, *, state: str | None = None, account: str | None = None, limit: int) -> list[Row]:
    """Callbacks, newest first, without the queries of their addresses; raises AccountNotFound."""
    rows = tables.callbacks
    query = sa.select(rows)
    if state:
        query = query.where(rows.c.state == state)
    if account:
        of_account = tables.tasks.c.account_id == domain.by_name(tx, account).id
        query = query.join(tables.tasks, tables.tasks.c.id == rows.c.task_id).where(of_account)
    page = query.order_by(rows.c.created.desc(), rows.c.id).limit(limit).subquery()
    whose = sa.select(page, tables.tasks.c.account_id).join(tables.tasks, tables.tasks.c.id == page.c.task_id)
    found = _with_names(tx, whose.order_by(page.c.created.desc(), page.c.id))
    told = [row | {"task": row.pop("task_id"), "url": without_query(row["url"])} for row in found]
    return [{name: value for name, value in row.items() if name != "account_id"} for row in told]


def accounts(tx: sa.Connection) -> list[Row]:
    """The accounts with what they have and what they wait for."""
    return [
        {
            "id": each.id,
            "name": each.name,
            "share": each.share,
            "closed": each.closed,
            "balance": credits.balance(tx, each.id),
            "unfinished": asked.unfinished(tx, each.id),
        }
        for each in domain.listing(tx)
    ]


def grants(tx: sa.Connection, *, account: str | None = None, limit: int) -> list[Row]:
    """What was given to accounts and taken back by hand, newest first; raises AccountNotFound."""
    rows = tables.ledger
    columns = [rows.c[name] for name in ("created", "amount", "balance", "reason")]
    query = sa.select(tables.accounts.c.name.label("account"), *columns).join(tables.accounts)
    query = query.where(rows.c.kind == "grant")
    if account:
        query = query.where(rows.c.account_id == domain.by_name(tx, account).id)
    return _plain(tx.execute(query.order_by(rows.c.id.desc()).limit(limit)))


def closed_since(tx: sa.Connection) -> int | None:
    """Since when no new task is taken; None when they are."""
    return maintenance.since(tx)


def without_query(url: str | None) -> str | None:
    """The address as people may see it: clients keep secrets in the query."""
    return url.partition("?")[0] + "?…" if url and "?" in url else url


def _tell_what_they_wait_for(tx: sa.Connection, found: list[Row], settings: Settings) -> None:
    """Adds `waits_for`: worker, account, short_slots, turn or, once its turn has come, start; None once it began."""
    slots = fleet.slots(tx, dead_after_ms=int(settings.dead_after_seconds * 1000), now=fleet.clock(tx))
    rules = turns.Rules(settings.max_running_per_account, settings.short_slots)
    of = turns.waits_for(tx, fleet=slots, rules=rules)
    for row in found:
        row["waits_for"] = None
        if row["completed"] is None and row["worker"] is None:
            given_out = row["released"] is not None and bool(slots)
            row["waits_for"] = "start" if given_out else of(row["account_id"], row["kind"])


def _with_names(tx: sa.Connection, page: sa.Select[Any]) -> list[Row]:
    """The page with its accounts' names: joined to what it is taken from, SQLite goes through that account by account,
    which takes half a minute with a million tasks."""
    names = {each.id: each.name for each in domain.listing(tx)}
    return [row | {"account": names[row["account_id"]]} for row in _plain(tx.execute(page))]


def _state(row: Row, alive: set[str]) -> str:
    if row["ended"] is not None:
        return "ended"
    if row["id"] not in alive:
        return "silent"
    return "draining" if row["draining"] else "busy" if row["busy"] else "idle"


def _plain(result: sa.Result[Any]) -> list[Row]:
    return [dict(row) for row in result.mappings()]
