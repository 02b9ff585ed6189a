"""Tasks: one separation asked for, and the one table of what may follow what."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from stemwright.errors import (
    NoCallback,
    QueueFull,
    SongGone,
    StillDelivering,
    Superseded,
    TaskEnded,
    TaskNotFound,
    TaskRunning,
)
from stemwright.server import accounts, credits, tracks
from stemwright.server.store.prepared import Prepared, PreparedInsert
from stemwright.server.store.tables import attempts, callbacks, stems, workers
from stemwright.server.store.tables import tasks as rows

KINDS = ("separate_vocal", "split_stem", "split_stem_advanced")

# state → the states it may be entered from. A state may be entered again by the next attempt after a crash.
ENTERED_FROM = {
    "fetching": ("queued", "fetching"),
    "separating": ("queued", "fetching", "separating", "storing"),
    "storing": ("separating", "storing"),
    "finished": ("storing",),
    "failed": ("queued", "fetching", "separating", "storing"),
    "cancelled": ("queued", "fetching", "separating", "storing"),
}
ENDED = ("finished", "failed", "cancelled")

# failure → what polling clients see
_FLAGS = {"input": "CREATE_TASK_FAILED", "fetch": "CREATE_TASK_FAILED"}


@dataclass(frozen=True)
class Submission:
    """What a client asked for: either a `track` of its own or an `audio_url`; both for a track of the upstream's."""

    account_id: str
    kind: str
    format: str
    dialect: str
    cost: int
    track: tracks.Track | None = None
    audio_url: str | None = None
    stem_name: str | None = None
    callback_url: str | None = None
    key_id: str | None = None
    priority: int = 0
    base_url: str | None = None
    request_id: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Task(tracks.Kept):
    """One task as stored. `progress` runs from 0 to 100, times are epoch milliseconds.

    `model` is the one that was asked for, if any, and in the end the one that did it.
    """

    id: str
    account_id: str
    key_id: str | None
    kind: str
    stem_name: str | None
    music_id: str | None
    audio_id: str
    music_index: int
    audio_url: str | None
    source: str | None
    format: str
    callback_url: str | None
    dialect: str
    cost: int
    state: str
    progress: float
    attempt: int
    worker: str | None
    failure: str | None
    error: str | None
    model: str | None
    device: str | None
    precision: str | None
    duration_seconds: float | None
    gain_db: float | None
    warnings: Sequence[str] | None
    created: int
    started: int | None
    completed: int | None
    expires: int | None
    gone: int | None
    deleted: int | None
    priority: int
    base_url: str | None
    request_id: str | None
    released: int | None
    peaks: str | None
    mix: str | None

    @property
    def beside(self) -> list[str]:
        """The blobs for the player: the stems' peaks and the song itself."""
        return [name for name in (self.peaks, self.mix) if name]

    @property
    def flag(self) -> str:
        """The wire's `successFlag`."""
        if self.state == "finished":
            return "SUCCESS"
        return "PENDING" if self.state not in ENDED else _FLAGS.get(self.failure or "", "GENERATE_AUDIO_FAILED")


@dataclass(frozen=True)
class Stem:
    """One file of a finished task; `id` is the uuid in its name, `model` the one that it was made by."""

    id: str
    position: int
    name: str
    label: str
    blob: str
    format: str
    bytes: int
    duration_seconds: float
    silent: bool
    experimental: bool
    loudness_dbfs: float | None
    model: str | None = None


@dataclass(frozen=True)
class Delivery:
    """How far the callback of a task is; `id` is its webhook-id."""

    id: str
    task_id: str
    url: str
    state: str
    attempts: int
    last_status: int | None
    last_error: str | None
    created: int
    last_attempt: int | None


