"""Backup of a data folder in use: its database as of one moment, and the blobs that this database knows."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import exc

from stemwright.errors import BackupElsewhere, BackupNotEmpty, CannotBackUp
from stemwright.server.settings import Settings
from stemwright.server.store.blobs import Folder, open_blobs
from stemwright.server.store.database import Database, begin_file
from stemwright.server.store.tables import stems, tasks, tracks


def back_up(settings: Settings, target: Path) -> dict[str, int]:
    """Copies the data folder into `target`, which is then a data folder itself; returns how many blobs and bytes.

    The database comes first: whatever it owns is stored by then, and what is stored later is none of its business.
    Raises BackupElsewhere for a database or a store that is no folder, BackupNotEmpty, CannotBackUp.
    """
    blobs, source = open_blobs(settings.blobs), sa.make_url(settings.database)
    if source.get_backend_name() != "sqlite" or not isinstance(blobs, Folder):
        raise BackupElsewhere
    try:
        if target.exists() and any(target.iterdir()):
            raise BackupNotEmpty(path=target)
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _gone_unless_whole(target):
            sizes = _copy(source.database or "", blobs, target)
    except (OSError, sqlite3.Error, exc.DatabaseError) as error:
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        reason = getattr(error, "strerror", None) or getattr(error, "orig", None) or error
        raise CannotBackUp(path=target, reason=f"{reason}{where}") from error
    return {"blobs": len(sizes), "bytes": sum(sizes)}


@contextmanager
def _gone_unless_whole(target: Path) -> Iterator[None]:
    """Empties the folder when the copy fails or is interrupted: nobody takes half of one for a backup."""
    try:
        yield
    except BaseException:
        for left in target.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        raise


def _copy(database: str, blobs: Folder, target: Path) -> list[int]:
    begin_file(target / "stemwright.db")
    with closing(sqlite3.connect(database)) as live, closing(sqlite3.connect(target / "stemwright.db")) as copy:
        live.backup(copy)
    copies = Folder(target / "blobs")
    copied = Database(f"sqlite:///{target / 'stemwright.db'}")
    try:
        return [_copied(blobs, copies, name) for name in owned(copied)]
    finally:
        copied.dispose()


def owned(database: Database) -> list[str]:
    """The blobs that the rows of this database answer for."""
    kept = tasks.c.gone.is_(None)
    queries = (
        sa.select(stems.c.blob).join(tasks, tasks.c.id == stems.c.task_id).where(kept),
        sa.select(tracks.c.blob).where(tracks.c.gone.is_(None)),
        sa.select(tasks.c.peaks).where(kept, tasks.c.peaks.is_not(None)),
        sa.select(tasks.c.mix).where(kept, tasks.c.mix.is_not(None)),
        sa.select(tasks.c.source).where(tasks.c.completed.is_(None), tasks.c.source.is_not(None)),
    )
    with database.read() as tx:
        return sorted({name for query in queries for name in tx.execute(query).scalars()})


def _copied(source: Folder, target: Folder, name: str) -> int:
    path = target.path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source.path(name), path)
    except FileNotFoundError:
        return 0  # its time was over meanwhile: the copy will find that out too
    return path.stat().st_size
