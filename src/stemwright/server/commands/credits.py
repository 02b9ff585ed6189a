"""`stemwright credits`: what it costs, and the proof that it adds up."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter, validators

from stemwright.errors import LedgerBroken
from stemwright.server.clock import now_ms
from stemwright.server.commands.speaking import (
    AccountName,
    AsJson,
    Data,
    Limit,
    OneAccount,
    clock_time,
    rows,
    say,
    show,
    transaction,
    view,
)
from stemwright.server.credits import MOST_AT_ONCE

credits = App(name="credits", help="Credits: grant, grants, balance, ledger, audit.")


def _some(_type: object, amount: int) -> None:
    if not amount:
        raise ValueError("Must be another number than 0: the ledger keeps every row for ever.")


Amount = Annotated[int, Parameter(validator=[validators.Number(gte=-MOST_AT_ONCE, lte=MOST_AT_ONCE), _some])]


@credits.command
def grant(
    account: AccountName,
    amount: Amount,
    /,
    *,
    reason: Annotated[str, Parameter(show_default=False)] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Give credits to an account; a negative amount takes them back.

    Parameters
    ----------
    amount
        How many.
    reason
        Why, for the ledger.
    """
    from stemwright.server import accounts
    from stemwright.server import credits as ledger

    with transaction(data) as tx:
        entry = ledger.grant(tx, accounts.by_name(tx, account).id, amount, reason=reason, now=now_ms())
    shown = {"account": account, "amount": amount, "balance": entry.balance}
    say(shown, "{account} has {balance} credits.", as_json=as_json)


@credits.command
def balance(account: OneAccount = None, /, *, data: Data = None, as_json: AsJson = False) -> None:
    """Show the credits of one account, or of all."""
    from stemwright.server import accounts
    from stemwright.server import credits as ledger

    with view(data) as tx:
        owners = [accounts.by_name(tx, account)] if account else accounts.listing(tx)
        shown = [{"account": owner.name, "balance": ledger.balance(tx, owner.id)} for owner in owners]
    if account and as_json:
        show(shown[0])
        return
    rows(shown, "{account}  {balance}", as_json=as_json)


@credits.command(name="ledger")
def show_ledger(account: AccountName, /, *, limit: Limit = 50, data: Data = None, as_json: AsJson = False) -> None:
    """Show what was granted, charged and refunded, newest first."""
    from stemwright.server import accounts
    from stemwright.server import credits as ledger

    with view(data) as tx:
        found = ledger.ledger(tx, accounts.by_name(tx, account).id, limit=limit)
    shown = [vars(entry) | {"time": clock_time(entry.created), "task_id": entry.task_id or "-"} for entry in found]
    told = [vars(entry) for entry in found] if as_json else shown
    rows(told, "{sequence}  {time}  {kind:6}  {amount:+d}  = {balance}  {task_id}  {reason}", as_json=as_json)


@credits.command
def grants(account: OneAccount = None, /, *, limit: Limit = 50, data: Data = None, as_json: AsJson = False) -> None:
    """Show what was given and taken back by hand, to one account or to all: when, how much and why, newest first."""
    from stemwright.server import operating

    with view(data) as tx:
        found = operating.grants(tx, account=account, limit=limit)
    shown = [row | {"time": clock_time(row["created"])} for row in found]
    rows(found if as_json else shown, "{time}  {account}  {amount:+d}  = {balance}  {reason}", as_json=as_json)


@credits.command
def audit(*, data: Data = None, as_json: AsJson = False) -> None:
    """Prove that the ledger agrees with itself and with the tasks; exit status 1 when it does not."""
    from stemwright.server import credits as ledger
    from stemwright.server.store.database import take_time

    with view(data) as tx:
        take_time(tx)
        wrong = ledger.audit(tx)
    if as_json:
        show({"agrees": not wrong, "wrong": wrong})
    if wrong:
        raise LedgerBroken(wrong="; ".join(wrong))
    if not as_json:
        print("The ledger agrees with itself and with the tasks.")
