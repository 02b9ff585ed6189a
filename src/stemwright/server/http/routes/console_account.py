"""The console's account: its keys, its ledger and usage, its webhook secret and what was delivered."""

from __future__ import annotations

import secrets
import time
import uuid
from typing import Any

import sqlalchemy as sa

from stemwright import errors
from stemwright.server import accounts, callbacks, credits, keys, network, overview, tasks
from stemwright.server.http import answers, wire, wire_console
from stemwright.server.http.answers import Answer
from stemwright.server.http.calls import Call
from stemwright.server.http.routes.console_tasks import cursor
from stemwright.server.stem_names import LABELS

_HOUR_MS = 3_600_000
_MOST_DAYS = 366
_EXAMPLE_STEMS = ("vocals", "instrumental")


# ---- keys ------------------------------------------------------------------------------------------------------------


def list_keys(call: Call) -> Answer:
    """`GET /console/api/keys`."""
    with call.api.database.read() as tx:
        found = keys.listing(tx, call.caller.account_id)
    shown = [wire_console.key_of(key, current=call.caller.key_id, now=call.now) for key in found]
    return answers.success({"keys": shown[::-1]})


def create_key(call: Call) -> Answer:
    """`POST /console/api/keys`: a new key of the account; its secret is in this answer and nowhere else."""
    asked = wire.parse(call.body).to(wire_console.NewKey)
    networks = _limits(call, asked)
    if asked.admin and "admin" not in call.caller.scopes:
        raise errors.NotAllowed(scope="admin")
    with call.api.database.transaction() as tx:
        own = keys.get(tx, call.caller.key_id)
        key, secret = keys.create(
            tx,
            call.caller.account_id,
            name=asked.name or "",
            dialect=asked.dialect or call.api.settings.dialect,
            scopes=("api", "admin") if asked.admin else ("api",),
            expires=own.expires if asked.expire_time is None else asked.expire_time,
            networks=own.networks if networks is None else networks,
            now=call.now,
        )
        _refuse_freer(key, own)
    return _shown_once(call, key, secret)


def rotate_key(call: Call) -> Answer:
    """`POST /console/api/keys/{keyId}/rotate`: a new key in the place of this one, which stays valid for a while."""
    asked = wire.parse(call.body).to(wire_console.Rotation)
    networks, overlap_ms = _limits(call, asked), int(asked.overlap_hours * _HOUR_MS)
    with call.api.database.transaction() as tx:
        old = _mine(call, tx)
        own = keys.get(tx, call.caller.key_id)
        key, secret = keys.rotate(
            tx, old.id, overlap_ms=overlap_ms, expires=asked.expire_time, networks=networks, now=call.now
        )
        _refuse_freer(key, own)
    return _shown_once(call, key, secret)


def revoke_key(call: Call) -> Answer:
    """`DELETE /console/api/keys/{keyId}`: ends the key, and every session that was opened with it, at once."""
    with call.api.database.transaction() as tx:
        keys.revoke(tx, _mine(call, tx).id, now=call.now)
    return answers.success(None)


def _mine(call: Call, tx: sa.Connection) -> keys.Key:
    key = keys.get(tx, call.scope["path_params"]["keyId"])
    if key.account_id != call.caller.account_id:
        raise errors.KeyNotFound(key=key.id)
    if "admin" in key.scopes and "admin" not in call.caller.scopes:  # a new secret of it would be more than one has
        raise errors.NotAllowed(scope="admin")
    return key


def _refuse_freer(key: keys.Key, own: keys.Key) -> None:
    """Raises InvalidRequest where the new key is good for longer or in more networks than the one signed in with."""
    problem = "must not go beyond that of the key you are signed in with"
    if own.expires is not None and (key.expires is None or key.expires > own.expires):
        raise errors.InvalidRequest(field="expireTime", problem=problem)
    if own.networks and not keys.is_inside(key.networks, own.networks):
        raise errors.InvalidRequest(field="networks", problem=problem)


def _limits(call: Call, asked: wire_console.NewKey | wire_console.Rotation) -> str | None:
    """The networks that a new key is bound to; raises InvalidRequest for these, and for an end in the past."""
    if asked.expire_time is not None and asked.expire_time <= call.now:
        raise errors.InvalidRequest(field="expireTime", problem="must lie in the future")
    try:
        return None if asked.networks is None else keys.networks_of(asked.networks)
    except ValueError as fault:
        raise errors.InvalidRequest(field="networks", problem=str(fault)) from None


def _shown_once(call: Call, key: keys.Key, secret: str) -> Answer:
    shown = wire_console.key_of(key, current=call.caller.key_id, now=call.now)
    return answers.success({"key": shown, "secret": secret})


# ---- credits ---------------------------------------------------------------------------------------------------------


def ledger(call: Call) -> Answer:
    """`GET /console/api/ledger?before=`: the balance, and one page of the lines that led to it."""
    before = _number(call, "before", most=1 << 62)
    with call.api.database.read() as tx:
        balance = credits.balance(tx, call.caller.account_id)
        found = overview.entries(tx, call.caller.account_id, before=before, limit=overview.PAGE + 1)
    shown = found[: overview.PAGE]
    more = shown[-1]["sequence"] if len(found) > len(shown) else None
    return answers.success({"balance": balance, "entries": [wire_console.entry(row) for row in shown], "next": more})


