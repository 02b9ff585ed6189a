"""Accounts: who owns keys, credits, tracks and tasks."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from stemwright.errors import AccountClosed, AccountExists, AccountNotFound
from stemwright.server.store.prepared import Prepared
from stemwright.server.store.tables import accounts

ADMIN = "admin"  # the operator's own, which the first start makes


@dataclass(frozen=True)
class Account:
    """One account; `webhook_secret` signs its callbacks."""

    id: str
    name: str
    webhook_secret: str
    created: int
    share: int = 1  # how many slots of the fleet for each one of an account with share 1
    closed: int | None = None  # since when it takes nothing any more


_get = Prepared(
    sa.select(*(accounts.c[name] for name in Account.__dataclass_fields__)).where(accounts.c.id == sa.bindparam("id"))
)
_lock = Prepared(
    sa.select(accounts.c.name, accounts.c.closed).where(accounts.c.id == sa.bindparam("id")).with_for_update()
)


def create(tx: sa.Connection, name: str, *, now: int) -> Account:
    """Stores a new account; raises AccountExists when the name is taken."""
    if tx.execute(sa.select(accounts.c.id).where(accounts.c.name == name)).first():
        raise AccountExists(name=name)
    account = Account(id=secrets.token_hex(16), name=name, webhook_secret=_new_secret(), created=now)
    try:
        tx.execute(sa.insert(accounts).values(**vars(account)))
    except IntegrityError:  # another one's was not committed when we looked
        raise AccountExists(name=name) from None
    return account


def get(tx: sa.Connection, account_id: str) -> Account:
    """The account with this id; raises AccountNotFound."""
    for row in _get(tx, id=account_id):
        return Account(*row)
    raise AccountNotFound(name=account_id)


def by_name(tx: sa.Connection, name: str) -> Account:
    """The account with this name; raises AccountNotFound."""
    row = tx.execute(sa.select(accounts).where(accounts.c.name == name)).mappings().first()
    if row is None:
        raise AccountNotFound(name=name)
    return Account(**row)


def listing(tx: sa.Connection) -> list[Account]:
    """Every account, oldest first."""
    return [Account(**row) for row in tx.execute(sa.select(accounts).order_by(accounts.c.created)).mappings()]


def renew_secret(tx: sa.Connection, account_id: str) -> str:
    """A new webhook secret, valid from the next callback on; returns it. Raises AccountNotFound."""
    get(tx, account_id)
    secret = _new_secret()
    tx.execute(sa.update(accounts).where(accounts.c.id == account_id).values(webhook_secret=secret))
    return secret


def set_share(tx: sa.Connection, account_id: str, share: int) -> None:
    """Gives the account so many slots of the fleet for each one of an account with share 1."""
    tx.execute(sa.update(accounts).where(accounts.c.id == account_id).values(share=share))


def lock(tx: sa.Connection, account_id: str) -> None:
    """Makes other transactions about this account wait (PostgreSQL; SQLite has one writer anyway)."""
    _locked(tx, account_id)


def hold_open(tx: sa.Connection, account_id: str) -> None:
    """Locks the account, so that nobody closes it before the transaction is over; raises AccountClosed where somebody
    has, and AccountNotFound. Whatever adds to an account does this first."""
    name, closed = _locked(tx, account_id)
    if closed is not None:
        raise AccountClosed(name=name)


def _locked(tx: sa.Connection, account_id: str) -> Sequence[Any]:
    for row in _lock(tx, id=account_id):
        return row
    raise AccountNotFound(name=account_id)


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
