"""The console's tasks: looked for, made, cancelled, made again, downloaded and deleted."""

from __future__ import annotations

import sqlalchemy as sa
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp

from stemwright import errors
from stemwright.server import keys, overview, retention, tasks, tracks, workflows
from stemwright.server.http import answers, wire, wire_console, zipped
from stemwright.server.http.answers import Answer
from stemwright.server.http.calls import Call
from stemwright.server.http.events import TaskEvents
from stemwright.server.http.routes import separation, uploads
from stemwright.server.overview import Cursor
from stemwright.server.settings import Settings
from stemwright.server.stem_names import MEGA
from stemwright.server.tasks import Stem, Task
from stemwright.server.tracks import Track

create = separation.generate


def events(call: Call) -> ASGIApp:
    """`GET /console/api/events`: the account's tasks as they go on, as server-sent events."""
    return TaskEvents(call)


def search(call: Call) -> Answer:
    """`GET /console/api/tasks?text=&group=&kind=&after=`: one page, and where the next begins."""
    group, kind = call.query.get("group", ""), call.query.get("kind", "")
    if group and group not in overview.GROUPS:
        raise errors.InvalidRequest(field="group", problem="must be one of: " + ", ".join(overview.GROUPS))
    if kind and kind not in tasks.KINDS:
        raise errors.InvalidRequest(field="kind", problem="must be one of: " + ", ".join(tasks.KINDS))
    text = call.query.get("text", "").strip()[:200]
    with call.api.database.read() as tx:
        found = overview.search(
            tx, call.caller.account_id, text=text, group=group, kind=kind, after=cursor(call), limit=overview.PAGE + 1
        )
    shown = found[: overview.PAGE]
    more = f"{shown[-1]['created']}-{shown[-1]['id']}" if len(found) > len(shown) else None
    return answers.success({"tasks": [wire_console.summary(row, now=call.now) for row in shown], "next": more})


def show(call: Call) -> Answer:
    """`GET /console/api/tasks/{taskId}`."""
    task = _mine(call)
    with call.api.database.read() as tx:
        line = wire_console.summary(overview.one(tx, task.id), now=call.now)
        stems = tasks.stems_of(tx, task.id)
        found = tasks.delivery(tx, task.id)
        told = wire_console.delivery(vars(found), overview.attempts_of(tx, found.id)) if found else None  # type: ignore[arg-type]
        key = keys.get(tx, task.key_id) if task.key_id else None
        here = _song_is_here(call, tx, task)
    more = wire_console.details(task, stems, base_url="", key=key, song_here=here)
    return answers.success(line | more | {"delivery": told})


def cancel(call: Call) -> Answer:
    """`POST /console/api/tasks/{taskId}/cancel`: ends it and gives its credits back."""
    task = _mine(call)
    with call.api.database.transaction() as tx:
        workflows.cancel(tx, task.id)
    return answers.success(None)


def again(call: Call) -> Answer:
    """`POST /console/api/tasks/{taskId}/again`: the same once more, as a new task that is charged; takes an
    Idempotency-Key."""
    old = _mine(call)
    track = None
    if old.audio_url is None:
        with call.api.database.read() as tx:
            if not _song_is_here(call, tx, old):
                raise errors.SongGone
        assert old.source is not None
        track = Track(
            old.audio_id, old.music_id or "", old.account_id, old.source, 0, old.created, music_index=old.music_index
        )
    asked = wire.Generate.model_validate(
        {
            "type": old.kind,
            "stemName": old.stem_name,
            "format": old.format,
            "callBackUrl": old.callback_url,
            "audioUrl": old.audio_url,
            "model": _asked_model(call.api.settings, old),
        }
    )
    same = wire.Json({"taskId": old.id}).fingerprint("again")
    return separation.once(call, lambda tx: separation.submit(call, tx, asked, lambda: track), fingerprint=same)


def _asked_model(settings: Settings, old: Task) -> str | None:
    """What was asked for, as far as it is still allowed. The row tells the model that it was: the Mega model at the
    price of none was not asked for, and comes by itself again."""
    came_by_itself = old.model == MEGA and old.stem_name is not None and old.cost == settings.cost(old.kind)
    return old.model if old.model in settings.models and not came_by_itself else None


def resend(call: Call) -> Answer:
    """`POST /console/api/tasks/{taskId}/resend`: the callback once more."""
    task = _mine(call)
    with call.api.database.transaction() as tx:
        workflows.resend(tx, task.id)
    return answers.success(None)


def delete(call: Call) -> Answer:
    """`DELETE /console/api/tasks/{taskId}`: its files go at once, and it is listed no more; cancelled if it runs."""
    task = _mine(call)
    if task.state not in tasks.ENDED:
        with call.api.database.transaction() as tx:
            workflows.cancel(tx, task.id)
    retention.delete_task(call.api.database, call.api.blobs, task.id, now=call.now)
    return answers.success(None)


def download(call: Call) -> ASGIApp:
    """`GET /console/api/tasks/{taskId}/zip`: every stem in one file, sent while it is made."""
    task = _mine(call)
    with call.api.database.read() as tx:
        stems = tasks.stems_of(tx, task.id)
        song = wire_console.summary(overview.one(tx, task.id), now=call.now)["song"]
    if not stems:
        raise errors.TaskNotFound(task_id=task.id)
    if not task.is_kept(call.now):
        raise errors.FileGone(name=f"{song}.zip")
    name = uploads.kept_name(song, room=len(" stems.zip"))
    members = [_member(call, task, stem, name) for stem in stems]
    headers = {"content-disposition": answers.attached(f"{name} stems.zip"), "cache-control": "no-store"}
    if (total := zipped.length(members)) is not None:
        headers["content-length"] = str(total)
    return StreamingResponse(zipped.stream(members), media_type="application/zip", headers=headers)


def cursor(call: Call) -> Cursor | None:
    """Where the page before ended, as the query's `after` says; raises InvalidRequest."""
    text = call.query.get("after", "")
    if not text:
        return None
    created, _, task_id = text.partition("-")
    if not created.isdecimal() or len(created) > 15 or not task_id:
        raise errors.InvalidRequest(field="after", problem="must be the `next` of the page before")
    return int(created), task_id


def _mine(call: Call) -> Task:
    with call.api.database.read() as tx:
        task = tasks.get(tx, call.caller.account_id, call.scope["path_params"]["taskId"])
    if task.deleted is not None:
        raise errors.TaskNotFound(task_id=task.id)
    return task


def _song_is_here(call: Call, tx: sa.Connection, task: Task) -> bool:
    """Whether the song that the task was made of can still be read: an upload, or a stem of another task."""
    if task.source is None:
        return False
    stem = tasks.by_stem(tx, task.source)
    kept = stem[0] if stem else tracks.by_blob(tx, task.source)
    return kept is not None and kept.is_kept(call.now)


def _member(call: Call, task: Task, stem: Stem, song: str) -> zipped.Member:
    label = wire_console.stem_of(stem, task, "")["label"]
    blobs = call.api.blobs
    return zipped.Member(
        f"{song}/{label}.{stem.format}", stem.bytes, task.completed or task.created, lambda: blobs.reading(stem.blob)
    )
