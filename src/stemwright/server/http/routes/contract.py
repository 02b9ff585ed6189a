"""The published contract: as JSON, as a page, and in short for language models."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import yaml

from stemwright.server.http.answers import Answer, plain
from stemwright.server.http.calls import Call

# The page runs only what it carries, and talks to this server alone.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"


def openapi(call: Call) -> Answer:
    """`GET /openapi.json`: the contract, with this server's own address in it."""
    return plain(document() | {"servers": [{"url": call.base_url}]})


def docs(_call: Call) -> Answer:
    """`GET /docs`: a page that shows the contract; it needs no other origin."""
    return Answer(200, _packaged("docs.html"), "text/html; charset=utf-8", {"Content-Security-Policy": _POLICY})


def llms(_call: Call) -> Answer:
    """`GET /llms.txt`."""
    return Answer(200, _packaged("llms.txt"), "text/plain; charset=utf-8")


@functools.cache
def document() -> dict[str, Any]:
    """The contract as written in `contract/openapi.yaml`."""
    return _written("openapi.yaml")


@functools.cache
def console() -> dict[str, Any]:
    """The contract of the console's own API, as written in `contract/console.yaml`."""
    return _written("console.yaml")


def _written(name: str) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(_packaged(name), Loader=loader)  # noqa: S506, TID251  the safe one, in C; the file is ours


@functools.cache
def _packaged(name: str) -> bytes:
    return (resources.files("stemwright.server.http") / "page" / name).read_bytes()
