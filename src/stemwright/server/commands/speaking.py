"""How the service's commands open the data, and how they speak: one line for people, JSON for machines."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import sqlalchemy as sa
from cyclopts import Parameter, validators
from pydantic import ValidationError

from stemwright.errors import BadSetting, NoCallback, StillDelivering, TaskEnded, TaskNotFound
from stemwright.server.logs import cleaned
from stemwright.server.settings import Settings, idle
from stemwright.terminal import plain

if TYPE_CHECKING:
    from stemwright.server.store.blobs import Blobs
    from stemwright.server.store.database import Database

HOUR_MS = 3_600_000

Data = Annotated[Path | None, Parameter(name="--data", help="The data folder; default: STEMWRIGHT_DATA, or ./data.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, for machines.")]
AccountName = Annotated[str, Parameter(help="Name of the account.")]
OneAccount = Annotated[str | None, Parameter(help="Name of the account; all by default.")]
TaskId = Annotated[str, Parameter(name="task", required=True, help="Ids of the tasks.")]
Limit = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=1_000_000), help="How many at most.")]


def read_settings(data: Path | None, **given: Any) -> Settings:
    """The environment's settings, with what the command line gives instead."""
    chosen = {name: value for name, value in {"data": data, **given}.items() if value is not None}
    try:
        return Settings(**chosen)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        name = f"--{field}" if field in chosen else f"STEMWRIGHT_{field.upper()}"
        value = ",".join(first["input"]) if isinstance(first["input"], tuple) else first["input"]
        reason = first["msg"].removeprefix("Value error, ")
        shown = cleaned(value) if isinstance(value, str) else value  # a password may stand in an address
        raise BadSetting(name=name, value=shown, reason=reason[:1].lower() + reason[1:]) from None


def begin_to_log(settings: Settings) -> None:
    """Logs as the settings say; the first line tells what the environment sets to no effect."""
    from stemwright.server import logs

    logs.configure(settings.log_level, form=settings.log_format)
    if strangers := idle(settings, os.environ):
        logging.getLogger("stemwright.settings").warning("nothing reads %s", ", ".join(strangers))


@contextmanager
def transaction(data: Path | None, *, begin: bool = False) -> Iterator[sa.Connection]:
    """One transaction on the data that the settings name; `begin` makes it where there is none."""
    with _opened(data, begin=begin) as database, database.transaction() as tx:
        yield tx


@contextmanager
def view(data: Path | None) -> Iterator[sa.Connection]:
    """Looks at the data that the settings name, and waits for nobody who writes."""
    with _opened(data) as database, database.read() as tx:
        yield tx


@contextmanager
def everything(data: Path | None) -> Iterator[tuple[Database, Blobs]]:
    """The database and the files that the settings name, both tried out."""
    from stemwright.server import opening

    with _opened(data) as database:
        yield database, opening.open_store(read_settings(data))


@contextmanager
def _opened(data: Path | None, *, begin: bool = False) -> Iterator[Database]:
    from stemwright.server import opening

    settings = read_settings(data)
    database = opening.open_database(settings, begin=begin)
    try:
        with opening.telling(settings.data, database=settings.database):
            yield database
    finally:
        database.dispose()


def say(shown: dict[str, Any], text: str, *, as_json: bool) -> None:
    """One object: as JSON, or as the text with its fields."""
    if as_json:
        show(shown)
    else:
        print(text.format(**shown))


def of_each(ids: Iterable[str], act: Callable[[str], None]) -> int:
    """Does it with one task after the other; those that it cannot be done with are told. Returns the exit status."""
    status = 0
    for task in dict.fromkeys(ids):
        try:
            act(task)
        except (TaskNotFound, TaskEnded, NoCallback, StillDelivering) as refusal:
            print(f"stemwright: {refusal}", file=sys.stderr)
            status = 1
    return status


def show_key(shown: dict[str, Any], remark: str, *, as_json: bool) -> None:
    """The key alone on stdout, so that a shell can take it; what people need to know of it on stderr."""
    say(shown, "{key}", as_json=as_json)
    if not as_json:
        print(remark.format(**shown), file=sys.stderr)


def rows(shown: list[dict[str, Any]], text: str, *, as_json: bool) -> None:
    """Many of them: as a JSON list, or a line each; that there are none is said beside the output."""
    if as_json:
        show(shown)
        return
    if not shown:
        print("There are none.", file=sys.stderr)
    for row in shown:
        print(plain(text.format(**row)))  # clients name their keys and addresses


def show(shown: object) -> None:
    """JSON, a line."""
    print(json.dumps(shown, default=str), flush=True)


def clock_time(milliseconds: int | None) -> str:
    """Epoch milliseconds for people, in UTC: `2026-11-21 03:14:15`."""
    if milliseconds is None:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
