"""`stemwright callbacks`: which did not arrive, and once more."""

from __future__ import annotations

from typing import Literal

from cyclopts import App

from stemwright.server.commands.speaking import (
    AsJson,
    Data,
    Limit,
    OneAccount,
    TaskId,
    clock_time,
    of_each,
    rows,
    say,
    transaction,
    view,
)

callbacks = App(name="callbacks", help="Callbacks: list, resend.")


@callbacks.command(name="list")
def list_callbacks(
    *,
    state: Literal["pending", "delivered", "failed"] | None = None,
    account: OneAccount = None,
    limit: Limit = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List callbacks, newest first, with how the last attempt went; never the query of their addresses.

    Parameters
    ----------
    state
        Only those in this state.
    """
    from stemwright.server import operating

    with view(data) as tx:
        found = operating.callbacks(tx, state=state, account=account, limit=limit)
    shown = [row | {"time": clock_time(row["last_attempt"]), "told": row["last_error"] or ""} for row in found]
    text = "{task}  {state:<9}  attempts {attempts}  {time}  {account}  {url}  {told}"
    rows(found if as_json else shown, text, as_json=as_json)


@callbacks.command
def resend(*ids: TaskId, data: Data = None, as_json: AsJson = False) -> int:
    """Deliver the callbacks of ended tasks once more, under the same webhook-id."""
    from stemwright.server import workflows

    def send(task: str) -> None:
        with transaction(data) as tx:
            delivery = workflows.resend(tx, task)
        shown = {"task": task, "id": delivery.id, "attempt": delivery.attempts + 1}
        say(shown, "The callback of task {task} is on its way (attempt {attempt}).", as_json=as_json)

    return of_each(ids, send)
