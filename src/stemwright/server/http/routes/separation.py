"""Separations: asked for, and looked at."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from urllib.parse import urlsplit

import sqlalchemy as sa
from anyio import to_thread
from starlette.types import ASGIApp, Receive

from stemwright import errors
from stemwright.audio.formats import Sound
from stemwright.server import accounts, maintenance, tasks, tracks
from stemwright.server.http import answers, idempotency, passing, wire
from stemwright.server.http.answers import Answer
from stemwright.server.http.calls import Api, Call, Read
from stemwright.server.tracks import Track

log = logging.getLogger("stemwright.http")

PATH = "/api/v1/vocal-removal/generate"
_HOUR_MS = 3_600_000


def reader(body: Read) -> Read:
    """Reads what `generate` needs: the body, and from the upstream, where there is one, a song that is not here."""

    async def read(call: Call, receive: Receive) -> None:
        await body(call, receive)
        if call.api.upstream is None:
            return
        asked = await to_thread.run_sync(_elsewhere, call)
        if asked is not None:
            key = passing.key_of(call)
            call.received = await call.api.upstream.song(asked.task_id or "", asked.audio_id or "", key=key)

    return read


def generate(call: Call) -> Answer:
    """`POST /api/v1/vocal-removal/generate`: one transaction stores the task, takes its price and wakes a worker."""
    body = wire.parse(call.body)
    asked = _asked(body)
    _check(call, asked)
    return once(call, lambda tx: _create(call, tx, asked), fingerprint=body.fingerprint(PATH))


def record_info(call: Call) -> Answer:
    """`GET /api/v1/vocal-removal/record-info?taskId=`."""
    with call.api.database.read() as tx:
        return answers.success(separation(call, tx, task_id_of(call)))


def track_info(call: Call) -> ASGIApp:
    """`GET /api/v1/generate/record-info?taskId=`: a registered song, or a separation that a client looks for here, or
    what the upstream knows by that id."""
    task_id = task_id_of(call)
    with call.api.database.read() as tx:
        if found := tracks.variations(tx, call.caller.account_id, task_id):
            return answers.success(wire.registered(found, base_url=call.base_url))
        try:
            return answers.success(separation(call, tx, task_id))
        except errors.TaskNotFound:
            if there := passing.asking(call):
                return there
            raise


def separation(call: Call, tx: sa.Connection, task_id: str) -> dict[str, object]:
    """The caller's separation task as the wire tells it; raises TaskNotFound."""
    task = tasks.get(tx, call.caller.account_id, task_id)
    stems = tasks.stems_of(tx, task.id) if task.state == "finished" else []
    delivery = tasks.delivery(tx, task.id) if task.callback_url and task.completed else None
    return wire.record(task, stems, delivery, base_url=call.base_url)


def task_id_of(call: Call) -> str:
    """The query's taskId; raises InvalidRequest without one."""
    task_id = call.query.get("taskId", "").strip()
    if not task_id:
        raise errors.InvalidRequest(field="taskId", problem="Field required")
    return task_id


def _elsewhere(call: Call) -> wire.Generate | None:
    """What is asked for when its song is to be looked up, because no song here has that id; raises TrackElsewhere."""
    call.authenticate()
    body = wire.parse(call.body)
    asked = _asked(body)
    _check(call, asked)
    if asked.task_id is None or asked.audio_id is None:
        return None
    account_id = call.caller.account_id
    call.api.creates.refuse_closed(account_id, now=call.now)
    key = idempotency.key_of(call.sent)
    oldest = call.now - int(call.api.settings.idempotency_hours * _HOUR_MS)
    with call.api.database.read() as tx:
        maintenance.refuse(tx)
        if tracks.variations(tx, account_id, asked.task_id):
            return None
        if key and idempotency.stored(tx, account_id, key, fingerprint=body.fingerprint(PATH), oldest=oldest):
            return None
    if not passing.key_of(call):
        raise errors.TrackElsewhere
    return asked


def _asked(body: wire.Json) -> wire.Generate:
    """What a create asks for; a record tells `callbackUrl`, and whoever writes it here too waits for a callback."""
    return body.to(wire.Generate, callBackUrl="callbackUrl")


def _check(call: Call, asked: wire.Generate) -> None:
    settings = call.api.settings
    if settings.require_callback and asked.callback_url is None:
        raise errors.MissingCallback
    asked.check()
    if asked.format is not None:
        if asked.format.partition("-")[0] not in settings.formats:
            raise errors.UnknownFormat(format=asked.format, choices=", ".join(settings.formats))
        Sound.of(asked.format)  # its bits or bitrate, too
    if asked.model is not None and asked.model not in settings.models:
        raise errors.InvalidRequest(field="model", problem="must be one of: " + ", ".join(settings.models))


