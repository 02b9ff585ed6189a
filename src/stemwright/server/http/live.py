"""Live progress: one look at the database twice a second while anybody watches, however many they are."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from anyio import to_thread

from stemwright.server import overview
from stemwright.server.overview import Moment
from stemwright.server.store.database import Database

EVERY_SECONDS = 0.5
_REMEMBERED_MS = 60_000  # so long an ended task is told to those who look seldom
_PACE_MS = 20_000  # the time left follows from the pace of the last seconds
_FRESH_MS = 5_000  # a task may come and go between two looks

log = logging.getLogger("stemwright.http")


@dataclass(frozen=True)
class News:
    """What is told of a task: the seconds it will still take once that can be said, and its owner's tasks before it."""

    moment: Moment
    seconds_left: int | None
    ahead: int | None


@dataclass
class _Pace:
    """The last progress reports of a task, oldest first."""

    points: deque[tuple[int, float]] = field(default_factory=deque)

    def seconds_left(self, moment: Moment, now: int) -> int | None:
        """By the pace of the last seconds; None before there is one."""
        if moment.state != "separating" or moment.progress <= 0:
            return None
        if not self.points or self.points[-1][1] != moment.progress:
            self.points.append((now, moment.progress))
        while len(self.points) > 2 and self.points[0][0] < now - _PACE_MS:
            self.points.popleft()
        (since, first), (until, last) = self.points[0], self.points[-1]
        if until - since < 1000:
            return None
        left_ms = (100 - last) * (until - since) / (last - first) - (now - until)
        return max(1, round(left_ms / 1000))


class Live:
    """Tells every follower of an account what changes in its tasks."""

    def __init__(self, database: Database, *, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._followers: Counter[str] = Counter()
        self._looked_at: set[str] = set()
        self._moments: dict[str, Moment] = {}
        self._ended: dict[str, int] = {}
        self._paces: dict[str, _Pace] = {}
        self._news: dict[str, News] = {}
        self._tick = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._stopped = False

    async def follow(self, account_id: str) -> AsyncGenerator[list[News]]:
        """First every unfinished task of the account; then, after every look, what has changed (often nothing)."""
        self._followers[account_id] += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_again_and_again())
        told: dict[str, News] = {}
        try:
            while not self._stopped:
                if account_id in self._looked_at:
                    mine = {id: news for id, news in self._news.items() if news.moment.account_id == account_id}
                    yield [news for id, news in mine.items() if told.get(id) != news]
                    told = mine
                await self._tick.wait()
        finally:
            self._followers[account_id] -= 1
            self._followers += Counter()  # drops those at zero

    def stop(self) -> None:
        """Ends every stream: the server is about to stop."""
        self._stopped = True
        self._tick.set()

    async def _look_again_and_again(self) -> None:
        while self._followers and not self._stopped:
            accounts = set(self._followers)
            try:
                await to_thread.run_sync(self._look, accounts)
                self._looked_at = accounts
            except Exception as fault:  # noqa: BLE001  the database is away: the followers wait
                log.warning("the progress of tasks could not be read: %s", type(fault).__name__)
            tick, self._tick = self._tick, asyncio.Event()
            tick.set()
            await asyncio.sleep(EVERY_SECONDS)
        self._looked_at = set()

    def _look(self, accounts: set[str]) -> None:
        now = self._clock()
        known = [id for id, moment in self._moments.items() if not moment.ended]
        with self._database.read() as tx:
            seen = overview.moments(tx, accounts, known=known, since=now - _FRESH_MS)
        moments = {id: moment for id, moment in (self._moments | seen).items() if moment.account_id in accounts}
        self._ended = {id: self._ended.get(id, now) for id, moment in moments.items() if moment.ended}
        self._moments = {
            id: moment for id, moment in moments.items() if self._ended.get(id, now) > now - _REMEMBERED_MS
        }
        self._paces = {id: self._paces.get(id, _Pace()) for id, moment in self._moments.items() if not moment.ended}
        self._news = self._told(now)

    def _told(self, now: int) -> dict[str, News]:
        before: Counter[str] = Counter()
        news: dict[str, News] = {}
        for id, moment in sorted(self._moments.items(), key=lambda item: item[1].created):
            if moment.ended:
                news[id] = News(moment, None, None)
                continue
            ahead = before[moment.account_id] if moment.state == "queued" else None
            news[id] = News(moment, self._paces[id].seconds_left(moment, now), ahead)
            before[moment.account_id] += 1
        return news
