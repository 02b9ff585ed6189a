"""The service's commands: serve, worker, migrate, keys, credits, maintenance. Each speaks JSON when asked to."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from cyclopts import App, Parameter, validators
from pydantic import ValidationError

from stemwright.errors import AccountNotFound, BadSetting, LedgerBroken
from stemwright.server.clock import now_ms
from stemwright.server.settings import Dialect, Settings

HOUR_MS = 3_600_000

Data = Annotated[Path | None, Parameter(name="--data", help="The data folder; default: STEMWRIGHT_DATA, or ./data.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, for machines.")]


def _nameable(_type: object, name: str) -> None:
    if not name.strip() or any(sign in "/\\" or unicodedata.category(sign) == "Cc" for sign in name):
        raise ValueError("An account's name is not empty and has no slashes and no control characters.")


keys = App(name="keys", help="API keys: create, list, rotate, revoke.")
credits = App(name="credits", help="Credits: grant, balance, ledger, audit.")


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
    host: Address to listen on; default: STEMWRIGHT_HOST, or 127.0.0.1.
    port: Port to listen on, 0 for a free one; default: STEMWRIGHT_PORT, or 8000.
    no_worker: Serve the API only; workers run elsewhere.
    """
    from stemwright.server import api

    def ready(address: str, secret: str | None) -> None:
        if as_json:
            _print({"event": "ready", "url": address} | ({"account": "admin", "key": secret} if secret else {}))
            return
        print(f"Stemwright is ready at {address} (documentation: {address}/docs). Stop it with Ctrl-C.", flush=True)
        if secret:
            print(f"The admin account's key, shown only this once: {secret}", flush=True)

    api.serve(_settings(data, host=host, port=port), worker=not no_worker, on_ready=ready)


def worker(*, data: Data = None) -> None:
    """Run one more worker on the database and the store that the settings name."""
    from stemwright.server import logs
    from stemwright.server import worker as process

    settings = _settings(data)
    logs.configure(settings.log_level)
    process.run(settings)


def migrate(*, data: Data = None, as_json: AsJson = False) -> None:
    """Bring the database forward to this version's schema."""
    from stemwright.server import opening, workflows
    from stemwright.server.store import migrations
    from stemwright.server.store.database import Database

    settings = _settings(data)
    if not settings.database_url:
        opening.make(settings.data)
    with opening.telling(settings.data, database=settings.database):
        database = Database(settings.database)
        migrations.migrate(database)
        workflows.migrate(database)
    _say({"schema": migrations.HEAD}, "The database has schema {schema}.", as_json=as_json)


def maintenance(state: Literal["on", "off"], /, *, data: Data = None, as_json: AsJson = False) -> None:
    """Turn maintenance on (the API answers code 455, running tasks go on) or off."""
    from stemwright.server import maintenance as switch

    with _transaction(data) as tx:
        switch.switch(tx, on=state == "on", now=now_ms())
    _say({"maintenance": state}, "Maintenance is {maintenance}.", as_json=as_json)


# ---- keys -----------------------------------------------------------------------------------------------------------


