"""Accounts: who owns keys, credits, tracks and tasks."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from stemwright.errors import AccountExists, AccountNotFound
from stemwright.server.store.prepared import Prepared
from stemwright.server.store.tables import accounts


@dataclass(frozen=True)
class Account:
    """One account; `webhook_secret` signs its callbacks."""

    id: str
    name: str
    webhook_secret: str
    created: int


_lock = Prepared(sa.select(accounts.c.id).where(accounts.c.id == sa.bindparam("id")).with_for_update())


def create(tx: sa.Connection, name: str, *, now: int) -> Account:
    """Stores a new account; raises AccountExists when the name is taken."""
    if tx.execute(sa.select(accounts.c.id).where(accounts.c.name == name)).first():
        raise AccountExists(name=name)
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    account = Account(id=secrets.token_hex(16), name=name, webhook_secret=secret, created=now)
    tx.execute(sa.insert(accounts).values(**vars(account)))
    return account


def get(tx: sa.Connection, account_id: str) -> Account:
    """The account with this id; raises AccountNotFound."""
    return _one(tx, accounts.c.id == account_id, account_id)


def by_name(tx: sa.Connection, name: str) -> Account:
    """The account with this name; raises AccountNotFound."""
    return _one(tx, accounts.c.name == name, name)


def listing(tx: sa.Connection) -> list[Account]:
    """Every account, oldest first."""
    return [Account(**row) for row in tx.execute(sa.select(accounts).order_by(accounts.c.created)).mappings()]


def lock(tx: sa.Connection, account_id: str) -> None:
    """Makes other transactions about this account wait (PostgreSQL; SQLite has one writer anyway)."""
    if not _lock(tx, id=account_id):
        raise AccountNotFound(name=account_id)


def _one(tx: sa.Connection, where: sa.ColumnElement[bool], name: str) -> Account:
    row = tx.execute(sa.select(accounts).where(where)).mappings().first()
    if row is None:
        raise AccountNotFound(name=name)
    return Account(**row)
