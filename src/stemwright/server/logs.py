"""Logging of the service: one line per event on standard error, as text or JSON, with the request and task it is about.

No line has a secret in it: whatever looks like a key, or like the query of an address, is cut out at the last moment.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar

FIELDS = ("request_id", "task_id", "callback_id", "worker_id")


def _without_query(address: re.Match[str]) -> str:
    return f"{address[1]}?…" if address[2] else address[1]


# Each takes time in proportion to the line: no pattern begins again within what it has looked through in vain.
_SECRETS = (
    (re.compile(r"\b(sw|whsec)_[\w+/=-]{8,}"), r"\1_…"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.+/=~-]{6,}"), r"\1 …"),
    (re.compile(r"\b(\w++://)[^\s/'\"]+@"), r"\1…@"),  # to the last @: a password may have one
    (re.compile(r"((?:https?|postgresql[\w+]{0,30})://[^\s?'\"<>]*+)(?:(\?)[^\s'\"<>]*+)?"), _without_query),
)
_child = logging.getLogger("stemwright.child")
_about: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039  never changed, only replaced


def configure(level: str, *, form: str = "text") -> None:
    """Sets the format for this process (`text` or `json`); libraries speak up only when something is wrong."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level="WARNING", handlers=[handler], force=True)
    logging.getLogger("stemwright").setLevel(level)


@contextmanager
def about(**facts: str | None) -> Iterator[None]:
    """What the lines of this thread or task are about: `request_id`, `task_id` …"""
    token = _about.set(_about.get() | {name: value for name, value in facts.items() if value})
    try:
        yield
    finally:
        _about.reset(token)


def overhear(pipe: Iterable[str], about: Callable[[], Mapping[str, str]]) -> None:
    """What a child or a library in it complains of becomes lines of our log, with what it is about; until it ends."""
    with suppress(ValueError, OSError):
        for line in pipe:
            if text := line.strip():
                _child.warning("%s", text, extra=about())


def cleaned(text: str) -> str:
    """The text without keys, passwords and the queries of addresses."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class _Text(logging.Formatter):
    """`2026-11-21T09:00:00.123Z INFO stemwright.worker message [task_id=…]`."""

    converter = time.gmtime

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line, and what it is about."""
        facts = " ".join(f"{name}={value}" for name, value in _facts(record).items())
        return super().formatMessage(record) + (f" [{facts}]" if facts else "")

    def format(self, record: logging.LogRecord) -> str:
        """The line, with its traceback if there is one, and without secrets."""
        return cleaned(super().format(record))


class _Json(logging.Formatter):
    """One JSON object for each event."""

    def format(self, record: logging.LogRecord) -> str:
        """The object as one line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        told = {"time": stamp, "level": record.levelname, "logger": record.name, "process": record.process}
        told["message"] = cleaned(record.getMessage())
        if record.exc_info:
            told["exception"] = cleaned(self.formatException(record.exc_info))
        return json.dumps(told | _facts(record), ensure_ascii=False)


def _facts(record: logging.LogRecord) -> dict[str, str]:
    found = _about.get() | {name: getattr(record, name) for name in FIELDS if getattr(record, name, None)}
    return {name: cleaned(found[name]) for name in FIELDS if name in found}
