"""API keys: 256 random bits, shown once, stored as a hash."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from stemwright.errors import InvalidKey, KeyEnded, KeyNotFound, KeyRevoked
from stemwright.server import accounts
from stemwright.server.network import is_within, parse_networks
from stemwright.server.store.tables import keys

PREFIX = "sw_"
_LONGEST_NETWORKS = 1000
USED_RESOLUTION = 60_000  # ms: writing the time of every use would make each read a write


@dataclass(frozen=True)
class Key:
    """One key as stored; the secret itself is not."""

    id: str
    account_id: str
    name: str
    hint: str
    dialect: str
    scopes: tuple[str, ...]
    created: int
    expires: int | None
    revoked: int | None
    used: int | None
    networks: str = ""


@dataclass(frozen=True)
class Principal:
    """Who is calling, as far as a valid key says; `networks` are those that the key is good in, all when empty."""

    account_id: str
    key_id: str
    dialect: str
    scopes: tuple[str, ...]
    networks: str = ""

    def is_welcome(self, address: str) -> bool:
        """Whether the key may be used from this address."""
        return not self.networks or is_within(address, parse_networks(self.networks))


def networks_of(text: str) -> str:
    """The networks of a comma-separated list as they are stored; ValueError when one is none, or there are too many."""
    found = ",".join(dict.fromkeys(map(str, parse_networks(text))))
    if len(found) > _LONGEST_NETWORKS:
        raise ValueError(f"too many networks: their list is longer than {_LONGEST_NETWORKS} characters")
    return found


def is_inside(networks: str, others: str) -> bool:
    """Whether whoever is in one of `networks` is in one of the `others`; both as networks_of, and not empty."""
    wide = parse_networks(others)
    return bool(networks) and all(
        any(each.version == other.version and each.subnet_of(other) for other in wide)  # type: ignore[arg-type]
        for each in parse_networks(networks)
    )


def create(
    tx: sa.Connection,
    account_id: str,
    *,
    name: str = "",
    dialect: str = "apikley",
    scopes: Iterable[str] = ("api",),
    expires: int | None = None,
    networks: str = "",
    now: int,
) -> tuple[Key, str]:
    """Stores a new key of the account; returns it with its secret, which is nowhere kept. `networks` as networks_of.

    Raises AccountClosed.
    """
    accounts.hold_open(tx, account_id)
    secret = PREFIX + secrets.token_urlsafe(32)
    key = Key(
        id=secrets.token_hex(16),
        account_id=account_id,
        name=name,
        hint=secret[:8],
        dialect=dialect,
        scopes=tuple(scopes),
        created=now,
        expires=expires,
        revoked=None,
        used=None,
        networks=networks,
    )
    tx.execute(sa.insert(keys).values(**vars(key) | {"scopes": " ".join(key.scopes), "hash": hashed(secret)}))
    return key, secret


def verify(tx: sa.Connection, secret: str, *, now: int) -> Principal:
    """Who holds this secret; raises InvalidKey when it is unknown, revoked or expired."""
    # Looked up by the hash of 256 random bits: comparing it in an index leaks nothing that could be guessed from.
    row = tx.execute(sa.select(keys).where(keys.c.hash == hashed(secret))).mappings().first()
    if row is None or _ended(row["revoked"], now) or _ended(row["expires"], now):
        raise InvalidKey
    return principal_of(row)


def principal_of(row: sa.RowMapping) -> Principal:
    """Who the holder of the key in this row is."""
    return Principal(row["account_id"], row["id"], row["dialect"], tuple(row["scopes"].split()), row["networks"])


def touch(tx: sa.Connection, key_id: str, *, now: int) -> None:
    """Notes that the key was used, at most once a minute."""
    stale = sa.or_(keys.c.used.is_(None), keys.c.used < now - USED_RESOLUTION)
    tx.execute(sa.update(keys).where(keys.c.id == key_id, stale).values(used=now))


def get(tx: sa.Connection, key_id: str) -> Key:
    """The key with this id; raises KeyNotFound."""
    row = tx.execute(sa.select(keys).where(keys.c.id == key_id)).mappings().first()
    if row is None:
        raise KeyNotFound(key=key_id)
    return _key(row)


def listing(tx: sa.Connection, account_id: str | None = None) -> list[Key]:
    """The keys of one account, or of all, oldest first."""
    query = sa.select(keys).order_by(keys.c.created, keys.c.id)
    if account_id is not None:
        query = query.where(keys.c.account_id == account_id)
    return [_key(row) for row in tx.execute(query).mappings()]


def rotate(
    tx: sa.Connection,
    key_id: str,
    *,
    overlap_ms: int = 0,
    expires: int | None = None,
    networks: str | None = None,
    now: int,
) -> tuple[Key, str]:
    """A new key like this one but for what is given; the old one stays valid for `overlap_ms`.

    Raises KeyNotFound, KeyRevoked, AccountClosed, and KeyEnded where the new one would be past the old one's end.
    """
    old = get(tx, key_id)
    if _ended(old.revoked, now):
        raise KeyRevoked(key=key_id)
    ends = old.expires if expires is None else expires
    if _ended(ends, now):
        raise KeyEnded(key=key_id)
    accounts.hold_open(tx, old.account_id)  # before its key: who closes it takes them in this order
    tx.execute(sa.update(keys).where(keys.c.id == key_id, keys.c.revoked.is_(None)).values(revoked=now + overlap_ms))
    return create(
        tx,
        old.account_id,
        name=old.name,
        dialect=old.dialect,
        scopes=old.scopes,
        expires=ends,
        networks=old.networks if networks is None else networks,
        now=now,
    )


def revoke(tx: sa.Connection, key_id: str, *, now: int) -> Key:
    """Ends the key at once; raises KeyNotFound."""
    get(tx, key_id)
    still_valid = sa.or_(keys.c.revoked.is_(None), keys.c.revoked > now)
    tx.execute(sa.update(keys).where(keys.c.id == key_id, still_valid).values(revoked=now))
    return get(tx, key_id)


def hashed(secret: str) -> str:
    """What is stored of a secret. It is random, so a plain hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _ended(at: int | None, now: int) -> bool:
    return at is not None and at <= now


def _key(row: Any) -> Key:
    fields: dict[str, Any] = {name: row[name] for name in Key.__dataclass_fields__}
    fields["scopes"] = tuple(row["scopes"].split())
    return Key(**fields)
