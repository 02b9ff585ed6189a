"""`stemwright workers`: who works, on what, and who has ended."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from stemwright.server.commands.speaking import AsJson, Data, read_settings, rows, view


def workers(
    *, ended: Annotated[bool, Parameter(negative="")] = False, data: Data = None, as_json: AsJson = False
) -> None:
    """List the workers: where they run, since when, what they do, and when they last gave a sign of life.

    Parameters
    ----------
    ended
        Also those that have ended in the last 30 days.
    """
    from stemwright.server import operating

    dead_after_ms = int(read_settings(data).dead_after_seconds * 1000)
    with view(data) as tx:
        found = operating.workers(tx, dead_after_ms=dead_after_ms, ended=ended)
    text = "{id}  {state:<8}  {busy}/{slots}  {version}  {model} on {device}  seen {seen_seconds:.0f} s ago  {on}"
    shown = [row | {"on": ", ".join(row["tasks"])} for row in found]
    rows(found if as_json else shown, text, as_json=as_json)
