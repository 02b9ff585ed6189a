"""The schema's history, and the functions that bring a database to its end or refuse it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from stemwright.errors import DataTooNew, DataTooOld
from stemwright.server.store.database import Database, take_time

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0013"


def version(database: Database) -> str | None:
    """The schema's number in this database; None when it is empty."""
    with database.read() as tx:
        if not sa.inspect(tx).has_table("alembic_version"):
            return None
        return tx.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()


def is_ahead(found: str | None) -> bool:
    """Whether a newer version of Stemwright has written a schema."""
    return found is not None and found > HEAD


def check(database: Database) -> None:
    """Raises DataTooNew or DataTooOld unless the database has exactly this version's schema."""
    found = version(database)
    if is_ahead(found):
        raise DataTooNew(found=found, known=HEAD)
    if found != HEAD:
        raise DataTooOld(found=found or "none", known=HEAD)


def migrate(database: Database) -> None:
    """Brings the schema forward to this version's; raises DataTooNew and changes nothing when it is ahead."""
    found = version(database)
    if found == HEAD:
        return
    if is_ahead(found):
        raise DataTooNew(found=found, known=HEAD)
    from alembic import command  # loaded only when there is something to do: it costs a quarter of a second

    with database.transaction() as tx:
        if not database.sqlite:
            take_time(tx)
            tx.exec_driver_sql("SELECT pg_advisory_xact_lock(7133501)")  # two processes start at once
        command.upgrade(config(tx), "head")


def config(tx: sa.Connection) -> Config:
    """What Alembic needs to know to work in this transaction."""
    from alembic.config import Config

    found = Config()
    found.set_main_option("script_location", "stemwright.server.store:migrations")
    found.attributes["connection"] = tx
    return found
