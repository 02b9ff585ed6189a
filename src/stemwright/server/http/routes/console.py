"""The console's routes: its files, and the small API that its pages speak."""

from __future__ import annotations

import gzip
import mimetypes
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from stemwright import errors
from stemwright.server import accounts, credits, keys, maintenance, sessions
from stemwright.server.http import answers, cookies, wire, wire_console
from stemwright.server.http.answers import Answer
from stemwright.server.http.calls import Admit, Api, Call, Handle, Read, bounded, known_first
from stemwright.server.http.routes import console_account, console_operator, console_tasks, uploads
from stemwright.server.http.routes import contract as published

_PAGES = Path(__file__).parents[1] / "page"
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; media-src 'self' blob:; worker-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_KEY_BYTES = 4096  # of a sign-in: it comes from anybody
_KEPT = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class At:
    """Where a function of the console is reached."""

    method: str
    path: str
    handle: Handle
    admit: Admit | None = cookies.admit
    read: Read | None = None
    seats: bool = False


def routes(api: Api) -> list[At]:
    """Every route of the console."""
    body = bounded(api.settings.max_body_bytes)
    root = "/console/api"
    table = [
        At("GET", "/", page, admit=None),
        At("GET", "/console", page, admit=None),
        At("GET", "/console/{path:path}", files, admit=None),
        At("GET", f"{root}/openapi.json", contract, admit=None),
        At("GET", f"{root}/session", session, admit=None),
        At("POST", f"{root}/session", sign_in, admit=cookies.same_site, read=bounded(_KEY_BYTES)),
        At("DELETE", f"{root}/session", sign_out, admit=cookies.admit_leaving),
        At("POST", f"{root}/uploads", uploads.by_form, read=uploads.form_reader(cookies.admit)),
        *[replace(at, path=root + at.path) for at in _ours(body)],
    ]
    # What has a name of its own comes before what takes any name.
    return sorted(table, key=lambda at: at.path.count("{path"))


def _ours(body: Read) -> list[At]:
    tasks, account, operator = console_tasks, console_account, console_operator
    known_body = known_first(body, cookies.admit)
    admin = cookies.admit_operator
    return [
        At("GET", "/events", tasks.events),
        At("GET", "/tasks", tasks.search),
        At("POST", "/tasks", tasks.create, read=known_body),
        At("GET", "/tasks/{taskId}", tasks.show),
        At("DELETE", "/tasks/{taskId}", tasks.delete),
        At("POST", "/tasks/{taskId}/cancel", tasks.cancel),
        At("POST", "/tasks/{taskId}/again", tasks.again),
        At("POST", "/tasks/{taskId}/resend", tasks.resend),
        At("GET", "/tasks/{taskId}/zip", tasks.download),
        At("GET", "/keys", account.list_keys),
        At("POST", "/keys", account.create_key, read=known_body),
        At("POST", "/keys/{keyId}/rotate", account.rotate_key, read=known_body),
        At("DELETE", "/keys/{keyId}", account.revoke_key),
        At("GET", "/ledger", account.ledger),
        At("GET", "/ledger.csv", account.ledger_table),
        At("GET", "/usage", account.usage),
        At("GET", "/usage.csv", account.usage_table),
        At("GET", "/callbacks", account.deliveries),
        At("POST", "/callbacks/test", account.test_delivery, read=known_body, seats=True),
        At("GET", "/secret", account.secret),
        At("POST", "/secret", account.renew_secret),
        At("GET", "/operator", operator.show, admit=admin),
        At("GET", "/operator/accounts", operator.list_accounts, admit=admin),
        At("POST", "/operator/accounts", operator.create_account, read=known_body, admit=admin),
        At("POST", "/operator/grants", operator.grant, read=known_body, admit=admin),
        At("POST", "/operator/maintenance", operator.switch, read=known_body, admit=admin),
    ]


# ---- its files -------------------------------------------------------------------------------------------------------


