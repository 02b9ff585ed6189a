"""`stemwright tasks`: what runs, what went wrong, and what to do about it."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from stemwright.server.clock import now_ms
from stemwright.server.commands.speaking import (
    AsJson,
    Data,
    Limit,
    OneAccount,
    TaskId,
    clock_time,
    of_each,
    read_settings,
    rows,
    say,
    show,
    transaction,
    view,
)
from stemwright.terminal import plain

tasks = App(name="tasks", help="Tasks: list, show, cancel, retry.")

WAITS_FOR = {
    "worker": "waits: no worker is there to take it",
    "account": "waits: its account runs as many tasks at once as it may",
    "short_slots": "waits: the slots that are left are for separate_vocal",
    "turn": "waits for its turn: every slot is taken, or soon will be",
    "start": "waits for its worker to begin",
}

_MOMENTS = ("created", "released", "started", "completed", "expires", "gone", "deleted", "last_attempt")
State = Literal["queued", "fetching", "separating", "storing", "finished", "failed", "cancelled"]


@tasks.command(name="list")
def list_tasks(
    *,
    state: State | None = None,
    unfinished: Annotated[bool, Parameter(negative="")] = False,
    account: OneAccount = None,
    limit: Limit = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List tasks of every account, newest first, and tell what those wait for that have not begun.

    Parameters
    ----------
    state
        Only those in this state.
    unfinished
        Only those that have not ended, oldest first.
    """
    from stemwright.server import operating

    with view(data) as tx:
        chosen = {"state": state, "unfinished": unfinished, "account": account, "limit": limit}
        found = operating.tasks(tx, **chosen, settings=read_settings(data))
        closed = operating.closed_since(tx)
    if closed is not None and not as_json:
        print(f"Maintenance is on since {clock_time(closed)}: no new task is taken.", file=sys.stderr)
    shown = [row | {"time": clock_time(row["created"]), "told": row["error"] or _reason(row)} for row in found]
    text = "{id}  {time}  {state:<10}  {progress:3.0f} %  {kind}  {account}  {told}"
    rows(found if as_json else shown, text, as_json=as_json)


@tasks.command(name="show")
def show_task(task: str, /, *, data: Data = None, as_json: AsJson = False) -> None:
    """Show everything about one task: its input, its attempts, its worker, its files and its callback.

    Parameters
    ----------
    task
        Id of the task.
    """
    from stemwright.server import operating

    with view(data) as tx:
        found = operating.task(tx, task, settings=read_settings(data))
    if as_json:
        show(found)
        return
    for name, value in found.items():
        print(plain(f"{name:<16} {_told(name, value)}"))


@tasks.command
def cancel(*ids: TaskId, data: Data = None, as_json: AsJson = False) -> int:
    """End tasks that have not ended; their credits go back and their owners are told."""
    from stemwright.server import workflows

    def end(task: str) -> None:
        with transaction(data) as tx:
            ended = workflows.cancel(tx, task)
        shown = {"id": task, "state": ended.state, "refunded": ended.cost}
        say(shown, "Task {id} is cancelled; {refunded} credits went back.", as_json=as_json)

    return of_each(ids, end)


@tasks.command
def retry(
    task: str,
    /,
    *,
    free: Annotated[bool, Parameter(negative="")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Ask once more for what an ended task asked for: a new task with a new id and the same callback.

    Parameters
    ----------
    task
        Id of the ended task.
    free
        Take no credits for it; otherwise it costs what the first one did.
    """
    from stemwright.server import tasks as domain

    with transaction(data) as tx:
        made = domain.again(tx, task, free=free, now=now_ms())
    shown = {"id": made.id, "retries": task, "cost": made.cost}
    say(shown, "Task {id} asks again for what {retries} asked for ({cost} credits).", as_json=as_json)


def _reason(row: dict[str, Any]) -> str:
    return WAITS_FOR.get(row["waits_for"], "")


def _told(name: str, value: Any) -> Any:
    if name in _MOMENTS:
        return clock_time(value)
    if name == "waits_for" and value:
        return WAITS_FOR[value]
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{part} {_told(part, its)}" for part, its in value.items())
    return "-" if value is None else value