_ZERO: dict[str, Any] = {"music_index": 0, "progress": 0.0, "attempt": 0, "priority": 0}
_EMPTY: dict[str, Any] = dict.fromkeys(Task.__dataclass_fields__) | _ZERO
_insert = Prepared(sa.insert(rows).values({name: sa.bindparam(name) for name in Task.__dataclass_fields__}))
_find = Prepared(
    sa.select(*(rows.c[name] for name in Task.__dataclass_fields__)).where(rows.c.id == sa.bindparam("id"))
)
_count_unfinished = Prepared(
    sa.select(sa.func.count()).where(rows.c.account_id == sa.bindparam("account_id"), rows.c.completed.is_(None))
)
_created_since = Prepared(
    sa.select(rows.c.created)
    .where(
        rows.c.account_id == sa.bindparam("account_id"),
        rows.c.created > sa.bindparam("since"),
        rows.c.created < sa.bindparam("until"),
    )
    .order_by(rows.c.created)
)
_stems_of = Prepared(
    sa.select(*(stems.c[name] for name in Stem.__dataclass_fields__))
    .where(stems.c.task_id == sa.bindparam("task_id"))
    .order_by(stems.c.position)
)
_deliveries = sa.select(*(callbacks.c[name] for name in Delivery.__dataclass_fields__))
_delivery = Prepared(_deliveries.where(callbacks.c.task_id == sa.bindparam("task_id")))
_delivery_by_id = Prepared(_deliveries.where(callbacks.c.id == sa.bindparam("id")))
_expect = PreparedInsert(callbacks, ("id", "task_id", "url", "state", "created"))
_insert_stems = PreparedInsert(stems, ("task_id", *Stem.__dataclass_fields__))
_report = Prepared(
    sa.update(rows)
    .where(rows.c.id == sa.bindparam("of"), rows.c.attempt == sa.bindparam("by"), rows.c.completed.is_(None))
    .values(progress=sa.case((rows.c.progress > sa.bindparam("at"), rows.c.progress), else_=sa.bindparam("at")))
    .returning(rows.c.id)
)
_note_device = Prepared(
    sa.update(workers)
    .where(workers.c.id == sa.bindparam("of"), workers.c.device != sa.bindparam("now"))
    .values(device=sa.bindparam("now"))
)
_note_attempt = Prepared(
    sa.update(callbacks)
    .where(callbacks.c.id == sa.bindparam("of"), callbacks.c.attempts < sa.bindparam("number"))
    .values(
        attempts=sa.bindparam("number"),
        **{name: sa.bindparam(f"new_{name}") for name in ("state", "last_status", "last_error", "last_attempt")},
    )
    .returning(callbacks.c.id)
)
_insert_attempt = PreparedInsert(attempts, ("callback_id", "number", "status", "error", "time"))


# ---- asking and looking ---------------------------------------------------------------------------------------------


def submit(tx: sa.Connection, asked: Submission, *, max_queued: int = 1000, now: int) -> Task:
    """Stores a task that waits for its turn, and takes its price; raises OutOfCredits, QueueFull and AccountClosed."""
    accounts.hold_open(tx, asked.account_id)
    if (queued := unfinished(tx, asked.account_id)) >= max_queued:
        raise QueueFull(queued=queued, limit=max_queued)
    task = Task(**_EMPTY | _columns(asked) | {"id": tracks.new_task_id(), "state": "queued", "created": now})
    _insert(tx, **vars(task))
    credits.charge(tx, asked.account_id, asked.cost, task_id=task.id, now=now)
    return task


def example(account_id: str, *, dialect: str, now: int) -> Task:
    """A finished task that never was, to try a callback with."""
    told = {"id": tracks.new_task_id(), "account_id": account_id, "kind": "separate_vocal", "audio_id": "", "cost": 0}
    return Task(**_EMPTY | told | {"format": "mp3", "dialect": dialect, "state": "finished", "created": now})


def again(tx: sa.Connection, task_id: str, *, free: bool = False, now: int) -> Task:
    """A new task that asks for what an ended one asked for, at the same price or `free`.

    Raises TaskNotFound, TaskRunning, SongGone, OutOfCredits and QueueFull.
    """
    old = find(tx, task_id)
    if old.state not in ENDED:
        raise TaskRunning(task_id=task_id, state=old.state)
    same = {name: getattr(old, name) for name in Submission.__dataclass_fields__ if name not in ("track", "cost")}
    track = None
    if old.audio_url and old.music_id:
        track = tracks.Track(
            old.audio_id, old.music_id, old.account_id, "", 0, old.created, music_index=old.music_index
        )
    elif old.audio_url is None:
        source = old.source or ""
        of = (by_stem(tx, source) or (tracks.by_blob(tx, source),))[0]
        if of is None or not of.is_kept(now):
            raise SongGone
        names = (old.audio_id, old.music_id or "", old.account_id, source, 0, old.created)
        track = tracks.Track(*names, music_index=old.music_index)
    return submit(tx, Submission(**same, track=track, cost=0 if free else old.cost), now=now)


def get(tx: sa.Connection, account_id: str, task_id: str) -> Task:
    """The account's task; raises TaskNotFound (another account's does not exist either)."""
    task = find(tx, task_id)
    if task.account_id != account_id:
        raise TaskNotFound(task_id=task_id)
    return task


def find(tx: sa.Connection, task_id: str) -> Task:
    """The task, whoever owns it; raises TaskNotFound."""
    for row in _find(tx, id=task_id):
        return Task(*row)
    raise TaskNotFound(task_id=task_id)


def unfinished(tx: sa.Connection, account_id: str) -> int:
    """How many of the account's tasks have not ended."""
    return _count_unfinished(tx, account_id=account_id)[0][0]