def ledger_table(call: Call) -> Answer:
    """`GET /console/api/ledger.csv`: the whole ledger, oldest line first."""
    with call.api.database.read() as tx:
        found = overview.entries(tx, call.caller.account_id, limit=None)
    lines = [wire_console.entry(row) | {"time": wire.iso(row["created"])} for row in reversed(found)]
    columns = ("sequence", "time", "kind", "amount", "balance", "taskId", "song", "reason")
    return _download(wire_console.table(columns, lines), "ledger.csv")


def usage(call: Call) -> Answer:
    """`GET /console/api/usage?days=&offsetMinutes=`: what was used, by day and key."""
    return answers.success(_usage(call))


def usage_table(call: Call) -> Answer:
    """`GET /console/api/usage.csv`."""
    found = _usage(call)
    names = {key["keyId"]: f"{key['name'] or 'no name'} ({key['hint']}…)" for key in found["keys"]}
    lines = [line | {"key": names.get(line["keyId"], "")} for line in found["days"]]
    return _download(wire_console.table(("date", "key", "keyId", "tasks", "credits", "seconds"), lines), "usage.csv")


def _usage(call: Call) -> dict[str, Any]:
    days = _number(call, "days", most=_MOST_DAYS) or 30
    offset = _number(call, "offsetMinutes", least=-14 * 60, most=14 * 60) or 0
    with call.api.database.read() as tx:
        found = overview.usage(tx, call.caller.account_id, days=days, offset_minutes=offset, now=call.now)
        mine = keys.listing(tx, call.caller.account_id)
    last = (call.now + offset * 60_000) // wire_console.DAY_MS
    return {
        "first": wire_console.date_of(last - days + 1),
        "last": wire_console.date_of(last),
        "keys": [{"keyId": key.id, "name": key.name, "hint": key.hint} for key in mine],
        "days": [wire_console.day(row) for row in found],
    }


def _number(call: Call, name: str, *, least: int = 1, most: int) -> int | None:
    text = call.query.get(name, "").strip()
    if not text:
        return None
    number = int(text) if len(text) < 30 and text.removeprefix("-").isdecimal() else most + 1
    if not least <= number <= most:
        raise errors.InvalidRequest(field=name, problem=f"must be a whole number from {least} to {most}")
    return number


def _download(content: bytes, name: str) -> Answer:
    headers = {"Content-Disposition": f'attachment; filename="stemwright-{name}"', "Cache-Control": "no-store"}
    return Answer(200, content, "text/csv; charset=utf-8", headers)


# ---- callbacks -------------------------------------------------------------------------------------------------------


def deliveries(call: Call) -> Answer:
    """`GET /console/api/callbacks?after=`: one page of callbacks and how they went."""
    with call.api.database.read() as tx:
        found = overview.deliveries(tx, call.caller.account_id, after=cursor(call), limit=overview.PAGE + 1)
    shown = found[: overview.PAGE]
    more = f"{shown[-1]['task_created']}-{shown[-1]['task_id']}" if len(found) > len(shown) else None
    lines = [wire_console.delivery(row) | {"song": wire_console.song_name(row["song"], None)} for row in shown]
    return answers.success({"callbacks": lines, "next": more})


def secret(call: Call) -> Answer:
    """`GET /console/api/secret`: what the account's callbacks are signed with."""
    with call.api.database.read() as tx:
        found = accounts.get(tx, call.caller.account_id).webhook_secret
    return answers.success({"secret": found})


def renew_secret(call: Call) -> Answer:
    """`POST /console/api/secret`: a new one, from the next callback on."""
    with call.api.database.transaction() as tx:
        renewed = accounts.renew_secret(tx, call.caller.account_id)
    return answers.success({"secret": renewed})


def test_delivery(call: Call) -> Answer:
    """`POST /console/api/callbacks/test`: an example, signed like a real one, sent now; says how it went."""
    url = wire.parse(call.body).to(wire_console.TestDelivery).url
    try:
        network.check_url(url)
    except errors.BadUrl as fault:
        raise errors.InvalidRequest(field="url", problem=str(fault)) from None
    with call.api.database.read() as tx:
        key = accounts.get(tx, call.caller.account_id).webhook_secret
    task, stems = _example(call)
    body = callbacks.payload(task, stems, base_url=call.base_url)
    headers = callbacks.signed_headers(f"test_{secrets.token_hex(12)}", task.id, body, secret=key, now=call.now)
    began = time.perf_counter()
    timeout = call.api.settings.callback_timeout_seconds
    answer = callbacks.attempt(call.api.network, url, body, headers=headers, timeout_seconds=timeout)
    took = time.perf_counter() - began
    return answers.success(wire_console.tested(answer, seconds=took, headers=headers, body=body))


def _example(call: Call) -> tuple[tasks.Task, list[tasks.Stem]]:
    """A task that never was, with files that are not there."""
    task = tasks.example(call.caller.account_id, dialect=call.caller.dialect, now=call.now)
    stems = []
    for position, name in enumerate(_EXAMPLE_STEMS):
        stem_id, label = str(uuid.uuid4()), LABELS[name]
        blob = f"{stem_id}_{label}.mp3"
        stems.append(tasks.Stem(stem_id, position, name, label, blob, "mp3", 0, 180.0, False, False, None))  # noqa: FBT003
    return task, stems