def page(call: Call) -> Answer:
    """`GET /`, `GET /console`: the console, or, where it was not built, a page that says how to."""
    built = _file("index.html")
    if built is None:
        text = (_PAGES / "unbuilt.html").read_bytes()
        headers = _PAGE_HEADERS | {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return Answer(200, text, "text/html; charset=utf-8", headers)
    return _sent(call, built, "text/html; charset=utf-8", _PAGE_HEADERS | {"Content-Security-Policy": _POLICY})


def files(call: Call) -> Answer:
    """`GET /console/{path}`: a file of the build; any other address is one of the console's pages."""
    path = call.scope["path_params"]["path"]
    found = _file(path)
    if found is None and ("." in path.rpartition("/")[2] or path.startswith("api/")):
        raise errors.NoSuchRoute(method=call.scope["method"], path=call.scope["path"])
    if found is None or path == "index.html":
        return page(call)
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    kind = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
    hashed = path.startswith("assets/")
    headers = {"Cache-Control": _KEPT if hashed else "no-cache", "X-Content-Type-Options": "nosniff"}
    if not hashed:
        headers["Access-Control-Allow-Origin"] = "*"  # the player is for everybody's pages
    return _sent(call, found, kind, headers)


@dataclass(frozen=True)
class _File:
    content: bytes
    zipped: bytes | None


def _sent(call: Call, file: _File, kind: str, headers: dict[str, str]) -> Answer:
    headers = headers | {"Vary": "Accept-Encoding"}
    if file.zipped is not None and "gzip" in call.sent.get("accept-encoding", ""):
        return Answer(200, file.zipped, kind, headers | {"Content-Encoding": "gzip"})
    return Answer(200, file.content, kind, headers)


def _file(path: str) -> _File | None:
    """A file of the build, read again only when it has changed: whoever works on the console builds often."""
    parts = path.split("/")
    if not parts[-1] or any(part.startswith(".") or "\\" in part or "\0" in part for part in parts):
        return None
    found = _folder().joinpath(*parts)
    try:
        return _read(found, found.stat().st_mtime_ns) if found.is_file() else None
    except OSError:  # no file can have that name
        return None


def _folder() -> Path:
    return _PAGES / "console"


@cache
def _read(path: Path, _changed: int) -> _File:
    content = path.read_bytes()
    zipped = gzip.compress(content, 9, mtime=0)
    return _File(content, zipped if len(zipped) < len(content) * 0.9 else None)


def contract(_call: Call) -> Answer:
    """`GET /console/api/openapi.json`: what the console's API is, for those who read its pages' source."""
    return answers.plain(published.console())


# ---- signing in ------------------------------------------------------------------------------------------------------


def session(call: Call) -> Answer:
    """`GET /console/api/session`: who is signed in, if anybody is, and what the service offers."""
    try:
        cookies.admit(call)
    except errors.NotSignedIn:
        return answers.success({"signedIn": False})
    return answers.success(_session(call))


def sign_in(call: Call) -> Answer:
    """`POST /console/api/session`: a key for a session."""
    if call.sent.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        problem = "must be application/json"  # a form of anybody's page could send what looks like it
        raise errors.InvalidRequest(field="Content-Type", problem=problem)
    asked = wire.parse(call.body).to(wire_console.SignIn)
    seconds = call.api.settings.session_hours * 3600
    who = call.api.gate.principal(asked.key.strip(), address=call.address, now=call.now)
    if "api" not in who.scopes:
        raise errors.OutOfScope(scope="api")
    with call.api.database.transaction() as tx:
        accounts.hold_open(tx, who.account_id)
        secret = sessions.begin(tx, who.key_id, seconds=seconds, now=call.now)
    call.api.gate.remember(secret)
    call.session = call.api.gate.session(secret, address=call.address, now=call.now)
    call.principal = call.session.principal
    headers = {"Set-Cookie": cookies.setting(call, secret, seconds=seconds)}
    return answers.success(_session(call), headers=headers)


def sign_out(call: Call) -> Answer:
    """`DELETE /console/api/session`."""
    with call.api.database.transaction() as tx:
        sessions.end(tx, cookies.secret_of(call))
    return answers.success(None, headers={"Set-Cookie": cookies.setting(call, "", seconds=0)})


def _session(call: Call) -> dict[str, Any]:
    assert call.session is not None
    with call.api.database.read() as tx:
        account, key = accounts.get(tx, call.caller.account_id), keys.get(tx, call.caller.key_id)
        who = wire_console.session(call.session, account, key, balance=credits.balance(tx, account.id))
        return who | {"service": wire_console.service(call.api.settings, maintenance_since=maintenance.since(tx))}
