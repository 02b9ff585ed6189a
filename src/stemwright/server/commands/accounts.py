"""`stemwright accounts`: who they are, and how much of the fleet each may have."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter, validators

from stemwright.server.commands.speaking import AccountName, AsJson, Data, rows, say, transaction, view

accounts = App(name="accounts", help="Accounts: list, share.")


@accounts.command(name="list")
def list_accounts(*, data: Data = None, as_json: AsJson = False) -> None:
    """List the accounts with their credits, their unfinished tasks and their share of the fleet."""
    from stemwright.server import operating

    with view(data) as tx:
        found = operating.accounts(tx)
    rows(found, "{name}  {balance} credits  {unfinished} unfinished  share {share}", as_json=as_json)


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
