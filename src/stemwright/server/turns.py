"""Whose turn it is: the waiting tasks are one line for each account and kind, and the lines are served in turn.

An account's share of the fleet depends on who else is waiting, never on how much it has queued. The account with the
fewest running tasks for its share comes first, then the one that was served least recently; within an account the
highest priority comes first, then the kind that was served least recently, then the oldest task.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import sqlalchemy as sa

from stemwright.server.store.tables import accounts, callbacks, switches, turns
from stemwright.server.store.tables import tasks as rows

SHORT = "separate_vocal"

_waiting = (rows.c.released.is_(None), rows.c.completed.is_(None))
_running = (rows.c.released.is_not(None), rows.c.completed.is_(None))


@dataclass(frozen=True)
class Rules:
    """How the fleet's slots are shared: how many tasks an account may run, how many slots only short tasks may use."""

    running_per_account: int
    short_slots: int = 0


@dataclass
class _Account:
    share: int
    served: dict[str, int] = field(default_factory=dict)  # by kind
    running: int = 0

    @property
    def turn(self) -> tuple[float, int]:
        return self.running / self.share, max(self.served.values(), default=0)


def is_anyone_waiting(tx: sa.Connection) -> bool:
    """Whether there is anything to release; cheap, however many tasks wait."""
    return tx.execute(sa.select(rows.c.id).where(*_waiting).limit(1)).first() is not None


def is_anything_due(tx: sa.Connection) -> bool:
    """Whether a task waits for a worker, or a callback to be delivered: what an idle worker asks, again and again."""
    task = sa.select(rows.c.id).where(rows.c.completed.is_(None), rows.c.worker.is_(None))
    callback = sa.select(callbacks.c.id).where(callbacks.c.state == "pending")
    return bool(tx.execute(sa.select(sa.or_(task.exists(), callback.exists()))).scalar())


def release(tx: sa.Connection, *, fleet: dict[str, int], rules: Rules, now: int) -> list[str]:
    """Marks as released the tasks whose turn it is, one for each free slot, and returns their ids, in order.

    `fleet` has the slots of each worker that lives and takes tasks. One process at a time does this; the others are
    told that there is nothing to do.
    """
    if not _alone(tx):
        return []
    free, long_running = _load(tx, fleet)
    chosen: list[str] = []
    waiting = _accounts_in_line(tx) if free > 0 else {}
    long_slots = max(sum(fleet.values()) - rules.short_slots, 1)
    while waiting and len(chosen) < free:
        account_id = min(waiting, key=lambda each: waiting[each].turn)
        account = waiting[account_id]
        only = SHORT if long_running >= long_slots else None
        task = None if account.running >= rules.running_per_account else _head(tx, account_id, account, only)
        if task is None:
            del waiting[account_id]  # at its limit, or nothing for the slots that are left
            continue
        task_id, kind = task
        tx.execute(sa.update(rows).where(rows.c.id == task_id).values(released=now))
        _serve(tx, account_id, account, kind)
        long_running += kind != SHORT
        chosen.append(task_id)
    return chosen


def take_back(tx: sa.Connection, task_id: str) -> None:
    """Puts a released task back into its line: its place is that of its age."""
    tx.execute(sa.update(rows).where(rows.c.id == task_id, rows.c.completed.is_(None)).values(released=None))


def _alone(tx: sa.Connection) -> bool:
    """Holds the others off until `tx` ends; on SQLite a writer is alone anyway."""
    query = sa.select(switches.c.name).where(switches.c.name == "queue").with_for_update(skip_locked=True)
    return tx.execute(query).first() is not None


def _load(tx: sa.Connection, fleet: dict[str, int]) -> tuple[int, int]:
    """How many slots are free, and how many long tasks are out. What a dead worker holds takes no living one's slot."""
    running = tx.execute(sa.select(rows.c.worker, rows.c.kind).where(*_running)).all()
    taken = [kind for worker, kind in running if worker is None or worker in fleet]
    return sum(fleet.values()) - len(taken), sum(1 for kind in taken if kind != SHORT)


def _accounts_in_line(tx: sa.Connection) -> dict[str, _Account]:
    """The accounts that have waiting tasks: one look-up in an index for each of them, however many tasks they have."""
    first = sa.select(sa.func.min(rows.c.account_id).label("id")).where(*_waiting)
    line = first.cte("line", recursive=True)
    after = sa.select(sa.func.min(rows.c.account_id)).where(*_waiting, rows.c.account_id > line.c.id)
    line = line.union_all(sa.select(after.scalar_subquery()).where(line.c.id.is_not(None)))
    query = (
        sa.select(accounts.c.id, accounts.c.share, turns.c.kind, turns.c.served)
        .join(line, line.c.id == accounts.c.id)
        .outerjoin(turns, turns.c.account_id == accounts.c.id)
        .order_by(accounts.c.created, accounts.c.id)
    )
    found: dict[str, _Account] = {}
    for account_id, share, kind, served in tx.execute(query):
        account = found.setdefault(account_id, _Account(share))
        if kind:
            account.served[kind] = served
    counts = Counter(tx.execute(sa.select(rows.c.account_id).where(*_running)).scalars())
    for account_id, account in found.items():
        account.running = counts[account_id]
    return found


def _head(tx: sa.Connection, account_id: str, account: _Account, only: str | None) -> tuple[str, str] | None:
    """The account's next task, and its kind."""
    heads = []
    for kind in (SHORT, "split_stem", "split_stem_advanced"):
        if only in (None, kind):
            line = (*_waiting, rows.c.account_id == account_id, rows.c.kind == kind)
            highest = sa.select(sa.func.max(rows.c.priority)).where(*line).scalar_subquery()
            query = (
                sa.select(rows.c.id, rows.c.kind, rows.c.priority)
                .where(*line, rows.c.priority == highest)
                .order_by(rows.c.created, rows.c.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            heads += tx.execute(query).all()
    if not heads:
        return None
    best = min(heads, key=lambda head: (-head.priority, account.served.get(head.kind, 0)))
    return best.id, best.kind


def _serve(tx: sa.Connection, account_id: str, account: _Account, kind: str) -> None:
    number = (tx.execute(sa.select(sa.func.max(turns.c.served))).scalar() or 0) + 1
    account.served[kind] = number
    account.running += 1
    mine = (turns.c.account_id == account_id, turns.c.kind == kind)
    if tx.execute(sa.update(turns).where(*mine).values(served=number)).rowcount == 0:
        tx.execute(sa.insert(turns).values(account_id=account_id, kind=kind, served=number))