def once(call: Call, create: Callable[[sa.Connection], Answer], *, fingerprint: str) -> Answer:
    """Create in a transaction; where the request has an Idempotency-Key, only the first time."""
    key, account_id = idempotency.key_of(call.sent), call.caller.account_id
    if key is None:
        call.api.creates.refuse_closed(account_id, now=call.now)
        return call.api.database.together(create)

    def act(tx: sa.Connection) -> Answer:
        answer = first(call, tx, create, key=key, fingerprint=fingerprint)
        if "RateLimit" in answer.headers:
            return answer
        left = call.api.creates.left(tx, account_id, now=call.now)  # a repetition takes none
        return dataclasses.replace(answer, headers={**answer.headers, **left.fields})

    with call.api.running.hold(account_id, key):
        return call.api.database.together(act)


def first(
    call: Call, tx: sa.Connection, act: Callable[[sa.Connection], Answer], *, key: str, fingerprint: str
) -> Answer:
    """Act, and store the answer under the Idempotency-Key; where it is stored already, that."""
    account_id = call.caller.account_id
    oldest = call.now - int(call.api.settings.idempotency_hours * _HOUR_MS)
    if earlier := idempotency.stored(tx, account_id, key, fingerprint=fingerprint, oldest=oldest):
        return answers.repeated(earlier, headers=call.headers)
    answer = act(tx)
    idempotency.store(tx, account_id, key, fingerprint=fingerprint, answer=answer.body.decode(), now=call.now)
    return answer


def _create(call: Call, tx: sa.Connection, asked: wire.Generate) -> Answer:
    if call.received is None:
        return submit(call, tx, asked, lambda: _track(call, tx, asked))
    track, url = call.received
    return submit(call, tx, asked.model_copy(update={"audio_url": url}), lambda: track)


def submit(call: Call, tx: sa.Connection, asked: wire.Generate, find: Callable[[], Track | None]) -> Answer:
    """Store what is asked for, of the track that `find` finds, within the caller's limits."""
    api, caller = call.api, call.caller
    maintenance.refuse(tx)
    accounts.hold_open(tx, caller.account_id)  # so that creates at once are counted one after another
    call.headers |= api.creates.take(tx, caller.account_id, now=call.now).fields
    track = find()
    submission = tasks.Submission(
        account_id=caller.account_id,
        key_id=caller.key_id,
        kind=asked.kind,
        format=asked.format or api.settings.formats[0],
        dialect=caller.dialect,
        cost=api.settings.cost(asked.kind, asked.model),
        track=track,
        audio_url=None if track and track.blob else asked.audio_url,
        stem_name=asked.stem_name if asked.kind == "split_stem_advanced" else None,
        model=asked.model,
        callback_url=asked.callback_url,
        priority=asked.priority or 0,
        base_url=call.base_url,
        request_id=call.request_id,
    )
    task = tasks.submit(tx, submission, max_queued=api.settings.max_queued_per_account, now=call.now)
    call.afterwards.append(lambda: _tell(api, task))
    return answers.success({"taskId": task.id}, headers=call.headers)


def _tell(api: Api, task: tasks.Task) -> None:
    about = {"request_id": task.request_id, "task_id": task.id}
    log.info("task %s accepted: %s, cost %d", task.id, task.kind, task.cost, extra=about)
    api.counts.charged(task.kind, task.cost)


def _track(call: Call, tx: sa.Connection, asked: wire.Generate) -> Track | None:
    """What is to be separated when we hold it already: by its ids, or by the address of one of our own files."""
    if asked.task_id is not None and asked.audio_id is not None:
        return tracks.find(tx, call.caller.account_id, asked.task_id, asked.audio_id, now=call.now)
    blob = own_blob(call, asked.audio_url or "")
    return _of_blob(tx, call.caller.account_id, blob, now=call.now) if blob else None


def own_blob(call: Call, url: str) -> str | None:
    """The blob that `url` names when it is an address of ours, as we tell them or as this request came; we do not fetch
    from ourselves."""
    for ours in (call.base_url, f"//{call.sent.get('host', '')}"):
        try:
            base, parts = urlsplit(ours), urlsplit(url)
        except ValueError:  # brackets that are no address
            continue
        files = f"{base.path.rstrip('/')}/s/"
        if parts.netloc == base.netloc and parts.path.startswith(files):
            return parts.path.removeprefix(files)
    return None


def _of_blob(tx: sa.Connection, account_id: str, blob: str, *, now: int) -> Track:
    track = tracks.by_blob(tx, blob)
    if track is not None and track.is_kept(now):
        return track if track.account_id == account_id else _anonymous(track)
    found = tasks.by_stem(tx, blob)
    if found is None or not found[0].is_kept(now):
        raise errors.TrackNotFound
    task, stem = found
    return _anonymous(Track(stem.id, task.id, account_id, blob, stem.bytes, task.created))


def _anonymous(track: Track) -> Track:
    """The same bytes under new ids: whoever knows a file's name may use it, not learn whose it is."""
    return dataclasses.replace(track, task_id=tracks.new_task_id(), audio_id=tracks.new_audio_id())
