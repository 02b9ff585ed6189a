"""Connections to PostgreSQL that are given up when its server says nothing; loaded on use, as the driver is.

By itself the driver waits for as long as the server's system keeps the line: for ever, where the server is stopped, its
disk hangs, or a pooler in between does.
"""

from __future__ import annotations

import math
import time
from typing import Any

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import ConnectionTimeout

ANSWER_SECONDS = 10.0  # for the server to say something, once it was asked; its own limits are in database.py
HOPELESS_SECONDS = 1.0  # after a connection that was waited for in vain, nobody waits for another


class Impatient(psycopg.Connection[Any]):
    """A connection whose server has to answer in time, as long as it is a pool's."""

    answer_seconds: float = ANSWER_SECONDS

    def wait(self, gen: PQGen[Any], *args: Any, **kwargs: Any) -> Any:
        """The driver's, which every statement and every commit goes through."""
        return super().wait(self._in_time(gen), *args, **kwargs)

    def _in_time(self, gen: PQGen[Any]) -> PQGen[Any]:
        heard = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard = time.monotonic()
                elif time.monotonic() - heard > self.answer_seconds:
                    self.pgconn.finish()  # or the pool would ask it again
                    raise psycopg.OperationalError(f"the server did not answer in {self.answer_seconds:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


class Door:
    """Opens connections; while nobody opens to us, those who stand in line hear so at once."""

    def __init__(self) -> None:
        self._hopeless_until = -math.inf

    def open(self, _dialect: object, _record: object, args: list[Any], kwargs: dict[str, Any]) -> Impatient:
        """A new connection; raises what the driver does."""
        if time.monotonic() < self._hopeless_until:
            raise ConnectionTimeout("connection timeout expired a moment ago")
        try:
            return Impatient.connect(*args, **kwargs)
        except ConnectionTimeout:
            self._hopeless_until = time.monotonic() + HOPELESS_SECONDS
            raise


def let_wait(connection: Impatient, _record: object) -> None:
    """For one that is taken out of its pool: it listens for what may never be said, or does the work of hours."""
    connection.answer_seconds = math.inf
