"""What people look through: an account's tasks and callbacks page by page, its usage, and the whole house's figures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize
from urllib.parse import quote

import sqlalchemy as sa

from stemwright.server.store.database import holds
from stemwright.server.store.tables import accounts, attempts, callbacks, keys, ledger, tasks, tracks
from stemwright.server.tasks import ENDED

DAY_MS = 86_400_000
PAGE = 50
_PLAIN_IN_ADDRESSES = "/:@!$&'()*+,;="
Cursor = tuple[int, str]  # the time and the id of the last row on the page before

GROUPS = {
    "running": ("queued", "fetching", "separating", "storing"),
    "finished": ("finished",),
    "failed": ("failed",),
    "cancelled": ("cancelled",),
}
_SONG = sa.func.coalesce(sa.func.nullif(tracks.c.title, ""), sa.func.nullif(tracks.c.file_name, ""), tasks.c.audio_url)
_SUMMARY = (
    *(tasks.c[name] for name in ("id", "kind", "stem_name", "format", "cost", "state", "progress", "error")),
    *(tasks.c[name] for name in ("model", "duration_seconds", "created", "started", "completed", "expires", "gone")),
    *(tasks.c[name] for name in ("callback_url", "audio_url", "warnings")),
    _SONG.label("song"),
    callbacks.c.state.label("callback_state"),
)
_JOINED = tasks.outerjoin(
    tracks, sa.and_(tracks.c.audio_id == tasks.c.audio_id, tracks.c.account_id == tasks.c.account_id)
).outerjoin(callbacks, callbacks.c.task_id == tasks.c.id)


def search(
    tx: sa.Connection,
    account_id: str,
    *,
    text: str = "",
    group: str = "",
    kind: str = "",
    after: Cursor | None = None,
    limit: int = PAGE,
) -> Sequence[sa.RowMapping]:
    """The account's tasks, newest first, from behind `after`: those whose song, address or id contains `text`."""
    query = sa.select(*_SUMMARY).select_from(_JOINED).where(*_visible(account_id), *_behind(after))
    if text:
        text = normalize("NFC", text)  # as titles are
        found_in = (tasks.c.id, tracks.c.file_name, tracks.c.title, tasks.c.audio_url, tasks.c.stem_name)
        wanted = [(column, text) for column in found_in]
        # A song from elsewhere is listed as the last part of its address, without the escapes that are kept.
        if (escaped := quote(text, safe=_PLAIN_IN_ADDRESSES)) != text:
            wanted.append((tasks.c.audio_url, escaped))
        query = query.where(sa.or_(*(holds(tx, column, part) for column, part in wanted)))
    if group:
        query = query.where(tasks.c.state.in_(GROUPS[group]))
    if kind:
        query = query.where(tasks.c.kind == kind)
    return tx.execute(query.order_by(tasks.c.created.desc(), tasks.c.id.desc()).limit(limit)).mappings().all()


def one(tx: sa.Connection, task_id: str) -> sa.RowMapping:
    """The same about one task that exists."""
    return tx.execute(sa.select(*_SUMMARY).select_from(_JOINED).where(tasks.c.id == task_id)).mappings().one()


def deliveries(
    tx: sa.Connection, account_id: str, *, after: Cursor | None = None, limit: int = PAGE
) -> Sequence[sa.RowMapping]:
    """The account's callbacks, those of the newest tasks first."""
    song = _SONG.label("song")
    query = (
        sa.select(callbacks, tasks.c.created.label("task_created"), song)
        .select_from(_JOINED)
        .where(*_visible(account_id), callbacks.c.id.is_not(None), *_behind(after))
    )
    return tx.execute(query.order_by(tasks.c.created.desc(), tasks.c.id.desc()).limit(limit)).mappings().all()


def attempts_of(tx: sa.Connection, callback_id: str) -> Sequence[sa.RowMapping]:
    """Every attempt to deliver a callback, in order."""
    query = sa.select(attempts).where(attempts.c.callback_id == callback_id).order_by(attempts.c.number)
    return tx.execute(query).mappings().all()


def entries(
    tx: sa.Connection, account_id: str, *, before: int | None = None, limit: int | None = PAGE
) -> Sequence[sa.RowMapping]:
    """The account's ledger, newest first, from below the row with sequence `before`; each with its task's song."""
    query = (
        sa.select(ledger, _SONG.label("song"))
        .select_from(
            ledger.outerjoin(tasks, tasks.c.id == ledger.c.task_id).outerjoin(
                tracks, sa.and_(tracks.c.audio_id == tasks.c.audio_id, tracks.c.account_id == tasks.c.account_id)
            )
        )
        .where(ledger.c.account_id == account_id)
    )
    if before is not None:
        query = query.where(ledger.c.sequence < before)
    return tx.execute(query.order_by(ledger.c.sequence.desc()).limit(limit)).mappings().all()