def released_before(tx: sa.Connection, before: int) -> list[str]:
    """Unfinished tasks whose turn came before that time, oldest first, a thousand at most."""
    query = sa.select(rows.c.id).where(rows.c.completed.is_(None), rows.c.released < before)
    return list(tx.execute(query.order_by(rows.c.released).limit(1000)).scalars())


def created_around(tx: sa.Connection, account_id: str, now: int, *, window_ms: int) -> list[int]:
    """The times of the account's creates in the window before `now`, oldest first: what a rate limit counts.

    Some may lie after `now`, by another machine's clock; but not by more than a window, or a clock was set back.
    """
    return [row[0] for row in _created_since(tx, account_id=account_id, since=now - window_ms, until=now + window_ms)]


def delivery_by_id(tx: sa.Connection, callback_id: str) -> Delivery:
    """The callback with this webhook-id; raises TaskNotFound."""
    for row in _delivery_by_id(tx, id=callback_id):
        return Delivery(*row)
    raise TaskNotFound(task_id=callback_id)


def stems_of(tx: sa.Connection, task_id: str) -> list[Stem]:
    """The files of a finished task, in order."""
    return [Stem(*row) for row in _stems_of(tx, task_id=task_id)]


def by_stem(tx: sa.Connection, blob: str) -> tuple[Task, Stem] | None:
    """The task and the stem whose file has this name: the name is the capability."""
    row = tx.execute(sa.select(stems).where(stems.c.blob == blob)).mappings().first()
    if row is None:
        return None
    return find(tx, row["task_id"]), Stem(**{name: row[name] for name in Stem.__dataclass_fields__})


def by_file_beside(tx: sa.Connection, blob: str) -> Task | None:
    """The task for whose player this file was made."""
    row = tx.execute(sa.select(rows).where(sa.or_(rows.c.peaks == blob, rows.c.mix == blob))).mappings().first()
    return None if row is None else Task(**row)


def delivery(tx: sa.Connection, task_id: str) -> Delivery | None:
    """The callback of a task; None while it is unfinished or when nobody asked for one."""
    return next((Delivery(*row) for row in _delivery(tx, task_id=task_id)), None)


# ---- what a worker does to a task -----------------------------------------------------------------------------------


def begin(tx: sa.Connection, task_id: str, *, state: str, worker: str, held: int | None = None, now: int) -> Task:
    """A new attempt, which fences off every earlier one; raises TaskEnded when the task has ended meanwhile, and
    Superseded when the worker was declared dead: one that comes back late must not take the task from the next one.
    The attempt `held`, into which an outage broke, goes on if it is still the last."""
    attempt = held if held is not None and find(tx, task_id).attempt == held else None
    return _enter(tx, task_id, state, attempt=attempt, values={"worker": worker, "started": now}, by=worker)


def advance(tx: sa.Connection, task_id: str, state: str, *, attempt: int) -> Task:
    """The attempt goes on to `state`; raises TaskEnded and Superseded."""
    return _enter(tx, task_id, state, attempt=attempt, values={})


def report(tx: sa.Connection, task_id: str, progress: float, *, attempt: int) -> bool:
    """Notes the progress (0 to 100, never falling); False means: stop, the task is no longer this attempt's."""
    return bool(_report(tx, of=task_id, by=attempt, at=progress))


def keep_source(tx: sa.Connection, task_id: str, blob: str, *, attempt: int) -> None:
    """Notes which blob holds the input; raises Superseded."""
    same = (rows.c.id == task_id, rows.c.attempt == attempt)
    if tx.execute(sa.update(rows).where(*same).values(source=blob)).rowcount == 0:
        raise Superseded(task_id=task_id, attempt=attempt)


def finish(
    tx: sa.Connection, task_id: str, files: Iterable[Stem], *, facts: dict[str, Any], attempt: int, now: int
) -> Task:
    """The one transition to finished, with its files; `facts`: what the task's row tells of how."""
    task = _enter(tx, task_id, "finished", attempt=attempt, values={"progress": 100.0, "completed": now, **facts})
    _insert_stems(tx, [vars(stem) | {"task_id": task_id} for stem in files])
    if device := facts.get("device"):  # what a worker's "auto" has come to
        _note_device(tx, of=task.worker, now=device)
    _expect_callback(tx, task, now=now)
    return task


def fail(tx: sa.Connection, task_id: str, *, failure: str, error: str, attempt: int | None = None, now: int) -> Task:
    """The one transition to failed (`failure`: input, fetch or separation); gives the credits back."""
    return _end(tx, task_id, "failed", failure=failure, error=error, attempt=attempt, now=now)


