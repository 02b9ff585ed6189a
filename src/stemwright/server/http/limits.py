"""How much one account may ask for: creates, counted in the database; calls of any kind, counted in this process."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from threading import Lock

import sqlalchemy as sa
from anyio import CapacityLimiter

from stemwright.errors import RateLimited, TooFrequent, TooManyUploads
from stemwright.server import tasks
from stemwright.server.network import plain_address
from stemwright.server.settings import Settings

_MOST_ADDRESSES = 20_000


@dataclass
class Burst:
    """A token bucket for each account: `rate` calls a second, as many at once."""

    rate: int
    _buckets: dict[str, tuple[float, int]] = field(default_factory=dict)

    def take(self, account_id: str, *, now: int) -> None:
        """Count one call; raises TooFrequent when the bucket is empty."""
        tokens, since = self._buckets.get(account_id, (float(self.rate), now))
        tokens = min(self.rate, tokens + abs(now - since) * self.rate / 1000)  # a clock that was set back fills it too
        if tokens < 1:
            raise TooFrequent
        self._buckets[account_id] = (tokens - 1, now)


@dataclass
class Guesses:
    """Wrong secrets, counted by the address they come from: `most` in a minute, then none is looked up for a while."""

    most: int
    _counted: dict[str, tuple[float, int]] = field(default_factory=dict)
    _counting: Lock = field(default_factory=Lock)

    def refuse(self, address: str, *, now: int) -> None:
        """Raises TooFrequent while the address has guessed too often."""
        if self._heat(_neighbourhood(address), now) > self.most - 1:  # no room for another
            raise TooFrequent

    def count(self, address: str, *, now: int) -> None:
        """Take note of a wrong one."""
        place = _neighbourhood(address)
        with self._counting:  # or a thread clears while another one counts
            heat = self._heat(place, now) + 1
            if len(self._counted) >= _MOST_ADDRESSES:
                self._counted = {each: seen for each, seen in self._counted.items() if self._heat(each, now) > 0}
            if len(self._counted) >= _MOST_ADDRESSES:  # an attack from everywhere: its oldest half is forgotten
                self._counted = dict(list(self._counted.items())[_MOST_ADDRESSES // 2 :])
            self._counted[place] = (heat, now)

    def _heat(self, place: str, now: int) -> float:
        heat, since = self._counted.get(place, (0.0, now))
        return max(0.0, heat - abs(now - since) * self.most / 60_000)


class Held:
    """Bodies on their way: `most` bytes in all, and `largest` for one account, which is also what one body may have."""

    def __init__(self, most: float, *, largest: int) -> None:
        self.most, self.largest = most, largest
        self._of: Counter[str] = Counter()
        self._counting = Lock()

    def take(self, account_id: str, count: int) -> None:
        """Count some more bytes; raises TooManyUploads when there is no room for them."""
        with self._counting:
            if self._of.total() + count > self.most or self._of[account_id] + count > self.largest:
                raise TooManyUploads
            self._of[account_id] += count

    def give_back(self, account_id: str, count: int) -> None:
        """They are held no more."""
        with self._counting:
            self._of[account_id] -= count
            self._of += Counter()  # whoever holds nothing is forgotten

    def held(self, account_id: str) -> int:
        """How much the account holds."""
        return self._of[account_id]


def _neighbourhood(address: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 one: whoever has one of those has them all."""
    found = plain_address(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Address(int(found) >> 64 << 64))
    return str(found)


class Seats:
    """Threads for what waits for slow sources: `most` at once, half of them for one account, whose others wait."""

    def __init__(self, most: int) -> None:
        self.limiter, self._each = CapacityLimiter(most), most // 2
        self._of: dict[str, CapacityLimiter] = {}

    @asynccontextmanager
    async def of(self, account_id: str) -> AsyncIterator[None]:
        """Until there is room for one more of the account."""
        own = self._of.setdefault(account_id, CapacityLimiter(self._each))
        try:
            async with own:
                yield
        finally:
            waiting = own.statistics().tasks_waiting
            if not own.borrowed_tokens and not waiting and self._of.get(account_id) is own:
                del self._of[account_id]


@dataclass(frozen=True)
class Quota:
    """What is left of an account's creates in the window that ends now."""

    limit: int
    window_seconds: int
    left: int
    reset_seconds: int

    @property
    def fields(self) -> dict[str, str]:
        """The IETF header fields (draft-ietf-httpapi-ratelimit-headers-10)."""
        return {
            "RateLimit-Policy": f'"create";q={self.limit};w={self.window_seconds}',
            "RateLimit": f'"create";r={self.left};t={self.reset_seconds}',
        }


class Creates:
    """The limit on creates: the tasks an account has stored in the last seconds, whichever process took them."""

    def __init__(self, settings: Settings) -> None:
        self._limit = settings.rate_limit_creates
        self._window = settings.rate_limit_seconds
        self._closed_until: dict[str, int] = {}

    def refuse_closed(self, account_id: str, *, now: int) -> None:
        """Raises RateLimited while the account is known to be over its limit: no flood reaches the database."""
        until = self._closed_until.get(account_id, 0)
        if now < until <= now + self._window * 1000:  # later than that: the clock was set back meanwhile
            raise self._limited(until - now)

    def take(self, tx: sa.Connection, account_id: str, *, now: int) -> Quota:
        """What will be left after this create; raises RateLimited when nothing was left for it."""
        left, reset_ms = self._counted(tx, account_id, now)
        if not left:
            self._closed_until[account_id] = now + reset_ms
            raise self._limited(reset_ms)
        return Quota(self._limit, self._window, left - 1, _seconds(reset_ms))

    def left(self, tx: sa.Connection, account_id: str, *, now: int) -> Quota:
        """What is left to an account that creates nothing right now."""
        left, reset_ms = self._counted(tx, account_id, now)
        return Quota(self._limit, self._window, left, _seconds(reset_ms))

    def used_up(self, fault: RateLimited) -> Quota:
        """The quota of an account that was refused with this: nothing is left until it may come back."""
        return Quota(self._limit, self._window, 0, int(str(fault.fields["retry_after"])))

    def _counted(self, tx: sa.Connection, account_id: str, now: int) -> tuple[int, int]:
        """How many creates are left, and the milliseconds until one more is."""
        times = tasks.created_around(tx, account_id, now, window_ms=self._window * 1000)
        reset_ms = times[-self._limit :][0] + self._window * 1000 - now if times else self._window * 1000
        return max(0, self._limit - len(times)), reset_ms

    def _limited(self, reset_ms: int) -> RateLimited:
        return RateLimited(limit=self._limit, window=self._window, retry_after=_seconds(reset_ms))


def _seconds(milliseconds: int) -> int:
    return max(1, math.ceil(milliseconds / 1000))
