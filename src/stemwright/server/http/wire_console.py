"""What the console's pages send and read: the camelCase of `/console/api`, and of nothing else."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
from pydantic import Field

from stemwright.audio import naming
from stemwright.server import callbacks
from stemwright.server.accounts import Account
from stemwright.server.callbacks import Attempt
from stemwright.server.credits import MOST_AT_ONCE
from stemwright.server.http.live import News
from stemwright.server.http.wire import Incoming
from stemwright.server.keys import Key
from stemwright.server.sessions import Session
from stemwright.server.settings import Settings
from stemwright.server.stem_names import LABELS, NEAREST
from stemwright.server.tasks import KINDS, Stem, Task

TWELVE = [name for name in LABELS if name != "instrumental"]
DAY_MS = 86_400_000
_LAST_MS = 253_402_300_799_999  # of the year 9999: no calendar of ours goes beyond
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


# ---- what pages send -------------------------------------------------------------------------------------------------


class SignIn(Incoming):
    """The body of `POST /console/api/session`."""

    key: str = Field(max_length=500)


class NewKey(Incoming):
    """The body of `POST /console/api/keys`."""

    name: str | None = Field(None, max_length=200)
    dialect: Literal["apikley", "sunoapi"] | None = None
    expire_time: int | None = Field(None, alias="expireTime", ge=0, le=_LAST_MS)
    admin: bool | None = None
    networks: str | None = Field(None, max_length=1000)


class Rotation(Incoming):
    """The body of `POST /console/api/keys/{keyId}/rotate`."""

    overlap_hours: float = Field(0, alias="overlapHours", ge=0, le=24 * 365)
    expire_time: int | None = Field(None, alias="expireTime", ge=0, le=_LAST_MS)
    networks: str | None = Field(None, max_length=1000)


class TestDelivery(Incoming):
    """The body of `POST /console/api/callbacks/test`."""

    url: str = Field(max_length=8000)


class NewAccount(Incoming):
    """The body of `POST /console/api/operator/accounts`."""

    name: str = Field(max_length=200)
    credits: int = Field(0, ge=0, le=MOST_AT_ONCE)


class Grant(Incoming):
    """The body of `POST /console/api/operator/grants`."""

    account_id: str = Field(alias="accountId", max_length=100)
    amount: int = Field(ge=-MOST_AT_ONCE, le=MOST_AT_ONCE)
    reason: str | None = Field(None, max_length=500)


class Switch(Incoming):
    """The body of `POST /console/api/operator/maintenance`."""

    on: bool


# ---- what pages read -------------------------------------------------------------------------------------------------


def session(found: Session, account: Account, key: Key, *, balance: int) -> dict[str, Any]:
    """Who is signed in."""
    return {
        "signedIn": True,
        "account": {"id": account.id, "name": account.name},
        "key": {"id": key.id, "name": key.name, "hint": key.hint},
        "admin": "admin" in found.principal.scopes,
        "csrf": found.csrf,
        "expireTime": found.expires,
        "balance": balance,
    }


def service(settings: Settings, *, maintenance_since: int | None) -> dict[str, Any]:
    """What this server offers, and for how much."""
    return {
        "version": version("stemwright"),
        "prices": {model: {kind: settings.cost(kind, model) for kind in KINDS} for model in settings.models},
        "formats": list(settings.formats),
        "models": list(settings.models),
        "stems": TWELVE,
        "instruments": NEAREST,
        "maxUploadBytes": settings.max_upload_bytes,
        "maxDurationSeconds": settings.max_duration_seconds,
        "retentionDays": settings.retention_days,
        "uploadDays": settings.upload_days,
        "requireCallback": settings.require_callback,
        "callbackDelaysSeconds": list(settings.callback_delays_seconds),
        "maintenanceSince": maintenance_since,
    }


def summary(row: Mapping[str, Any] | sa.RowMapping, *, now: int) -> dict[str, Any]:
    """A task as a line of a list."""
    waiting = "waiting" if row["callback_url"] else "none"
    return {
        "taskId": row["id"],
        "song": song_name(row["song"], row["audio_url"]),
        "kind": row["kind"],
        "stemName": row["stem_name"],
        "format": row["format"],
        "cost": row["cost"],
        "state": row["state"],
        "progress": row["progress"],
        "error": row["error"],
        "warnings": row["warnings"] or [],
        "model": row["model"],
        "durationSeconds": row["duration_seconds"],
        "createTime": row["created"],
        "startTime": row["started"],
        "completeTime": row["completed"],
        "expireTime": row["expires"],
        "gone": row["gone"] is not None or (row["expires"] is not None and row["expires"] <= now),
        "callback": row["callback_state"] or waiting,
    }


def details(task: Task, stems: Sequence[Stem], *, base_url: str, key: Key | None, song_here: bool) -> dict[str, Any]:
    """What a task's own page tells beside its line."""
    return {
        "musicId": task.music_id,
        "audioId": task.audio_id,
        "audioUrl": task.audio_url,
        "callbackUrl": task.callback_url,
        "device": task.device,
        "precision": task.precision,
        "gainDb": task.gain_db,
        "attempts": task.attempt,
        "key": {"id": key.id, "name": key.name, "hint": key.hint} if key else None,
        "songUrl": callbacks.file_url(base_url, task.source) if song_here and task.source else None,
        "playerUrl": callbacks.file_url(base_url, task.peaks) if task.peaks and not task.gone else None,
        "stems": [stem_of(stem, task, base_url) for stem in stems],
    }