def cancel(tx: sa.Connection, task_id: str, *, now: int) -> Task:
    """Ends the task at its owner's wish; gives the credits back; raises TaskEnded when it has ended already."""
    return _end(tx, task_id, "cancelled", failure="cancelled", error="The task was cancelled.", attempt=None, now=now)


def resend(tx: sa.Connection, task_id: str) -> Delivery:
    """The callback of an ended task, to be delivered once more; raises TaskNotFound, NoCallback, StillDelivering."""
    told = (callbacks.c.task_id == task_id, callbacks.c.state != "pending")
    if tx.execute(sa.update(callbacks).where(*told).values(state="pending")).rowcount:
        found = delivery(tx, task_id)
        assert found
        return found
    if delivery(tx, task_id) is None:
        raise NoCallback(task_id=find(tx, task_id).id)
    raise StillDelivering(task_id=task_id)


def delivered(
    tx: sa.Connection, callback_id: str, *, number: int, status: int | None, error: str | None, last: bool, now: int
) -> bool:
    """Notes attempt `number` (from 1); true once there is nothing more to send."""
    good = status is not None and 200 <= status < 300
    state = "delivered" if good else "failed" if last else "pending"
    told = {"new_state": state, "new_last_status": status, "new_last_error": error, "new_last_attempt": now}
    if not _note_attempt(tx, of=callback_id, number=number, **told):
        return True  # said twice after a crash: once counts, and has seen to what comes next
    row = {"callback_id": callback_id, "number": number, "status": status, "error": error, "time": now}
    _insert_attempt(tx, [row])
    return state != "pending"


def _columns(asked: Submission) -> dict[str, Any]:
    fields = {name: value for name, value in vars(asked).items() if name != "track"}
    track = asked.track
    if track is None:
        return fields | {"audio_id": tracks.new_audio_id()}
    found = {"music_id": track.task_id, "audio_id": track.audio_id, "music_index": track.music_index}
    return fields | found | {"source": track.blob or None}


def _end(
    tx: sa.Connection, task_id: str, state: str, *, failure: str, error: str, attempt: int | None, now: int
) -> Task:
    values = {"failure": failure, "error": error, "completed": now}
    task = _enter(tx, task_id, state, attempt=attempt, values=values)
    credits.refund(tx, task_id, reason=failure, now=now)
    _expect_callback(tx, task, now=now)
    return task


def _enter(
    tx: sa.Connection, task_id: str, state: str, *, attempt: int | None, values: dict[str, Any], by: str | None = None
) -> Task:
    """The only statement that changes a state: the guards and the change are one."""
    statement = _entering(state, tuple(values), fenced=attempt is not None, anew=by is not None)
    given = {f"new_{name}": value for name, value in values.items()}
    for row in statement(tx, of=task_id, **given, **({} if attempt is None else {"by": attempt})):
        return Task(*row)
    task = find(tx, task_id)
    if by is not None and task.state in ENTERED_FROM[state]:
        raise Superseded(task_id=task_id, attempt=task.attempt)
    if task.state in ENDED or attempt is None or task.attempt == attempt:
        raise TaskEnded(task_id=task_id, state=task.state, wanted=state)
    raise Superseded(task_id=task_id, attempt=attempt)


@functools.cache
def _entering(state: str, changed: tuple[str, ...], *, fenced: bool, anew: bool) -> Prepared:
    """The statement, `fenced` by the attempt it must still be; `anew` by a worker that may begin: else the next one."""
    values: dict[str, Any] = {name: sa.bindparam(f"new_{name}", type_=rows.c[name].type) for name in changed}
    from_states = [sa.literal_column(f"'{each}'", sa.String) for each in ENTERED_FROM[state]]
    where = [rows.c.id == sa.bindparam("of"), rows.c.state.in_(from_states)]
    if fenced:
        where.append(rows.c.attempt == sa.bindparam("by"))
    if anew:
        declared_dead = sa.or_(workers.c.sweeper.is_not(None), workers.c.ended.is_not(None))
        where.append(~sa.exists().where(workers.c.id == values["worker"], declared_dead))
        values["started"] = sa.func.coalesce(rows.c.started, values["started"])
    if anew and not fenced:
        values["attempt"] = rows.c.attempt + sa.literal_column("1")
    values["state"] = sa.literal_column(f"'{state}'", sa.String)
    columns = (rows.c[name] for name in Task.__dataclass_fields__)
    return Prepared(sa.update(rows).where(*where).values(values).returning(*columns))


def _expect_callback(tx: sa.Connection, task: Task, *, now: int) -> None:
    if task.callback_url:
        row = {"id": f"msg_{secrets.token_hex(12)}", "task_id": task.id, "url": task.callback_url}
        _expect(tx, [row | {"state": "pending", "created": now}])
