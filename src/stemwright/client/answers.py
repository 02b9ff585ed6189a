"""Answers become values or errors: both dialects' codes, in the body or in the HTTP status."""

from __future__ import annotations

import re
from typing import Any

import httpx2

from stemwright import errors

_KINDS: dict[int, type[errors.Refused]] = {
    400: errors.BadRequest,
    401: errors.KeyRefused,
    402: errors.NoCreditsLeft,
    403: errors.KeyRefused,
    404: errors.NotThere,
    405: errors.TooManyRequests,
    409: errors.Conflicting,
    410: errors.NotThere,
    413: errors.TooBig,
    422: errors.BadRequest,
    429: errors.TooManyRequests,
    430: errors.TooManyRequests,
    451: errors.BadRequest,
    455: errors.InMaintenance,
    503: errors.InMaintenance,
}


def data_of(answer: httpx2.Response) -> Any:
    """`data` of an answer that says 200 in its body, whatever its HTTP status; raises NotAnApi or a kind of Refused."""
    url = str(answer.request.url.copy_with(query=None))
    try:
        told = answer.json()
        code = int(told["code"])
    except (ValueError, KeyError, TypeError, RecursionError):
        if answer.status_code < 400 or answer.status_code in (404, 405):
            raise errors.NotAnApi(url=url, status=answer.status_code) from None
        told, code = {}, answer.status_code  # a proxy in between has its say
    if code == 200 and answer.status_code < 400:
        return told.get("data")
    message = str(told.get("msg") or answer.reason_phrase)
    raise _kind(code, message)(
        url=url, code=code, message=message, retry_after=_retry_after(answer), request_id=told.get("requestId")
    )


def _kind(code: int, message: str) -> type[errors.Refused]:
    # 429 is "no credits" in one dialect and "too often" in the other: their sentences tell them apart.
    if code == 429 and re.search(r"credit|balance", message, re.IGNORECASE):
        return errors.NoCreditsLeft
    return _KINDS.get(code) or (errors.ServerFault if code >= 500 else errors.Refused)


def _retry_after(answer: httpx2.Response) -> float | None:
    """Seconds; the form with a date is rare and left to our own back-off."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