def stem_of(stem: Stem, task: Task, base_url: str) -> dict[str, Any]:
    """One file."""
    asked = (task.stem_name, f"Without {task.stem_name}") if task.kind == "split_stem_advanced" else ()
    return {
        "id": stem.id,
        "name": stem.name,
        "label": asked[stem.position] if stem.position < len(asked) else callbacks.group_name(stem.name),
        "url": callbacks.file_url(base_url, stem.blob),
        "bytes": stem.bytes,
        "durationSeconds": stem.duration_seconds,
        "silent": stem.silent,
        "experimental": stem.experimental,
        "loudnessDbfs": stem.loudness_dbfs,
        "model": stem.model or task.model,
    }


def delivery(row: sa.RowMapping, tried: Iterable[sa.RowMapping] = ()) -> dict[str, Any]:
    """A callback, and every attempt to deliver it that was noted."""
    return {
        "callbackId": row["id"],
        "taskId": row["task_id"],
        "url": row["url"],
        "state": row["state"],
        "attempts": row["attempts"],
        "lastStatus": row["last_status"],
        "lastError": row["last_error"],
        "createTime": row["created"],
        "lastTime": row["last_attempt"],
        "tried": [
            {"number": a["number"], "status": a["status"], "error": a["error"], "time": a["time"]} for a in tried
        ],
    }


def progress(news: News) -> dict[str, Any]:
    """How far a task is, for the stream of events."""
    moment = news.moment
    return {
        "taskId": moment.id,
        "state": moment.state,
        "progress": moment.progress,
        "secondsLeft": news.seconds_left,
        "ahead": news.ahead,
        "error": moment.error,
        "warnings": moment.warnings or [],
    }


def key_of(key: Key, *, current: str, now: int) -> dict[str, Any]:
    """A key, without its secret, which nobody has any more."""
    revoked = key.revoked is not None and key.revoked <= now
    expired = key.expires is not None and key.expires <= now
    return {
        "keyId": key.id,
        "name": key.name,
        "hint": key.hint,
        "dialect": key.dialect,
        "admin": "admin" in key.scopes,
        "networks": key.networks,
        "createTime": key.created,
        "expireTime": key.expires,
        "revokeTime": key.revoked,
        "useTime": key.used,
        "state": "revoked" if revoked else "expired" if expired else "ending" if key.revoked else "valid",
        "current": key.id == current,
    }


def entry(row: sa.RowMapping) -> dict[str, Any]:
    """A line of the ledger."""
    return {
        "sequence": row["sequence"],
        "time": row["created"],
        "kind": row["kind"],
        "amount": row["amount"],
        "balance": row["balance"],
        "reason": row["reason"],
        "taskId": row["task_id"],
        "song": song_name(row["song"], None) if row["task_id"] else None,
    }


def day(row: sa.RowMapping) -> dict[str, Any]:
    """A key's usage of one day."""
    return {
        "date": date_of(row["day"]),
        "keyId": row["key_id"],
        "tasks": row["tasks"],
        "credits": int(row["credits"]),
        "seconds": float(row["seconds"]),
    }


def tested(answer: Attempt, *, seconds: float, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """How a test delivery went, and what exactly was sent."""
    return {
        "status": answer.status,
        "error": answer.error,
        "delivered": answer.delivered,
        "seconds": round(seconds, 3),
        "headers": dict(headers),
        "body": body.decode(),
    }


def account_of(row: sa.RowMapping) -> dict[str, Any]:
    """An account, as its operator sees it."""
    return {
        "accountId": row["id"],
        "name": row["name"],
        "createTime": row["created"],
        "balance": row["balance"],
        "keys": row["keys"],
        "running": row["running"],
    }


def worker_of(row: sa.RowMapping, *, tasks: int, now: int) -> dict[str, Any]:
    """A worker that lives."""
    return {
        "workerId": row["id"],
        "host": row["host"].partition(" ")[0],
        "pid": row["pid"],
        "version": row["version"],
        "device": row["device"],
        "model": row["model"],
        "startTime": row["started"],
        "heartbeatSeconds": max(0.0, (now - row["heartbeat"]) / 1000),
        "draining": bool(row["draining"]),
        "tasks": tasks,
    }


def song_name(song: str | None, audio_url: str | None) -> str:
    """What people know a song by: its file's name, or the last part of its address."""
    name = song or audio_url or ""
    if "://" not in name:
        return name or "song"
    parts = urlsplit(name)
    return naming.shown(unquote(parts.path.rstrip("/").rpartition("/")[2])) or parts.netloc


# ---- tables to take away ---------------------------------------------------------------------------------------------


def table(columns: Sequence[str], lines: Iterable[Mapping[str, Any]]) -> bytes:
    """CSV (RFC 4180). No cell begins like a formula: a spreadsheet would run what a client has called its song."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for line in lines:
        writer.writerow([_harmless(line[column]) for column in columns])
    return text.getvalue().encode("utf-8-sig")


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def date_of(days: int) -> str:
    """The date so many days after the first of 1970: `2026-11-21`."""
    return datetime.fromtimestamp(days * 86_400, UTC).date().isoformat()
