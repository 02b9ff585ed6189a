"""Who is calling: from the header to a principal, remembered for half a second."""

from __future__ import annotations

from collections.abc import Mapping

from stemwright.errors import InvalidKey, NotSignedIn
from stemwright.server import keys, sessions
from stemwright.server.http.limits import Guesses
from stemwright.server.keys import Principal
from stemwright.server.store.database import Database

# A revoked key must stop working within a second; until then a busy client's key is looked up only twice a second.
_REMEMBERED_MS = 500
_MOST_REMEMBERED = 10_000
_AND = "+"  # no key of ours has one
_COOKIES_FOR_A_KEY = 10  # an open page sends the cookie of its ended session more often than a person types a wrong key


def secret_of(headers: Mapping[str, str]) -> str:
    """The key that a request carries, as `Authorization: Bearer` or `X-API-Key`; raises InvalidKey without one."""
    secret = _sent(headers).partition(_AND)[0]
    if not secret:
        raise InvalidKey
    return secret


def upstream_secret_of(headers: Mapping[str, str]) -> str:
    """The caller's own key for the upstream, empty without one: from `X-Upstream-Authorization: Bearer`, or what stands
    behind a `+` in the one key that a client may be able to send."""
    return _bearer(headers.get("x-upstream-authorization", "")) or _sent(headers).partition(_AND)[2]


def _sent(headers: Mapping[str, str]) -> str:
    return _bearer(headers.get("authorization", "")) or headers.get("x-api-key", "").strip()


def _bearer(field: str) -> str:
    scheme, _, secret = field.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


class Gate:
    """Turns secrets into principals and sessions, and notes now and then that a key is in use."""

    def __init__(self, database: Database, *, wrong_keys: int) -> None:
        self._database = database
        self._guesses = Guesses(wrong_keys)
        self._stale = Guesses(wrong_keys * _COOKIES_FOR_A_KEY)  # apart: they must not keep the right key out
        self._known: dict[str, tuple[Principal, int]] = {}
        self._noted: dict[str, int] = {}
        self._sessions: set[str] = set()  # hashes of those that were right before

    def principal(self, secret: str, *, address: str, now: int) -> Principal:
        """Who holds this secret; raises InvalidKey, and TooFrequent where too many wrong ones come from."""
        hashed = keys.hashed(secret)
        known = self._known.get(hashed)
        if known is None:  # a key that was right before is no guess, whatever its neighbours do
            self._guesses.refuse(address, now=now)
        if known is None or known[1] <= now:
            known = self._looked_up(hashed, secret, address=address, now=now), now + _REMEMBERED_MS
        if not known[0].is_welcome(address):
            raise InvalidKey
        return known[0]

    def session(self, secret: str, *, address: str, now: int) -> sessions.Session:
        """The session with this secret; raises NotSignedIn, and TooFrequent where too many wrong ones come from."""
        is_guess = keys.hashed(secret) not in self._sessions
        if is_guess:
            self._stale.refuse(address, now=now)
        try:
            with self._database.read() as tx:
                found = sessions.find(tx, secret, address=address, now=now)
        except NotSignedIn:
            if is_guess:
                self._stale.count(address, now=now)
            raise
        self.remember(secret)
        return found

    def remember(self, secret: str) -> None:
        """This session's secret is right: when it is over, whoever still sends it does not guess."""
        if len(self._sessions) >= _MOST_REMEMBERED:
            self._sessions.clear()
        self._sessions.add(keys.hashed(secret))

    def _looked_up(self, hashed: str, secret: str, *, address: str, now: int) -> Principal:
        self._known.pop(hashed, None)
        try:
            with self._database.read() as tx:
                found = keys.verify(tx, secret, now=now)
        except InvalidKey:
            self._guesses.count(address, now=now)
            raise
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[hashed] = (found, now + _REMEMBERED_MS)
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
