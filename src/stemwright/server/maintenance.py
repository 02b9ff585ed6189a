"""The maintenance switch: while it is on, the API answers 455 and running tasks go on."""

from __future__ import annotations

import sqlalchemy as sa

from stemwright.errors import UnderMaintenance
from stemwright.server.store.prepared import Prepared
from stemwright.server.store.tables import switches

_since = Prepared(sa.select(switches.c.since).where(switches.c.name == sa.bindparam("name")))


def switch(tx: sa.Connection, *, on: bool, now: int) -> None:
    """Turns maintenance on or off."""
    tx.execute(sa.delete(switches).where(switches.c.name == "maintenance"))
    if on:
        tx.execute(sa.insert(switches).values(name="maintenance", value="on", since=now))


def since(tx: sa.Connection) -> int | None:
    """When maintenance began (epoch milliseconds); None when there is none."""
    return next((row[0] for row in _since(tx, name="maintenance")), None)


def refuse(tx: sa.Connection) -> None:
    """Raises UnderMaintenance while it is on."""
    if since(tx) is not None:
        raise UnderMaintenance
