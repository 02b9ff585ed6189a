"""Tracks: stored songs with ids. One task id holds one or more variations, each with its audio id."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from stemwright.errors import TrackNotFound
from stemwright.server.store.prepared import Prepared
from stemwright.server.store.tables import tasks, tracks


class Kept:
    """What is there until `expires`, if that is set, and until its bytes are `gone`."""

    expires: int | None
    gone: int | None

    def is_kept(self, now: int) -> bool:
        """Whether its time is not over."""
        return self.gone is None and (self.expires is None or self.expires > now)


@dataclass(frozen=True)
class Track(Kept):
    """One stored song; `blob` names its bytes, which are gone once `gone` is set. With none, it is the upstream's."""

    audio_id: str
    task_id: str
    account_id: str
    blob: str
    bytes: int
    created: int
    music_index: int = 0
    title: str = ""
    file_name: str = ""
    mime: str = ""
    duration_seconds: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    expires: int | None = None
    gone: int | None = None


_variations = Prepared(
    sa.select(*(tracks.c[name] for name in Track.__dataclass_fields__))
    .where(tracks.c.task_id == sa.bindparam("task_id"), tracks.c.account_id == sa.bindparam("account_id"))
    .order_by(tracks.c.music_index)
)
_kept = Prepared(
    sa.select(sa.func.coalesce(sa.func.sum(tracks.c.bytes), sa.literal_column("0"))).where(
        tracks.c.account_id == sa.bindparam("account_id"), tracks.c.expires.is_not(None), tracks.c.gone.is_(None)
    )
)


def new_task_id() -> str:
    """A task id: 32 lowercase hex digits."""
    return secrets.token_hex(16)


def new_audio_id() -> str:
    """An audio id: a random uuid."""
    return str(uuid.uuid4())


def register(  # noqa: PLR0913  a row has many columns
    tx: sa.Connection,
    account_id: str,
    *,
    blob: str,
    size: int,
    now: int,
    title: str = "",
    file_name: str = "",
    mime: str = "",
    duration_seconds: float | None = None,
    details: Mapping[str, Any] | None = None,
    expires: int | None = None,
    task_id: str | None = None,
    audio_id: str | None = None,
    music_index: int = 0,
) -> Track:
    """Stores a song whose bytes (`size` of them) already lie in `blob`; ids are made unless given."""
    track = Track(
        audio_id=audio_id or new_audio_id(),
        task_id=task_id or new_task_id(),
        account_id=account_id,
        blob=blob,
        bytes=size,
        created=now,
        music_index=music_index,
        title=title,
        file_name=file_name,
        mime=mime,
        duration_seconds=duration_seconds,
        details=dict(details or {}),
        expires=expires,
    )
    tx.execute(sa.insert(tracks).values(**vars(track)))
    return track


def find(tx: sa.Connection, account_id: str, task_id: str, audio_id: str, *, now: int) -> Track:
    """The account's track with both ids, its time not over; raises TrackNotFound (another account's too)."""
    for track in variations(tx, account_id, task_id):
        if track.audio_id == audio_id and track.is_kept(now):
            return track
    raise TrackNotFound(task_id=task_id, audio_id=audio_id)


def variations(tx: sa.Connection, account_id: str, task_id: str) -> list[Track]:
    """All variations under one task id of the account, in order; empty when there are none."""
    return [Track(*row) for row in _variations(tx, account_id=account_id, task_id=task_id)]


def kept_bytes(tx: sa.Connection, account_id: str) -> int:
    """How much the account's songs take that are kept for a time."""
    return int(_kept(tx, account_id=account_id)[0][0])


def by_blob(tx: sa.Connection, blob: str) -> Track | None:
    """The track whose bytes have this name, whoever owns it: the name is the capability."""
    row = tx.execute(sa.select(tracks).where(tracks.c.blob == blob)).mappings().first()
    return Track(**row) if row else None


def expired(tx: sa.Connection, *, account_id: str | None = None, limit: int = 100, now: int) -> list[Track]:
    """Tracks, of one account or of all, whose time is over and whose bytes are still there, and no unfinished task
    needs them."""
    needed = sa.exists().where(tasks.c.source == tracks.c.blob, tasks.c.completed.is_(None))
    query = sa.select(tracks).where(tracks.c.expires <= now, tracks.c.gone.is_(None), ~needed)
    if account_id is not None:
        query = query.where(tracks.c.account_id == account_id)
    return [Track(**row) for row in tx.execute(query.limit(limit)).mappings()]


def expire(tx: sa.Connection, audio_id: str, *, now: int) -> None:
    """Ends the time that the song is kept for."""
    tx.execute(sa.update(tracks).where(tracks.c.audio_id == audio_id).values(expires=now))


def forget_bytes(tx: sa.Connection, audio_id: str, *, now: int) -> None:
    """Notes that the bytes are gone; the row stays."""
    tx.execute(sa.update(tracks).where(tracks.c.audio_id == audio_id, tracks.c.gone.is_(None)).values(gone=now))
