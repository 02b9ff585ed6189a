"""Idempotency-Key: the answer to a request is stored with what it did, and given again instead of doing it twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from stemwright.errors import IdempotencyReused, InvalidRequest, RequestRunning
from stemwright.server.store.tables import idempotency as rows

_LONGEST_KEY = 255


def key_of(headers: Mapping[str, str]) -> str | None:
    """The request's Idempotency-Key, quoted (as the IETF draft has it) or bare; raises InvalidRequest."""
    text = headers.get("idempotency-key")
    if text is None:
        return None
    key = text.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not key or len(key) > _LONGEST_KEY or not key.isprintable():
        raise InvalidRequest(field="Idempotency-Key", problem=f"must have 1 to {_LONGEST_KEY} printable characters")
    return key


class Running:
    """The idempotent requests this process is working on right now."""

    def __init__(self) -> None:
        self._held: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, account_id: str, key: str | None) -> Iterator[None]:
        """Keep others with the same key out; raises RequestRunning when one is in."""
        if key is None:
            yield
            return
        with self._lock:
            if (account_id, key) in self._held:
                raise RequestRunning
            self._held.add((account_id, key))
        try:
            yield
        finally:
            with self._lock:
                self._held.discard((account_id, key))


def stored(tx: sa.Connection, account_id: str, key: str, *, fingerprint: str, oldest: int) -> str | None:
    """The answer stored since `oldest` (epoch milliseconds); raises IdempotencyReused when the request was another."""
    mine = (rows.c.account_id == account_id, rows.c.key == key)
    row = tx.execute(sa.select(rows).where(*mine)).first()
    if row is None:
        return None
    if row.created < oldest:
        tx.execute(sa.delete(rows).where(*mine))
        return None
    if row.fingerprint != fingerprint:
        raise IdempotencyReused
    return row.answer


def store(tx: sa.Connection, account_id: str, key: str, *, fingerprint: str, answer: str, now: int) -> None:
    """Keep the answer, in the transaction that does what it says; raises RequestRunning when another was first."""
    values = {"account_id": account_id, "key": key, "fingerprint": fingerprint, "answer": answer, "created": now}
    try:
        tx.execute(sa.insert(rows).values(**values))
    except IntegrityError:
        raise RequestRunning from None
