"""Closing an account: nobody gets in any more, what has not ended ends, its files go, and its rows tell of nobody.

What stays is what the ledger's rows stand on, from which nothing is ever taken: the account under a name that says
nothing, and of each task its kind, its price and its times. Every step is the same twice: what one that was killed left
undone, the next call does, or the chores do.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from stemwright.errors import AccountStays, TaskEnded
from stemwright.server import accounts, credits, retention
from stemwright.server import tasks as asked
from stemwright.server.store import tables
from stemwright.server.store.blobs import Blobs
from stemwright.server.store.database import Database, take_time
from stemwright.server.store.tables import attempts, callbacks, keys, sessions, stems, tasks, tracks

# Whatever else a task's row has, or comes to have, is forgotten.
_KEPT = {
    *("id", "account_id", "kind", "format", "model", "dialect", "cost", "priority", "music_index"),
    *("state", "failure", "progress", "attempt", "worker", "device", "precision"),
    *("created", "released", "started", "completed", "gone"),
}
_UNTIL_GONE = {"peaks", "mix", "expires"}


def look(tx: sa.Connection, name: str, *, now: int) -> dict[str, Any]:
    """What closing the account of that name would end and delete, in numbers; raises AccountNotFound, AccountStays."""
    account = _closable(tx, name)
    first = {"unfinished": asked.unfinished(tx, account.id), "balance": credits.balance(tx, account.id)}
    take_time(tx)
    mine = tasks.c.account_id == account.id
    lasting = [sa.or_(end.is_(None), end > now) for end in (keys.c.revoked, keys.c.expires)]
    songs = _sum(tx, tracks.c.bytes, tracks.c.account_id == account.id, tracks.c.gone.is_(None))
    parts = _sum(tx, stems.c.bytes, stems.c.task_id == tasks.c.id, mine, tasks.c.gone.is_(None))
    telling = (callbacks.c.task_id == tasks.c.id, mine, callbacks.c.state == "pending")
    reasons = (tables.ledger.c.account_id == account.id, tables.ledger.c.kind == "grant", tables.ledger.c.reason != "")
    return {
        "account": account.name,
        "id": account.id,
        "created": account.created,
        "closed": account.closed,
        "keys": _count(tx, keys.c.account_id == account.id, *lasting),
        "tasks": _count(tx, mine),
        "callbacks": _count(tx, *telling),
        "songs": songs[0],
        "stems": parts[0],
        "bytes": songs[1] + parts[1],
        "reasons": _count(tx, *reasons),
        **first,
    }


def close(database: Database, blobs: Blobs, name: str, *, now: int) -> dict[str, Any]:
    """Closes the account of that name, or goes on closing it; returns what it is called now, and how many songs and
    tasks `wait` for tasks of others that are made of its files.

    Raises AccountNotFound, AccountStays and BlobsAway.
    """
    with database.transaction() as tx:
        account = _shut(tx, name, now=now)
    waiting = _clear(database, blobs, account.id, now=now)
    with database.read() as tx:
        return {"account": name, "now": accounts.get(tx, account.id).name, "closed": account.closed, "wait": waiting}


def go_on(database: Database, blobs: Blobs, *, now: int) -> None:
    """Does what is left to do for accounts that are being closed."""
    with database.read() as tx:
        found = sa.select(tables.accounts.c.id).where(
            tables.accounts.c.closed.is_not(None), tables.accounts.c.name != _marker(tables.accounts.c.id)
        )
        left = list(tx.execute(found).scalars())
    for account_id in left:
        _clear(database, blobs, account_id, now=now)


def _closable(tx: sa.Connection, name: str) -> accounts.Account:
    if name == accounts.ADMIN:
        raise AccountStays(name=name)
    return accounts.by_name(tx, name)


def _shut(tx: sa.Connection, name: str, *, now: int) -> accounts.Account:
    """From here on nothing is added to the account, and none of its keys opens anything."""
    account_id = _closable(tx, name).id
    accounts.lock(tx, account_id)
    table, since = tables.accounts, sa.func.coalesce(tables.accounts.c.closed, now)
    tx.execute(sa.update(table).where(table.c.id == account_id).values(closed=since))
    lasting = sa.or_(keys.c.revoked.is_(None), keys.c.revoked > now)
    tx.execute(sa.update(keys).where(keys.c.account_id == account_id, lasting).values(revoked=now))
    return accounts.get(tx, account_id)


def _clear(database: Database, blobs: Blobs, account_id: str, *, now: int) -> int:
    with database.transaction() as tx:
        take_time(tx)
        _silence(tx, account_id)
    _cancel(database, account_id, now=now)
    with database.transaction() as tx:
        for table in (tracks, tasks):
            kept = (table.c.account_id == account_id, table.c.gone.is_(None))
            tx.execute(sa.update(table).where(*kept).values(expires=now))
    retention.purge_files(database, blobs, account_id=account_id, now=now)
    with database.transaction() as tx:
        take_time(tx)
        return _forget(tx, account_id)


def _silence(tx: sa.Connection, account_id: str) -> None:
    """Nobody is called back any more. The tasks come first: one that ends now sees it, or its callback is seen here."""
    told = (tasks.c.account_id == account_id, tasks.c.callback_url.is_not(None))
    tx.execute(sa.update(tasks).where(*told).values(callback_url=None))
    mine = sa.select(callbacks.c.id).join(tasks, tasks.c.id == callbacks.c.task_id)
    ids = mine.where(tasks.c.account_id == account_id)
    tx.execute(sa.delete(attempts).where(attempts.c.callback_id.in_(ids)))
    tx.execute(sa.delete(callbacks).where(callbacks.c.id.in_(ids)))


def _cancel(database: Database, account_id: str, *, now: int) -> None:
    with database.read() as tx:
        unfinished = sa.select(tasks.c.id).where(tasks.c.account_id == account_id, tasks.c.completed.is_(None))
        found = list(tx.execute(unfinished).scalars())
    for task_id in found:
        with suppress(TaskEnded), database.transaction() as tx:
            asked.cancel(tx, task_id, now=now)


def _forget(tx: sa.Connection, account_id: str) -> int:
    """Removes what tells of somebody, as far as its files are gone; the name is the last. Returns how many songs and
    tasks wait for others."""
    songs = sa.select(tracks.c.blob).where(tracks.c.account_id == account_id)  # their names are in those of the blobs
    elsewhere = (tasks.c.source.in_(songs), tasks.c.completed.is_not(None))
    tx.execute(sa.update(tasks).where(*elsewhere).values(source=None))
    mine = tasks.c.account_id == account_id
    gone = sa.select(tasks.c.id).where(mine, tasks.c.gone.is_not(None))
    tx.execute(sa.delete(stems).where(stems.c.task_id.in_(gone)))
    tx.execute(sa.delete(tracks).where(tracks.c.account_id == account_id, tracks.c.gone.is_not(None)))
    forgotten: dict[str, Any] = {column.name: sa.null() for column in tasks.c if column.name not in _KEPT}
    forgotten |= {name: sa.case((tasks.c.gone.is_(None), tasks.c[name])) for name in _UNTIL_GONE}
    tx.execute(sa.update(tasks).where(mine).values(forgotten | {"audio_id": tasks.c.id}))
    left = sum(_count(tx, each.c.account_id == account_id, each.c.gone.is_(None)) for each in (tracks, tasks))
    if not left:
        own = sa.select(keys.c.id).where(keys.c.account_id == account_id)
        tx.execute(sa.delete(sessions).where(sessions.c.key_id.in_(own)))
        for table in (keys, tables.idempotency, tables.turns):
            tx.execute(sa.delete(table).where(table.c.account_id == account_id))
        anybody = {"name": _marker(account_id), "webhook_secret": "", "share": 1}
        tx.execute(sa.update(tables.accounts).where(tables.accounts.c.id == account_id).values(anybody))
    return left


def _marker(account_id: Any) -> Any:
    """What a closed account is called: nothing that anybody was called by."""
    return "closed-" + account_id


def _count(tx: sa.Connection, *where: sa.ColumnElement[bool]) -> int:
    return tx.execute(sa.select(sa.func.count()).where(*where)).scalar_one()


def _sum(tx: sa.Connection, what: Any, *where: sa.ColumnElement[bool]) -> tuple[int, int]:
    """How many rows there are, and the sum of `what` in them."""
    count, total = tx.execute(sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(what), 0)).where(*where)).one()
    return count, int(total)