def usage(
    tx: sa.Connection, account_id: str, *, days: int, offset_minutes: int = 0, now: int
) -> Sequence[sa.RowMapping]:
    """Tasks, credits that stayed charged and seconds of song, by day and key, over the last `days` days.

    A day is the number of days since 1970 where the clock is `offset_minutes` ahead of UTC.
    """
    shift = offset_minutes * 60_000
    today = (now + shift) // DAY_MS
    day = ((tasks.c.created + shift) // DAY_MS).label("day")
    kept = sa.case((tasks.c.state.in_(("failed", "cancelled")), 0), else_=tasks.c.cost)
    since = (today - days + 1) * DAY_MS - shift
    query = (
        sa.select(
            day,
            tasks.c.key_id,
            sa.func.count().label("tasks"),
            sa.func.sum(kept).label("credits"),
            sa.func.coalesce(sa.func.sum(tasks.c.duration_seconds), 0.0).label("seconds"),
        )
        .where(tasks.c.account_id == account_id, tasks.c.created >= since)
        .group_by(day, tasks.c.key_id)
        .order_by(day, tasks.c.key_id)
    )
    return tx.execute(query).mappings().all()


# ---- now ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """How far a task is."""

    id: str
    account_id: str
    state: str
    progress: float
    started: int | None
    created: int
    error: str | None
    warnings: list[str] | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED


_MOMENT = tuple(tasks.c[name] for name in Moment.__dataclass_fields__)


def moments(
    tx: sa.Connection, account_ids: Collection[str], *, known: Collection[str], since: int
) -> dict[str, Moment]:
    """The unfinished tasks of these accounts, those created `since`, and the `known` ones whatever became of them."""
    mine = tasks.c.account_id.in_(account_ids)
    running = sa.select(*_MOMENT).where(mine, tasks.c.completed.is_(None))
    fresh = sa.select(*_MOMENT).where(mine, tasks.c.created >= since)
    found = {row.id: Moment(*row) for query in (running, fresh) for row in tx.execute(query)}
    lost = [task_id for task_id in known if task_id not in found]
    for some in _batches(lost, 500):
        found |= {row.id: Moment(*row) for row in tx.execute(sa.select(*_MOMENT).where(tasks.c.id.in_(some)))}
    return found


def queue(tx: sa.Connection, *, now: int) -> dict[str, Any]:
    """How many tasks wait and run, and for how many seconds the oldest one that waits has done so."""
    states = sa.select(tasks.c.state, sa.func.count(), sa.func.min(tasks.c.created))
    found = {row[0]: row for row in tx.execute(states.where(tasks.c.completed.is_(None)).group_by(tasks.c.state))}
    waiting = found.get("queued")
    pending = sa.select(sa.func.count()).where(callbacks.c.state == "pending")
    return {
        "waiting": waiting[1] if waiting else 0,
        "running": sum(row[1] for state, row in found.items() if state != "queued"),
        "oldest_seconds": max(0.0, (now - waiting[2]) / 1000) if waiting else 0.0,
        "callbacks": tx.execute(pending).scalar_one(),
    }


def tasks_by_worker(tx: sa.Connection) -> dict[str, int]:
    """How many unfinished tasks each worker has begun."""
    query = sa.select(tasks.c.worker, sa.func.count()).where(tasks.c.completed.is_(None), tasks.c.worker.is_not(None))
    return {row[0]: row[1] for row in tx.execute(query.group_by(tasks.c.worker))}


def everyone(
    tx: sa.Connection, *, text: str = "", after: str | None = None, limit: int = PAGE, now: int
) -> Sequence[sa.RowMapping]:
    """Open accounts by name from behind `after`, with their balance, their valid keys and their unfinished tasks."""

    def of(what: Any, *, where: sa.ColumnElement[bool]) -> Any:
        return sa.select(what).where(where).correlate(accounts)

    balance = of(ledger.c.balance, where=ledger.c.account_id == accounts.c.id)
    balance = balance.order_by(ledger.c.sequence.desc()).limit(1)
    lasting = [sa.or_(end.is_(None), end > now) for end in (keys.c.revoked, keys.c.expires)]
    valid = of(sa.func.count(), where=sa.and_(keys.c.account_id == accounts.c.id, *lasting))
    running = of(sa.func.count(), where=sa.and_(tasks.c.account_id == accounts.c.id, tasks.c.completed.is_(None)))
    query = sa.select(
        accounts.c.id,
        accounts.c.name,
        accounts.c.created,
        sa.func.coalesce(balance.scalar_subquery(), 0).label("balance"),
        valid.scalar_subquery().label("keys"),
        running.scalar_subquery().label("running"),
    )
    query = query.where(accounts.c.closed.is_(None))
    if text:
        query = query.where(holds(tx, accounts.c.name, text))
    if after is not None:
        query = query.where(accounts.c.name > after)
    return tx.execute(query.order_by(accounts.c.name).limit(limit)).mappings().all()


def _visible(account_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return tasks.c.account_id == account_id, tasks.c.deleted.is_(None)


def _behind(after: Cursor | None) -> tuple[sa.ColumnElement[bool], ...]:
    if after is None:
        return ()
    created, task_id = after
    # The first half alone is what an index can start from; SQLite makes no use of a comparison of pairs with OR in it.
    return tasks.c.created <= created, sa.or_(tasks.c.created < created, tasks.c.id < task_id)


def _batches(items: list[str], size: int) -> Iterable[list[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
