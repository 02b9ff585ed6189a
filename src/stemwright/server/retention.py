"""Retention: files are kept for their time; then the bytes go and the rows stay, to tell clients what happened."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import sqlalchemy as sa

from stemwright.server import arrivals, tracks
from stemwright.server.settings import Settings
from stemwright.server.store.blobs import Blobs
from stemwright.server.store.database import Database
from stemwright.server.store.tables import idempotency, stems, tasks

BATCH = 500
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
T = TypeVar("T")
_TASK_ID = re.compile("[0-9a-f]{32}")


def purge(database: Database, blobs: Blobs, settings: Settings, *, now: int) -> dict[str, int]:
    """Deletes everything whose time is over; returns how many of each kind."""
    found = {
        **purge_files(database, blobs, now=now),
        "answers": _purge_answers(database, now - int(settings.idempotency_hours * HOUR_MS)),
        "folders": clear_folders(database, settings),
        "arrivals": _purge_arrivals(database, blobs, now - DAY_MS),
    }
    blobs.clear_probe()
    return found


def purge_files(database: Database, blobs: Blobs, *, account_id: str | None = None, now: int) -> dict[str, int]:
    """Deletes the songs and stems, of one account or of all, whose time is over and that no unfinished task needs."""
    mine = {"account_id": account_id, "now": now}
    return {"tracks": _purge_tracks(database, blobs, **mine), "tasks": _purge_tasks(database, blobs, **mine)}


def due(settings: Settings, *, now: int) -> int:
    """When it was to be done the last time, in epoch milliseconds."""
    from croniter import croniter

    return int(croniter(settings.retention_cron, now / 1000, second_at_beginning=True).get_prev() * 1000)


def expired_tasks(tx: sa.Connection, *, account_id: str | None = None, limit: int = BATCH, now: int) -> list[str]:
    """Finished tasks, of one account or of all, whose files have been kept for their time and are still there, though
    no unfinished task needs a stem of theirs: one that is separated further."""
    unfinished = tasks.alias()
    sources = sa.select(stems.c.task_id).join(unfinished, unfinished.c.source == stems.c.blob)
    needed = sources.where(unfinished.c.completed.is_(None))
    over = [tasks.c.expires <= now, tasks.c.gone.is_(None), tasks.c.id.not_in(needed)]
    if account_id is not None:
        over.append(tasks.c.account_id == account_id)
    return list(tx.execute(sa.select(tasks.c.id).where(*over).limit(limit)).scalars())


def delete_task(database: Database, blobs: Blobs, task_id: str, *, now: int) -> None:
    """Deletes an ended task's files at once, and its song where no other task of the account has it; hides its row.
    What an unfinished task is to separate is nobody else's from now on, and goes once that one has ended.

    The times go first: what a crash leaves undone, the next purge does.
    """
    with database.transaction() as tx:
        row = tx.execute(
            sa.update(tasks).where(tasks.c.id == task_id).values(deleted=now, expires=now).returning(tasks)
        ).one()
        same_song = (tasks.c.account_id == row.account_id, tasks.c.audio_id == row.audio_id, tasks.c.deleted.is_(None))
        shared = tx.execute(sa.select(tasks.c.id).where(*same_song)).first()
        track = tracks.by_blob(tx, row.source) if row.source and not shared else None
        mine = track is not None and track.account_id == row.account_id and track.gone is None
        if track and mine:
            tracks.expire(tx, track.audio_id, now=now)
        song_waits = _is_needed(tx, [row.source])
        stems_wait = _is_needed(tx, tx.execute(sa.select(stems.c.blob).where(stems.c.task_id == task_id)).scalars())
    if not stems_wait:
        _delete_stems(database, blobs, [task_id], now=now)
    if track and mine and not song_waits:
        blobs.delete(track.blob)
        with database.transaction() as tx:
            tracks.forget_bytes(tx, track.audio_id, now=now)


def _is_needed(tx: sa.Connection, names: Iterable[str]) -> bool:
    """Whether an unfinished task is to separate one of these blobs."""
    waiting = sa.select(tasks.c.id).where(tasks.c.source.in_(list(names)), tasks.c.completed.is_(None))
    return tx.execute(waiting.limit(1)).first() is not None


def _purge_tracks(database: Database, blobs: Blobs, *, account_id: str | None, now: int) -> int:
    count = 0
    while found := _read(database, tracks.expired, account_id=account_id, limit=BATCH, now=now):
        for track in found:
            blobs.delete(track.blob)  # bytes first: after a crash in between it is done again
            with database.transaction() as tx:
                tracks.forget_bytes(tx, track.audio_id, now=now)
            count += 1
        if len(found) < BATCH:
            break
    return count


def _purge_tasks(database: Database, blobs: Blobs, *, account_id: str | None, now: int) -> int:
    count = 0
    while found := _read(database, expired_tasks, account_id=account_id, now=now):
        _delete_stems(database, blobs, found, now=now)  # a commit for each would be all that a disk can do
        count += len(found)
    return count


def _delete_stems(database: Database, blobs: Blobs, task_ids: list[str], *, now: int) -> None:
    of = tasks.c.id.in_(task_ids)
    with database.read() as tx:
        names = list(tx.execute(sa.select(stems.c.blob).where(stems.c.task_id.in_(task_ids))).scalars())
        beside = [name for row in tx.execute(sa.select(tasks.c.peaks, tasks.c.mix).where(of)) for name in row if name]
    for name in names + beside:
        blobs.delete(name)
    with database.transaction() as tx:
        tx.execute(sa.update(tasks).where(of).values(gone=now))


def _purge_answers(database: Database, before: int) -> int:
    with database.transaction() as tx:
        return tx.execute(sa.delete(idempotency).where(idempotency.c.created < before)).rowcount


def _purge_arrivals(database: Database, blobs: Blobs, before: int) -> int:
    """Blobs that were written, or half written, and never got an owner."""
    count = 0
    while found := _read(database, arrivals.left_over, before=before, limit=BATCH):
        for name in found:
            blobs.delete(name)
        with database.transaction() as tx:
            arrivals.settle(tx, found)
        count += len(found)
    return count


def clear_folders(database: Database, settings: Settings) -> int:
    """Deletes this machine's working folders of tasks that have ended: a worker that died left them."""
    if not settings.work.is_dir():
        return 0
    count = 0
    for folder in settings.work.iterdir():
        if not _TASK_ID.fullmatch(folder.name):
            continue
        with database.read() as tx:
            unfinished = (tasks.c.id == folder.name, tasks.c.completed.is_(None))
            running = tx.execute(sa.select(tasks.c.id).where(*unfinished)).first()
        if running is None:
            shutil.rmtree(folder, ignore_errors=True)
            count += 1
    return count


def _read(database: Database, query: Callable[..., list[T]], **arguments: Any) -> list[T]:
    with database.read() as tx:
        return query(tx, **arguments)
