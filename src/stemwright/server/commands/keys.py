"""`stemwright keys`: who may ask."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter, validators

from stemwright.errors import AccountNotFound
from stemwright.server.clock import now_ms
from stemwright.server.commands.speaking import (
    HOUR_MS,
    AccountName,
    AsJson,
    Data,
    OneAccount,
    read_settings,
    rows,
    say,
    show_key,
    transaction,
    view,
)
from stemwright.server.credits import MOST_AT_ONCE
from stemwright.server.settings import Dialect

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from stemwright.server import keys as domain
    from stemwright.server.accounts import Account
    from stemwright.server.settings import Settings

keys = App(name="keys", help="API keys: create, list, rotate, revoke.")


_UNSHOWN = ("Cc", "Cs")  # control characters; bytes that are no text


def _nameable(_type: object, name: str) -> None:
    is_bare = bool(name) and name == name.strip()
    if not is_bare or any(sign in "/\\" or unicodedata.category(sign) in _UNSHOWN for sign in name):
        raise ValueError("An account's name is not empty and has no slashes, control characters or spaces around it.")


def _networks(_type: object, text: str | None) -> None:
    from stemwright.server import keys as domain

    if text:
        domain.networks_of(text)


_MOST_HOURS = 1_000_000  # a century and more
Scope = Literal["api", "read", "admin"]
Scopes = Annotated[
    tuple[Scope, ...],
    Parameter(
        negative="",
        show_default=" ".join,
        help="What it may do: api (everything of its account), read (look only), admin (besides: the operator's "
        "pages); may be repeated.",
    ),
]
Owner = Annotated[AccountName, Parameter(validator=_nameable)]
Remark = Annotated[str, Parameter(show_default=False, help="What the key is for.")]
Gift = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=MOST_AT_ONCE))]
Hours = Annotated[float, Parameter(validator=validators.Number(gt=0, lte=_MOST_HOURS))]


@keys.command
def create(  # noqa: PLR0913  each is an option
    *,
    account: Owner,
    credits: Gift = 0,  # noqa: A002
    name: Remark = "",
    dialect: Dialect | None = None,
    scope: Scopes = ("api",),
    expires_hours: Hours | None = None,
    networks: Annotated[str, Parameter(validator=_networks, show_default=False)] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Create a key, and its account when there is none of that name. The key is shown only this once.

    Parameters
    ----------
    credits
        Credits to grant to the account.
    dialect
        Error codes and texts it is answered in: apikley or sunoapi.
    expires_hours
        When the key ends; default: never.
    networks
        Where it may be used from, such as 10.0.0.0/8,192.0.2.7; default: everywhere.
    """
    from stemwright.server import credits as ledger
    from stemwright.server import keys as domain

    now = now_ms()
    settings = read_settings(data)
    begun = _begun(settings)
    with transaction(data, begin=True) as tx:
        owner, remark = _owner(tx, account, credits, now=now)
        if credits:
            ledger.grant(tx, owner.id, credits, reason="keys create", now=now)
        expires = None if expires_hours is None else now + int(expires_hours * HOUR_MS)
        key, secret = domain.create(
            tx,
            owner.id,
            name=name,
            dialect=dialect or settings.dialect,
            scopes=tuple(dict.fromkeys(scope)),
            expires=expires,
            networks=domain.networks_of(networks),
            now=now,
        )
        facts = {"balance": ledger.balance(tx, owner.id), "webhookSecret": owner.webhook_secret}
    shown = {"key": secret, "account": account, "id": key.id, "dialect": key.dialect, "expires": expires}
    shown |= {"scopes": key.scopes, "networks": key.networks} | facts
    show_key(shown, remark + begun, as_json=as_json)


def _begun(settings: Settings) -> str:
    """What to say of a key where there is no data yet: a mistyped folder makes one that no service knows."""
    from stemwright.server import opening

    folder = str(settings.data.resolve()).replace("{", "{{").replace("}", "}}")
    told = f" Its data was begun just now, in {folder}: a service on other data does not know it."
    return told if opening.is_new(settings) else ""


def _owner(tx: Connection, name: str, credits: int, *, now: int) -> tuple[Account, str]:  # noqa: A002
    """The account of that name, made if there is none, and what to say of its new key."""
    from stemwright.server import accounts

    try:
        owner = accounts.by_name(tx, name)
    except AccountNotFound:
        owner = accounts.create(tx, name, now=now)
        return owner, "This key of account {account} (balance {balance}) is shown only this once."
    remark = f"This key is shown only this once; added {credits} credits to the existing account "
    return owner, remark + "{account} (balance {balance})."


@keys.command(name="list")
def list_keys(*, account: OneAccount = None, data: Data = None, as_json: AsJson = False) -> None:
    """List keys: all, or those of one account."""
    from stemwright.server import accounts
    from stemwright.server import keys as domain

    with view(data) as tx:
        names = {owner.id: owner.name for owner in accounts.listing(tx)}
        found = domain.listing(tx, accounts.by_name(tx, account).id if account else None)
    shown = [vars(key) | {"account": names[key.account_id]} for key in found]
    told = shown if as_json else [row | {"bounds": _bounds(key)} for row, key in zip(shown, found, strict=True)]
    rows(told, "{id}  {hint}…  {account}  {dialect}  {bounds}  {name}", as_json=as_json)


def _bounds(key: domain.Key) -> str:
    """What a key may do, and where and until when."""
    told = ["+".join(key.scopes)]
    told += [f"from {key.networks}"] if key.networks else []
    told += [f"until {_day(key.expires)}"] if key.expires else []
    return ", ".join([*told, *([f"revoked {_day(key.revoked)}"] if key.revoked else [])])


def _day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


@keys.command
def rotate(
    key: str,
    /,
    *,
    overlap_hours: Annotated[float, Parameter(validator=validators.Number(gte=0, lte=_MOST_HOURS))] = 0,
    expires_hours: Hours | None = None,
    networks: Annotated[str | None, Parameter(validator=_networks)] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Replace a key by a new one, shown only this once.

    Parameters
    ----------
    key
        Id of the key.
    overlap_hours
        How long the old key stays valid beside the new one.
    expires_hours
        When the new key ends; default: when the old one would have.
    networks
        Where the new key may be used from; default: as the old one.
    """
    from stemwright.server import accounts
    from stemwright.server import keys as domain

    now = now_ms()
    expires = None if expires_hours is None else now + int(expires_hours * HOUR_MS)
    bound = None if networks is None else domain.networks_of(networks)
    with transaction(data) as tx:
        new, secret = domain.rotate(
            tx, key, overlap_ms=int(overlap_hours * HOUR_MS), expires=expires, networks=bound, now=now
        )
        account = accounts.get(tx, new.account_id).name
    shown = {"key": secret, "account": account, "id": new.id, "replaces": key}
    shown |= {"expires": new.expires, "networks": new.networks}
    show_key(shown, "This key of account {account} replaces {replaces} and is shown only this once.", as_json=as_json)


@keys.command
def revoke(key: str, /, *, data: Data = None, as_json: AsJson = False) -> None:
    """End a key at once.

    Parameters
    ----------
    key
        Id of the key.
    """
    from stemwright.server import keys as domain

    with transaction(data) as tx:
        revoked = domain.revoke(tx, key, now=now_ms()).revoked
    say({"id": key, "revoked": revoked}, "Key {id} is revoked.", as_json=as_json)