@keys.command
def create(
    *,
    account: Annotated[str, Parameter(validator=_nameable)],
    credits: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,  # noqa: A002
    name: str = "",
    dialect: Dialect | None = None,
    expires_hours: float | None = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Create a key, and its account when there is none of that name. The key is shown only this once.

    Parameters
    ----------
    account: Name of the account.
    credits: Credits to grant to the account.
    name: What the key is for.
    dialect: Error codes and texts it is answered in: apikley or sunoapi.
    expires_hours: When the key ends; default: never.
    """
    from stemwright.server import accounts
    from stemwright.server import credits as ledger
    from stemwright.server import keys as domain

    now = now_ms()
    settings = _settings(data)
    remark = f"This key is shown only this once; added {credits} credits to the existing account "
    remark += "{account} (balance {balance})."
    with _transaction(data, begin=True) as tx:
        try:
            owner = accounts.by_name(tx, account)
        except AccountNotFound:
            remark = "This key of account {account} (balance {balance}) is shown only this once."
            owner = accounts.create(tx, account, now=now)
        if credits:
            ledger.grant(tx, owner.id, credits, reason="keys create", now=now)
        expires = None if expires_hours is None else now + int(expires_hours * HOUR_MS)
        key, secret = domain.create(
            tx, owner.id, name=name, dialect=dialect or settings.dialect, expires=expires, now=now
        )
        facts = {"balance": ledger.balance(tx, owner.id), "webhookSecret": owner.webhook_secret}
    shown = {"key": secret, "account": account, "id": key.id, "dialect": key.dialect, "expires": expires} | facts
    _show_key(shown, remark, as_json=as_json)


@keys.command(name="list")
def list_keys(*, account: str | None = None, data: Data = None, as_json: AsJson = False) -> None:
    """List keys: all, or those of one account."""
    from stemwright.server import accounts
    from stemwright.server import keys as domain

    with _transaction(data) as tx:
        names = {owner.id: owner.name for owner in accounts.listing(tx)}
        found = domain.listing(tx, accounts.by_name(tx, account).id if account else None)
    shown = [vars(key) | {"account": names[key.account_id]} for key in found]
    _rows(shown, "{id}  {hint}…  {account}  {dialect}  {name}", as_json=as_json)


@keys.command
def rotate(key: str, /, *, overlap_hours: float = 0, data: Data = None, as_json: AsJson = False) -> None:
    """Replace a key by a new one, shown only this once.

    Parameters
    ----------
    key: Id of the key.
    overlap_hours: How long the old key stays valid beside the new one.
    """
    from stemwright.server import accounts
    from stemwright.server import keys as domain

    with _transaction(data) as tx:
        new, secret = domain.rotate(tx, key, overlap_ms=int(overlap_hours * HOUR_MS), now=now_ms())
        account = accounts.get(tx, new.account_id).name
    shown = {"key": secret, "account": account, "id": new.id, "replaces": key}
    _show_key(shown, "This key of account {account} replaces {replaces} and is shown only this once.", as_json=as_json)


@keys.command
def revoke(key: str, /, *, data: Data = None, as_json: AsJson = False) -> None:
    """End a key at once.

    Parameters
    ----------
    key: Id of the key.
    """
    from stemwright.server import keys as domain

    with _transaction(data) as tx:
        revoked = domain.revoke(tx, key, now=now_ms()).revoked
    _say({"id": key, "revoked": revoked}, "Key {id} is revoked.", as_json=as_json)


# ---- credits --------------------------------------------------------------------------------------------------------


@credits.command
def grant(account: str, amount: int, /, *, reason: str = "", data: Data = None, as_json: AsJson = False) -> None:
    """Give credits to an account; a negative amount takes them back."""
    from stemwright.server import accounts
    from stemwright.server import credits as ledger

    with _transaction(data) as tx:
        entry = ledger.grant(tx, accounts.by_name(tx, account).id, amount, reason=reason, now=now_ms())
    shown = {"account": account, "amount": amount, "balance": entry.balance}
    _say(shown, "{account} has {balance} credits.", as_json=as_json)


@credits.command
def balance(account: str | None = None, /, *, data: Data = None, as_json: AsJson = False) -> None:
    """Show the credits of one account, or of all."""
    from stemwright.server import accounts
    from stemwright.server import credits as ledger

    with _transaction(data) as tx:
        owners = [accounts.by_name(tx, account)] if account else accounts.listing(tx)
        shown = [{"account": owner.name, "balance": ledger.balance(tx, owner.id)} for owner in owners]
    if account and as_json:
        _print(shown[0])
        return
    _rows(shown, "{account}  {balance}", as_json=as_json)


@credits.command(name="ledger")
def show_ledger(account: str, /, *, limit: int = 50, data: Data = None, as_json: AsJson = False) -> None:
    """Show what was granted, charged and refunded, newest first."""
    from stemwright.server import accounts
    from stemwright.server import credits as ledger

    with _transaction(data) as tx:
        found = ledger.ledger(tx, accounts.by_name(tx, account).id, limit=limit)
    _rows([vars(entry) for entry in found], "{sequence}  {kind}  {amount:+d}  = {balance}  {reason}", as_json=as_json)


@credits.command
def audit(*, data: Data = None, as_json: AsJson = False) -> None:
    """Prove that the ledger agrees with itself and with the tasks; exit status 1 when it does not."""
    from stemwright.server import credits as ledger

    with _transaction(data) as tx:
        wrong = ledger.audit(tx)
    if as_json:
        _print({"agrees": not wrong, "wrong": wrong})
    if wrong:
        raise LedgerBroken(wrong="; ".join(wrong))
    if not as_json:
        print("The ledger agrees with itself and with the tasks.")


# ---- what they share ------------------------------------------------------------------------------------------------


def _settings(data: Path | None, **given: Any) -> Settings:
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
        raise BadSetting(name=name, value=value, reason=reason[:1].lower() + reason[1:]) from None


@contextmanager
def _transaction(data: Path | None, *, begin: bool = False) -> Iterator[sa.Connection]:
    from stemwright.server import opening

    settings = _settings(data)
    database = opening.open_database(settings, begin=begin)
    try:
        with opening.telling(settings.data, database=settings.database), database.transaction() as tx:
            yield tx
    finally:
        database.dispose()


def _say(shown: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        _print(shown)
    else:
        print(text.format(**shown))


def _show_key(shown: dict[str, Any], remark: str, *, as_json: bool) -> None:
    """The key alone on stdout, so that a shell can take it; what people need to know of it on stderr."""
    _say(shown, "{key}", as_json=as_json)
    if not as_json:
        print(remark.format(**shown), file=sys.stderr)


def _rows(shown: list[dict[str, Any]], text: str, *, as_json: bool) -> None:
    if as_json:
        _print(shown)
        return
    for row in shown:
        print(text.format(**row))


def _print(shown: object) -> None:
    print(json.dumps(shown, default=str), flush=True)
