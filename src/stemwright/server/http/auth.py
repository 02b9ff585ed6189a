"""Who is calling: from the header to a principal, remembered for half a second."""

from __future__ import annotations

from collections.abc import Mapping

from stemwright.errors import InvalidKey
from stemwright.server import keys
from stemwright.server.keys import Principal
from stemwright.server.store.database import Database

# A revoked key must stop working within a second; until then a busy client's key is looked up only twice a second.
_REMEMBERED_MS = 500
_MOST_REMEMBERED = 10_000


def secret_of(headers: Mapping[str, str]) -> str:
    """The key that a request carries, as `Authorization: Bearer` or `X-API-Key`; raises InvalidKey without one."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    secret = secret.strip() if scheme.lower() == "bearer" else ""
    secret = secret or headers.get("x-api-key", "").strip()
    if not secret:
        raise InvalidKey
    return secret


class Gate:
    """Turns secrets into principals, and notes now and then that a key is in use."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[Principal, int]] = {}
        self._noted: dict[str, int] = {}

    def principal(self, secret: str, *, now: int) -> Principal:
        """Who holds this secret; raises InvalidKey."""
        known = self._known.get(secret)
        if known and known[1] > now:
            return known[0]
        self._known.pop(secret, None)
        with self._database.read() as tx:
            found = keys.verify(tx, secret, now=now)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[secret] = (found, now + _REMEMBERED_MS)
        return found

    def due(self, key_id: str, *, now: int) -> bool:
        """Whether the use of this key should be noted now; true at most once a minute for each key."""
        if now - self._noted.get(key_id, -keys.USED_RESOLUTION) < keys.USED_RESOLUTION:
            return False
        self._noted[key_id] = now
        return True

    def note(self, key_id: str, *, now: int) -> None:
        """Note the use of a key; done after the answer has gone out, because it writes."""
        with self._database.transaction() as tx:
            keys.touch(tx, key_id, now=now)
