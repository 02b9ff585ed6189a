"""Signing in to the console: the session's cookie, and what keeps pages of others from using it."""

from __future__ import annotations

import hmac
import re

from stemwright.errors import ForgedRequest, NotAllowed, NotSignedIn
from stemwright.server import sessions
from stemwright.server.http.calls import Call

NAME = "stemwright_session"
_SENT = re.compile(rf"(?:^|;)[ \t]*{NAME}=([\w-]+)", re.ASCII)  # http.cookies' takes seconds for 30 KB
_SAFE = ("GET", "HEAD")


def admit(call: Call) -> None:
    """Find out who is signed in; raises NotSignedIn, TooFrequent, and ForgedRequest for a change without its token."""
    if call.session is not None:
        return
    session = _known(call)
    if call.scope["method"] not in _SAFE:
        same_site(call)
        if not hmac.compare_digest(call.sent.get("x-csrf-token", "").encode(), session.csrf.encode()):
            raise ForgedRequest


def admit_leaving(call: Call) -> None:
    """The same for signing out, which needs no token: a page that has an older one must be able to."""
    same_site(call)
    _known(call)


def admit_operator(call: Call) -> None:
    """The same, for those whose key has the scope `admin`; raises NotAllowed for others."""
    admit(call)
    if "admin" not in call.caller.scopes:
        raise NotAllowed(scope="admin")


def _known(call: Call) -> sessions.Session:
    session = call.api.gate.session(secret_of(call), address=call.address, now=call.now)
    call.api.burst.take(session.principal.account_id, now=call.now)
    call.session, call.principal = session, session.principal
    return session


def look_up(call: Call) -> sessions.Session:
    """The session of an admitted request's cookie, if it is still valid; raises NotSignedIn."""
    with call.api.database.read() as tx:
        return sessions.find(tx, secret_of(call), address=call.address, now=call.api.clock())


def same_site(call: Call) -> None:
    """Raises ForgedRequest when the browser says that a page of another site asks."""
    site, origin = call.sent.get("sec-fetch-site"), call.sent.get("origin")
    if site is None and origin is not None:  # without https it tells only where the page is from
        site = "same-origin" if _host(origin) in (call.sent.get("host"), _host(call.base_url)) else "cross-site"
    if site not in (None, "same-origin", "none"):
        raise ForgedRequest


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def secret_of(call: Call) -> str:
    """The session's secret that the request carries; raises NotSignedIn without one."""
    cookie = _SENT.search(call.sent.get("cookie", ""))
    if cookie is None:
        raise NotSignedIn
    return cookie[1]


def setting(call: Call, secret: str, *, seconds: float) -> str:
    """The Set-Cookie header for a session; an empty secret takes the cookie away."""
    secure = "; Secure" if call.base_url.startswith("https://") else ""
    age = int(seconds) if secret else 0
    return f"{NAME}={secret}; Path=/console; Max-Age={age}; HttpOnly; SameSite=Strict{secure}"
