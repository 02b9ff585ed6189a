"""Whose turn it is: the waiting tasks are one line for each account and kind, and the lines are served in turn.

An account's share of the fleet depends on who else is waiting, never on how much it has queued. The account with the
fewest running tasks for its share comes first, then the one that was served least recently; within an account the
highest priority comes first, then the kind that was served least recently, then the oldest task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from stemwright.server.store.prepared import Prepared
from stemwright.server.store.tables import accounts, callbacks, switches, turns
from stemwright.server.store.tables import tasks as rows

SHORT = "separate_vocal"

_waiting = (rows.c.released.is_(None), rows.c.completed.is_(None))
_running = (rows.c.released.is_not(None), rows.c.completed.is_(None))
KINDS = (SHORT, "split_stem", "split_stem_advanced")

# On SQLite a writer is alone anyway.
_hold_others_off = Prepared(
    sa.select(switches.c.name).where(switches.c.name == sa.literal_column("'queue'")).with_for_update(skip_locked=True)
)
_out = Prepared(sa.select(rows.c.worker, rows.c.kind, rows.c.account_id).where(*_running))
_release = Prepared(
    sa.update(rows)
    .where(rows.c.id == sa.bindparam("of"), *_waiting)
    .values(released=sa.bindparam("now"))
    .returning(rows.c.id)
)
_latest = sa.select(sa.func.coalesce(sa.func.max(turns.c.served), sa.literal_column("0")))
_insert_turn = postgresql.insert(turns).values(  # SQLite writes its conflicts in the same words
    account_id=sa.bindparam("account_id"),
    kind=sa.bindparam("kind"),
    served=_latest.scalar_subquery() + sa.literal_column("1"),
)
_serve = Prepared(
    _insert_turn.on_conflict_do_update(
        index_elements=["account_id", "kind"],
        set_={"served": _insert_turn.excluded.served},
    ).returning(turns.c.served)
)
_due = Prepared(
    sa.select(
        sa.exists().where(*_waiting),
        sa.exists().where(*_running, rows.c.worker.is_(None)),
        sa.exists().where(callbacks.c.state == sa.literal_column("'pending'")),
    )
)


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


@dataclass(frozen=True)
class Due:
    """What there is to do: a task waits for its turn, one that has had it for a worker, a callback to be delivered."""

    turn: bool
    task: bool
    callback: bool


def due(tx: sa.Connection) -> Due:
    """What an idle worker asks, again and again: three seeks, however many tasks wait."""
    return Due(*map(bool, _due(tx)[0]))


def release(tx: sa.Connection, *, fleet: dict[str, int], rules: Rules, now: int) -> list[str]:
    """Marks as released the tasks whose turn it is, one for each free slot, and returns their ids, in order.

    `fleet` has the slots of each worker that lives and takes tasks. One process at a time does this; the others are
    told that there is nothing to do.
    """
    if not _hold_others_off(tx):
        return []
    free, long_running, running = _load(tx, fleet)
    chosen: list[str] = []
    waiting = _accounts_in_line(tx, running) if free > 0 else {}
    long_slots = _long_slots(fleet, rules)
    while waiting and len(chosen) < free:
        account_id = min(waiting, key=lambda each: waiting[each].turn)
        account = waiting[account_id]
        only = SHORT if long_running >= long_slots else None
        task = None if account.running >= rules.running_per_account else _head(tx, account_id, account, only)
        if task is None:
            del waiting[account_id]  # at its limit, or nothing for the slots that are left
            continue
        task_id, kind = task
        if _release(tx, of=task_id, now=now):  # or it was cancelled meanwhile
            account.served[kind] = _serve(tx, account_id=account_id, kind=kind)[0][0]
            account.running += 1
            long_running += kind != SHORT
            chosen.append(task_id)
    return chosen


def waits_for(tx: sa.Connection, *, fleet: dict[str, int], rules: Rules) -> Callable[[str, str], str]:
    """Says for what a waiting task of an account and kind waits: `worker` (there is none), `account` (its limit),
    `short_slots` (no other is left) or `turn`."""
    _, long_running, running = _load(tx, fleet)

    def of(account_id: str, kind: str) -> str:
        if not fleet:
            return "worker"
        if running[account_id] >= rules.running_per_account:
            return "account"
        return "short_slots" if kind != SHORT and long_running >= _long_slots(fleet, rules) else "turn"

    return of


def _load(tx: sa.Connection, fleet: dict[str, int]) -> tuple[int, int, Counter[str]]:
    """How many slots are free, how many long tasks are out, and how many tasks of each account. What a dead worker
    holds takes no living one's slot."""
    out = _out(tx)
    taken = [kind for worker, kind, _ in out if worker is None or worker in fleet]
    running = Counter(account_id for _, _, account_id in out)
    return (
        sum(fleet.values()) - len(taken),
        sum(1 for kind in taken if kind != SHORT),
        running,
    )


def _long_slots(fleet: dict[str, int], rules: Rules) -> int:
    """How many slots are for long tasks too."""
    return max(sum(fleet.values()) - rules.short_slots, 1)


def _line() -> Prepared:
    """The accounts that have waiting tasks: one look-up in an index for each of them, however many tasks they have."""
    first = sa.select(sa.func.min(rows.c.account_id).label("id")).where(*_waiting)
    line = first.cte("line", recursive=True)
    after = sa.select(sa.func.min(rows.c.account_id)).where(*_waiting, rows.c.account_id > line.c.id)
    line = line.union_all(sa.select(after.scalar_subquery()).where(line.c.id.is_not(None)))
    return Prepared(
        sa.select(accounts.c.id, accounts.c.share, turns.c.kind, turns.c.served)
        .join(line, line.c.id == accounts.c.id)
        .outerjoin(turns, turns.c.account_id == accounts.c.id)
        .order_by(accounts.c.created, accounts.c.id)
    )


def _heads(kinds: tuple[str, ...]) -> Prepared:
    """The first task of each of an account's lines, one for each kind."""
    heads = []
    for kind in kinds:
        line = (
            *_waiting,
            rows.c.account_id == sa.bindparam("account_id"),
            rows.c.kind == sa.literal_column(f"'{kind}'"),
        )
        highest = sa.select(sa.func.max(rows.c.priority)).where(*line).scalar_subquery()
        head = sa.select(rows.c.id, rows.c.kind, rows.c.priority).where(*line, rows.c.priority == highest)
        head = head.order_by(rows.c.created, rows.c.id).limit(sa.literal_column("1")).subquery()
        heads.append(sa.select(head))
    return Prepared(sa.union_all(*heads))


_accounts_waiting, _heads_of_all, _heads_of_short = (
    _line(),
    _heads(KINDS),
    _heads((SHORT,)),
)


def _accounts_in_line(tx: sa.Connection, running: Counter[str]) -> dict[str, _Account]:
    """The accounts that have waiting tasks, and what they are running."""
    found: dict[str, _Account] = {}
    for account_id, share, kind, served in _accounts_waiting(tx):
        account = found.setdefault(account_id, _Account(share, running=running[account_id]))
        if kind:
            account.served[kind] = served
    return found


def _head(tx: sa.Connection, account_id: str, account: _Account, only: str | None) -> tuple[str, str] | None:
    """The account's next task, and its kind."""
    heads = (_heads_of_short if only else _heads_of_all)(tx, account_id=account_id)
    if not heads:
        return None
    task_id, kind, _ = min(heads, key=lambda head: (-head[2], account.served.get(head[1], 0)))
    return task_id, kind
