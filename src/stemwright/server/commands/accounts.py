"""`stemwright accounts`: who they are, and how much of the fleet each may have."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import App, Parameter, validators

from stemwright.errors import NotConfirmed
from stemwright.server.clock import now_ms
from stemwright.server.commands.speaking import (
    AccountName,
    AsJson,
    Data,
    clock_time,
    everything,
    rows,
    say,
    transaction,
    view,
)
from stemwright.terminal import plain

accounts = App(name="accounts", help="Accounts: list, share, close.")


@accounts.command(name="list")
def list_accounts(*, data: Data = None, as_json: AsJson = False) -> None:
    """List the accounts with their credits, their unfinished tasks and their share of the fleet."""
    from stemwright.server import operating

    with view(data) as tx:
        found = operating.accounts(tx)
    ends = [{"end": f"  closed {clock_time(row['closed'])}" if row["closed"] else ""} for row in found]
    shown = found if as_json else [row | end for row, end in zip(found, ends, strict=True)]
    rows(shown, "{name}  {balance} credits  {unfinished} unfinished  share {share}{end}", as_json=as_json)


@accounts.command
def share(
    account: AccountName,
    share: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=1000))],
    /,
    *,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Give an account so many slots of the fleet for each one of an account with share 1.

    Parameters
    ----------
    share
        From 1, which every account begins with, to 1000.
    """
    from stemwright.server import accounts as domain

    with transaction(data) as tx:
        domain.set_share(tx, domain.by_name(tx, account).id, share)
    say({"account": account, "share": share}, "{account} has share {share}.", as_json=as_json)


_ENDS = """Account {account}, made {made}:
  {keys} keys end, and {unfinished} unfinished tasks, whose credits go back; {callbacks} callbacks are not sent
  {songs} songs and the stems of its tasks, {stems} files, are deleted: {bytes} bytes
  {tasks} tasks keep kind, price and times alone; its ledger stays, with {balance} credits and {reasons} reasons"""


@accounts.command
def close(
    account: AccountName,
    /,
    *,
    yes: Annotated[bool, Parameter(negative="")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """End an account: its keys, its unfinished tasks, its files, and whatever tells of its owner. It cannot be undone.

    Tells first what that is, in numbers; without --yes it asks on a terminal, and changes nothing anywhere else.

    Parameters
    ----------
    yes
        Do not ask.
    """
    from stemwright.server import closing

    with view(data) as tx:
        found = closing.look(tx, account, now=now_ms())
    if not yes:
        say(found | ({} if as_json else {"made": clock_time(found["created"])}), _ENDS, as_json=as_json)
        _confirm(account, is_asked=not as_json and sys.stdin.isatty() and sys.stdout.isatty())
    with everything(data) as (database, blobs):
        done = closing.close(database, blobs, account, now=now_ms())
    told = "Account {account} is closed, and called {now}."
    if done["wait"]:
        told = (
            "Account {account} is closed. {wait} of its songs and tasks wait for tasks of others; then the rest goes."
        )
    say(found | done if as_json else done, told, as_json=as_json)


def _confirm(name: str, *, is_asked: bool) -> None:
    """Raises NotConfirmed unless somebody on the terminal types the name."""
    if is_asked:
        print(f"Type {plain(name)} to close it: ", end="", file=sys.stderr, flush=True)
    if not is_asked or sys.stdin.readline().strip() != name:
        raise NotConfirmed(name=name)
