"""The commands that run the service or change what all of it does: serve, worker, migrate, maintenance."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from stemwright.errors import CannotOpenData
from stemwright.server.clock import now_ms
from stemwright.server.commands.speaking import AsJson, Data, begin_to_log, read_settings, say, show, transaction

SCOPES = "--scope api --scope admin"


def serve(
    *,
    data: Data = None,
    host: str | None = None,
    port: int | None = None,
    no_worker: Annotated[bool, Parameter(negative="")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the whole service: the API, and a worker beside it.

    Parameters
    ----------
    host
        Address to listen on; default: STEMWRIGHT_HOST, or 127.0.0.1.
    port
        Port to listen on, 0 for a free one; default: STEMWRIGHT_PORT, or 8000.
    no_worker
        Serve the API only; workers run elsewhere.
    """
    from stemwright.server import api
    from stemwright.server import worker as worker_process

    def ready(address: str, secret: str | None) -> None:
        if as_json:
            show({"event": "ready", "url": address} | ({"account": "admin", "key": secret} if secret else {}))
            return
        print(f"Stemwright is ready at {address} (documentation: {address}/docs). Stop it with Ctrl-C.", flush=True)
        if secret:
            print(_of_first_key(settings.data.resolve(), secret), flush=True)

    settings = read_settings(data, host=host, port=port)
    begin_to_log(settings)
    if not no_worker:
        worker_process.require_models(settings)  # before the address is told; the worker would say so again and again
        worker_process.require_device(settings)
    api.serve(settings, worker=not no_worker, on_ready=ready)


def _of_first_key(data: Path, secret: str) -> str:
    """What is said of the admin's key: itself on a terminal; what nobody may be reading is somebody's log."""
    from stemwright.server import opening

    if sys.stdout.isatty():
        return f"The admin account's key, shown only this once: {secret}"
    try:
        return f"The admin account's key is in {opening.keep_key(data, secret)}. Delete that file once you have it."
    except CannotOpenData as fault:
        return f"The admin account's key is lost: {fault} Make another: stemwright keys create --account admin {SCOPES}"


def worker(*, data: Data = None, device: str | None = None, port: int | None = None) -> None:
    """Run one more worker on the database and the store that the settings name.

    Parameters
    ----------
    device
        What it separates on: cpu, cuda or mps; default: STEMWRIGHT_DEVICE, or a GPU if there is one.
    port
        Port for its health and figures; default: STEMWRIGHT_WORKER_PORT, or none.
    """
    from stemwright.server import worker as process

    settings = read_settings(data, device=device, worker_port=port)
    begin_to_log(settings)
    process.run(settings)


def migrate(*, data: Data = None, as_json: AsJson = False) -> None:
    """Bring the database forward to this version's schema."""
    from stemwright.server import opening, workflows
    from stemwright.server.store import migrations
    from stemwright.server.store.database import Database

    settings = read_settings(data)
    if not settings.database_url:
        opening.make(settings.data)
    with opening.telling(settings.data, database=settings.database):
        database = Database(settings.database)
        found = migrations.version(database)
        migrations.migrate(database)
        workflows.migrate(database)
    told = (
        "A new database has schema {schema}." if found is None else "The database has schema {schema}; it had {found}."
    )
    say({"schema": migrations.HEAD, "found": found}, told, as_json=as_json)


def backup(target: Path, /, *, data: Data = None, as_json: AsJson = False) -> None:
    """Copy the data folder, in use or not, into an empty folder, which is a data folder then.

    Parameters
    ----------
    target
        The folder that takes the copy.
    """
    from stemwright.server import backup as copying
    from stemwright.server import opening

    settings = read_settings(data)
    opening.require(settings)
    with opening.telling(settings.data, database=settings.database):
        found = copying.back_up(settings, target)
    say(
        {"path": str(target), **found},
        "{path} has a copy: the database and {blobs} files of {bytes} bytes.",
        as_json=as_json,
    )


def maintenance(state: Literal["on", "off"] | None = None, /, *, data: Data = None, as_json: AsJson = False) -> None:
    """Turn maintenance on (the API answers code 455, running tasks go on) or off; by itself, tell which it is.

    Parameters
    ----------
    state
        What it shall be; without a word it is only told.
    """
    from stemwright.server import maintenance as switch

    with transaction(data) as tx:
        if state:
            switch.switch(tx, on=state == "on", now=now_ms())
        now = "off" if switch.since(tx) is None else "on"
    say({"maintenance": now}, "Maintenance is {maintenance}.", as_json=as_json)
