"""Sessions of the console: a random secret in a cookie stands for a key, for some hours and while the key is valid."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from stemwright.errors import NotSignedIn
from stemwright.server.keys import Principal, hashed, principal_of
from stemwright.server.store.tables import keys
from stemwright.server.store.tables import sessions as rows


@dataclass(frozen=True)
class Session:
    """Who is signed in, until when, and the word that every request which changes something has to repeat."""

    principal: Principal
    expires: int
    csrf: str


def begin(tx: sa.Connection, key_id: str, *, seconds: float, now: int) -> str:
    """Stores a new session of the key; returns its secret, which is nowhere kept. Forgets those that are over."""
    tx.execute(sa.delete(rows).where(rows.c.expires <= now))
    secret = secrets.token_urlsafe(32)
    values = {"hash": hashed(secret), "key_id": key_id, "created": now, "expires": now + int(seconds * 1000)}
    tx.execute(sa.insert(rows).values(**values))
    return secret


def find(tx: sa.Connection, secret: str, *, address: str, now: int) -> Session:
    """The session with this secret; raises NotSignedIn when it or its key has ended, or is not for this address."""
    query = (
        sa.select(keys, rows.c.expires.label("until"))
        .join(keys, keys.c.id == rows.c.key_id)
        .where(
            rows.c.hash == hashed(secret),
            rows.c.expires > now,
            sa.or_(keys.c.revoked.is_(None), keys.c.revoked > now),
            sa.or_(keys.c.expires.is_(None), keys.c.expires > now),
        )
    )
    row = tx.execute(query).mappings().first()
    if row is None or not (who := principal_of(row)).is_welcome(address):
        raise NotSignedIn
    return Session(who, row["until"], csrf_of(secret))


def end(tx: sa.Connection, secret: str) -> None:
    """Signs out; no error when the session is over already."""
    tx.execute(sa.delete(rows).where(rows.c.hash == hashed(secret)))


def csrf_of(secret: str) -> str:
    """What a page of ours can know and a page of others cannot: derived, so that it needs no storing."""
    return hashlib.sha256(f"csrf {secret}".encode()).hexdigest()
