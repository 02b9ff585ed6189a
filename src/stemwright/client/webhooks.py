"""Callbacks as their receiver sees them: is it genuine, is it new, and what does it tell."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Literal

from stemwright.client.records import Record
from stemwright.errors import StaleWebhook, WrongSignature

Form = Literal["any", "standard", "suno"]

TOLERANCE_SECONDS = 300


def verify_webhook(
    headers: Mapping[str, str],
    body: bytes,
    secret: str,
    *,
    form: Form = "any",
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now: int | None = None,
) -> Record:
    """What a callback tells, once its signature has proved genuine and its time new; `body` as it came, byte for byte.

    Both forms are known: Standard Webhooks 1.0.0 (`webhook-signature`, covers the body) and the Suno API's own
    (`X-Webhook-Signature`, covers the task's id and the time alone). Every form that is there has to be right. Where
    the sender has both, as ours does, `form="standard"` keeps a forger from sending the weaker one. `now` in epoch
    milliseconds. Raises WrongSignature, StaleWebhook.
    """
    sent = {name.lower(): value for name, value in headers.items()}
    record = read_callback(body)
    stamps: list[str] = []
    if form != "suno" and "webhook-signature" in sent:
        stamps.append(_check_standard(sent, body, secret))
    if form != "standard" and "x-webhook-signature" in sent:
        stamps.append(_check_suno(sent, record.task_id, secret))
    if not stamps:
        raise WrongSignature(reason="it carries none")
    now = time.time_ns() // 1_000_000 if now is None else now
    for stamp in stamps:
        _check_time(stamp, now / 1000, tolerance_seconds)
    return record


def read_callback(body: bytes) -> Record:
    """What a callback tells, whoever sent it; raises WrongSignature where it is none."""
    try:
        return Record.of_callback(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise WrongSignature(reason="its body is not that of a callback") from None


def _check_standard(sent: Mapping[str, str], body: bytes, secret: str) -> str:
    message_id, stamp = sent.get("webhook-id", ""), sent.get("webhook-timestamp", "")
    expected = _hmac(_standard_key(secret), f"{message_id}.{stamp}.".encode() + body)
    given = [text.removeprefix("v1,") for text in sent["webhook-signature"].split() if text.startswith("v1,")]
    # All of them are compared, so that the time taken tells nothing.
    if not sum([_same(expected, text) for text in given]):
        raise WrongSignature(reason="its webhook-signature does not fit")
    return stamp


def _check_suno(sent: Mapping[str, str], task_id: str, secret: str) -> str:
    stamp = sent.get("x-webhook-timestamp", "")
    if not _same(_hmac(secret.encode(), f"{task_id}.{stamp}".encode()), sent["x-webhook-signature"]):
        raise WrongSignature(reason="its X-Webhook-Signature does not fit")
    return stamp


def _check_time(stamp: str, now_seconds: float, tolerance_seconds: float) -> None:
    try:
        age_seconds = now_seconds - int(stamp)
    except ValueError:
        raise WrongSignature(reason="its timestamp is not a number") from None
    if abs(age_seconds) > tolerance_seconds:
        raise StaleWebhook(age=round(age_seconds), tolerance=round(tolerance_seconds))


def _standard_key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return secret.encode()


def _hmac(key: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.strip().encode("utf-8", "replace"))
