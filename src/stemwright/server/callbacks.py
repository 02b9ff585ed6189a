"""Callbacks: what is told when a task has ended, how it is signed, and when it is tried again."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stemwright.errors import AddressError
from stemwright.server import network
from stemwright.server.stem_names import LABELS, NEAREST, label
from stemwright.server.tasks import Stem, Task

DELAYS_SECONDS = (0.0, 60.0, 300.0, 900.0)

# Some clients look for words in the sentence, so each dialect keeps its upstream's, letter for letter.
_DONE = {
    "apikley": "vocal separation generated successfully.",
    "sunoapi": "vocal Removal generated successfully.",
}
# Stems that have a field of their own; what else a model gives is in the list of all files.
_FIELDS = {*LABELS, "piano"}
_FAILED = "Vocal separation failed"
_FAILURE_CODES = {"sunoapi": {"input": 400, "fetch": 451}}


@dataclass(frozen=True)
class Attempt:
    """How one delivery went: the receiver's HTTP status, or why there was none."""

    status: int | None
    error: str | None

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it: any 2xx."""
        return self.status is not None and 200 <= self.status < 300


def delay_seconds(number: int, delays: Sequence[float] = DELAYS_SECONDS) -> float | None:
    """How long to wait before attempt `number` (from 1) after the one before it; None when there is no such attempt."""
    return delays[number - 1] if number <= len(delays) else None


def attempt(
    client: network.Client, url: str, body: bytes, *, headers: dict[str, str], timeout_seconds: float = 15.0
) -> Attempt:
    """Deliver once. Never raises for what the receiver does or is: that is the answer."""
    try:
        status = client.post_json(url, body, headers=headers, seconds=timeout_seconds)
    except AddressError as fault:
        return Attempt(status=None, error=str(fault))
    return Attempt(status=status, error=None if 200 <= status < 300 else f"The receiver answered HTTP {status}.")


# ---- what is said ----------------------------------------------------------------------------------------------------


def payload(task: Task, stems: Sequence[Stem], *, base_url: str) -> bytes:
    """The body for an ended task, in the dialect of the key that asked; its stems' URLs begin with `base_url`."""
    info = _info(task, stems, base_url) if task.flag == "SUCCESS" else None
    message = _DONE[task.dialect] if info else _FAILED
    data = {"task_id": task.id, "vocal_separation_info": info, "vocal_removal_info": info}
    code = 200 if info else failure_code(task)
    return json.dumps({"code": code, "msg": message, "data": data}, separators=(",", ":")).encode()


def failure_code(task: Task) -> int:
    """The code a failed task has on the wire."""
    return _FAILURE_CODES.get(task.dialect, {}).get(task.failure or "", 500)


def url_key(stem_name: str) -> str:
    """The wire's name of a stem's URL, in snake case: `vocals` → `vocal_url`."""
    return {"vocals": "vocal"}.get(stem_name, stem_name) + "_url"


def file_url(base_url: str, blob: str) -> str:
    """Where a stored file is served. The name ends in its extension and nothing follows: clients test for that."""
    return f"{base_url.rstrip('/')}/s/{blob}"


def group_name(stem_name: str) -> str:
    """What people call a stem: `backing_vocals` → `Backing Vocals`."""
    return label(stem_name).replace("_", " ")


def origin_data(task: Task, stems: Sequence[Stem], base_url: str) -> list[dict[str, Any]]:
    """The list that describes every file; for `split_stem_advanced` one pair: the stem, and everything except it."""
    if task.kind != "split_stem_advanced":
        return [_described(stem, group_name(stem.name), base_url, stem.model or task.model) for stem in stems]
    name, mapped = task.stem_name or "", {"mapped_to": stems[0].name}
    pair = zip(("extract", "remove"), stems, strict=False)
    return [{role: _described(stem, name, base_url, stem.model or task.model) | mapped for role, stem in pair}]


def stem_urls(task: Task, stems: Sequence[Stem], base_url: str) -> dict[str, str]:
    """The URLs of those stems that have a field on the wire; for `split_stem_advanced` in that of our nearest stem."""
    if task.kind == "split_stem_advanced":
        mapped = NEAREST.get(task.stem_name or "", "")
        return {url_key(mapped): file_url(base_url, stem.blob) for stem in stems[:1]}
    return {url_key(stem.name): file_url(base_url, stem.blob) for stem in stems if stem.name in _FIELDS}


def _info(task: Task, stems: Sequence[Stem], base_url: str) -> dict[str, Any]:
    info: dict[str, Any] = {"origin_url": "", **stem_urls(task, stems, base_url)}
    if task.kind == "split_stem_advanced" or not {stem.name for stem in stems} <= _FIELDS:
        info["origin_data"] = origin_data(task, stems, base_url)
    return info


def _described(stem: Stem, name: str, base_url: str, model: str | None) -> dict[str, Any]:
    return {
        "duration": round(stem.duration_seconds, 3),
        "audio_url": file_url(base_url, stem.blob),
        "stem_type_group_name": name,
        "id": stem.id,
        "model": model,
    }


# ---- how it is signed ------------------------------------------------------------------------------------------------


def signed_headers(message_id: str, task_id: str, body: bytes, *, secret: str, now: int) -> dict[str, str]:
    """Both signatures with the account's secret: upstream's (of task id and time) and Standard Webhooks' (of the body).

    `message_id` stays the same for every attempt; `now` (epoch milliseconds) is the time of this one.
    """
    timestamp = str(now // 1000)
    return {
        "X-Webhook-Timestamp": timestamp,
        "X-Webhook-Signature": suno_signature(task_id, timestamp, secret),
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": standard_signature(message_id, timestamp, body, secret),
    }


def suno_signature(task_id: str, timestamp: str, secret: str) -> str:
    """base64(HMAC-SHA256(taskId.timestamp)); the key is the secret's text as the account sees it."""
    return _hmac(secret.encode(), f"{task_id}.{timestamp}".encode())


def standard_signature(message_id: str, timestamp: str, body: bytes, secret: str) -> str:
    """`v1,` and the signature of id.timestamp.body (Standard Webhooks 1.0.0), keyed with the base64 after `whsec_`."""
    text = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = secret.encode()
    return "v1," + _hmac(key, f"{message_id}.{timestamp}.".encode() + body)


def _hmac(key: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
