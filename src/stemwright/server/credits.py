"""Credits: an append-only ledger. A balance is the last row of an account's chain, never a number that is changed."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from stemwright.errors import NothingCharged, OutOfCredits
from stemwright.server import accounts
from stemwright.server.store.prepared import Prepared
from stemwright.server.store.tables import ledger as rows
from stemwright.server.store.tables import tasks

MOST_AT_ONCE = 1_000_000_000
"""The most credits that an operator gives or takes back in one go."""


@dataclass(frozen=True)
class Entry:
    """One row of the ledger; `balance` is what the account had after it."""

    id: int
    account_id: str
    sequence: int
    kind: str
    amount: int
    balance: int
    task_id: str | None
    reason: str
    created: int


# The triggers that hold the ledger, as the migrations make them.
RULES = {
    "sqlite": ("ledger_no_update", "ledger_no_delete", "ledger_no_replace", "ledger_continues", "ledger_refunds"),
    "postgresql": ("ledger_no_change", "ledger_continues"),
}
_RULES_IN_SQLITE = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'ledger'"
_RULES_IN_POSTGRESQL = (
    "SELECT tgname FROM pg_trigger WHERE tgrelid = 'ledger'::regclass AND tgenabled IN ('O', 'A') AND NOT tgisinternal"
)

_newest = Prepared(
    sa.select(rows.c.sequence, rows.c.balance)
    .where(rows.c.account_id == sa.bindparam("account_id"))
    .order_by(rows.c.sequence.desc())
    .limit(1)
)
_insert = Prepared(
    sa.insert(rows)
    .values({name: sa.bindparam(name) for name in Entry.__dataclass_fields__ if name != "id"})
    .returning(rows.c.id)
)


def balance(tx: sa.Connection, account_id: str) -> int:
    """Credits left."""
    return _last(tx, account_id)[1]


def grant(tx: sa.Connection, account_id: str, amount: int, *, reason: str = "", now: int) -> Entry:
    """Adds credits, or takes them back; raises OutOfCredits below zero, AccountNotFound and AccountClosed."""
    accounts.hold_open(tx, account_id)
    return _append(tx, account_id, "grant", amount, task_id=None, reason=reason, now=now)


def charge(tx: sa.Connection, account_id: str, amount: int, *, task_id: str, now: int) -> Entry:
    """Takes a task's price; raises OutOfCredits when the account has less."""
    return _append(tx, account_id, "charge", -amount, task_id=task_id, reason="", now=now)


def refund(tx: sa.Connection, task_id: str, *, reason: str = "", now: int) -> Entry:
    """Gives a task's price back. A second call changes nothing and returns the first one's row."""
    charged = _of_task(tx, task_id, "charge")
    if charged is None:
        raise NothingCharged(task_id=task_id)
    accounts.lock(tx, charged.account_id)
    if earlier := _of_task(tx, task_id, "refund"):
        return earlier
    return _append(tx, charged.account_id, "refund", -charged.amount, task_id=task_id, reason=reason, now=now)


def ledger(tx: sa.Connection, account_id: str, *, limit: int = 1000) -> list[Entry]:
    """The account's last rows, newest first."""
    query = sa.select(rows).where(rows.c.account_id == account_id).order_by(rows.c.sequence.desc()).limit(limit)
    return [Entry(**row) for row in tx.execute(query).mappings()]


def audit(tx: sa.Connection) -> list[str]:
    """What is wrong with the ledger, in sentences; an empty list proves that it agrees with itself and the tasks."""
    return [*_missing_rules(tx), *_broken_chains(tx), *_tasks_that_disagree(tx)]


def _append(
    tx: sa.Connection, account_id: str, kind: str, amount: int, *, task_id: str | None, reason: str, now: int
) -> Entry:
    accounts.lock(tx, account_id)
    sequence, had = _last(tx, account_id)
    if had + amount < 0:
        raise OutOfCredits(needed=-amount, balance=had)
    values = {
        "account_id": account_id,
        "sequence": sequence + 1,
        "kind": kind,
        "amount": amount,
        "balance": had + amount,
        "task_id": task_id,
        "reason": reason,
        "created": now,
    }
    row_id = _insert(tx, **values)[0][0]
    return Entry(id=row_id, **values)  # type: ignore[arg-type]


def _last(tx: sa.Connection, account_id: str) -> tuple[int, int]:
    return next(((row[0], row[1]) for row in _newest(tx, account_id=account_id)), (0, 0))


def _of_task(tx: sa.Connection, task_id: str, kind: str) -> Entry | None:
    query = sa.select(rows).where(rows.c.task_id == task_id, rows.c.kind == kind)
    row = tx.execute(query).mappings().first()
    return Entry(**row) if row else None


def _missing_rules(tx: sa.Connection) -> list[str]:
    """Triggers that keep the ledger append-only, and are not there or switched off."""
    sqlite = tx.dialect.name == "sqlite"
    found = set(tx.exec_driver_sql(_RULES_IN_SQLITE if sqlite else _RULES_IN_POSTGRESQL).scalars())
    return [f"the rule {name} of the ledger is missing" for name in RULES[tx.dialect.name] if name not in found]


def _broken_chains(tx: sa.Connection) -> list[str]:
    before = sa.func.lag(rows.c.balance, 1, 0).over(partition_by=rows.c.account_id, order_by=rows.c.sequence)
    number = sa.func.row_number().over(partition_by=rows.c.account_id, order_by=rows.c.sequence)
    chain = sa.select(rows, before.label("before"), number.label("number")).subquery()
    broken = sa.or_(
        chain.c.balance != chain.c.before + chain.c.amount, chain.c.sequence != chain.c.number, chain.c.balance < 0
    )
    return [
        f"ledger row {row.id} of account {row.account_id} does not continue its chain: "
        f"{row.before} {row.amount:+d} is not {row.balance}"
        for row in tx.execute(sa.select(chain).where(broken).order_by(chain.c.id))
    ]


def _tasks_that_disagree(tx: sa.Connection) -> list[str]:
    charged, refunded = rows.alias(), rows.alias()
    query = (
        sa.select(tasks.c.id, tasks.c.state, tasks.c.cost, charged.c.amount, refunded.c.amount.label("back"))
        .outerjoin(charged, sa.and_(charged.c.task_id == tasks.c.id, charged.c.kind == "charge"))
        .outerjoin(refunded, sa.and_(refunded.c.task_id == tasks.c.id, refunded.c.kind == "refund"))
        .where(
            sa.or_(
                charged.c.amount.is_(None),
                charged.c.amount != -tasks.c.cost,
                refunded.c.amount.is_not(None) != tasks.c.state.in_(("failed", "cancelled")),
                refunded.c.amount != tasks.c.cost,
            )
        )
    )
    return [
        f"task {row.id} ({row.state}) costs {row.cost}, but was charged {row.amount} and refunded {row.back}"
        for row in tx.execute(query)
    ]
