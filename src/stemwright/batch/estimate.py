"""How far a whole batch is and how long it will still take, learned from the songs that were really separated."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN_SECONDS = 210.0
"""What a song counts whose length nobody knows yet, until some are known."""


@dataclass(frozen=True)
class Whole:
    """A batch under way: songs ended of all, the fraction of the work, the seconds left once they can be told."""

    ended: int
    songs: int
    fraction: float
    seconds_left: float | None


class Estimate:
    """Songs count by their length; what is skipped or fails counts nothing: it neither hurries nor slows the clock."""

    def __init__(self, songs: int) -> None:
        self._songs = songs
        self._seconds: dict[int, float | None] = {}
        self._fractions: dict[int, float] = {}
        self._free: set[int] = set()
        self._ended: set[int] = set()
        self._started: float | None = None

    def surveyed(self, song: int, seconds: float | None, *, free: bool = False) -> None:
        """A song's length, or that there is nothing to do for it."""
        self._seconds[song] = seconds
        if free:
            self._free.add(song)

    def at(self, song: int, fraction: float, now: float) -> None:
        """How far one song is."""
        self._started = now if self._started is None else self._started
        self._fractions[song] = fraction

    def end(self, song: int, *, separated: bool) -> None:
        """The song is over, one way or the other."""
        self._ended.add(song)
        self._fractions[song] = 1.0
        if not separated:
            self._free.add(song)

    def whole(self, now: float) -> Whole:
        """What can be said now: the speed so far goes on."""
        usual = self._usual()
        work = {song: seconds or usual for song, seconds in self._seconds.items() if song not in self._free}
        done = sum(weight * self._fractions.get(song, 0.0) for song, weight in work.items())
        unknown = self._songs - len(self._seconds)
        busy_share = len(work) / len(self._seconds) if self._seconds else 1.0
        total = sum(work.values()) + unknown * busy_share * usual
        fraction = done / total if total else 1.0
        spent = 0.0 if self._started is None else now - self._started
        left = spent * (total - done) / done if done and spent else None
        return Whole(len(self._ended), self._songs, min(1.0, fraction), left)

    def _usual(self) -> float:
        known = [seconds for seconds in self._seconds.values() if seconds]
        return sum(known) / len(known) if known else UNKNOWN_SECONDS
