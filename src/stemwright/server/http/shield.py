"""What every request keeps to, and what every answer carries, whoever makes it: heads of a sane size, and headers that
keep a browser from guessing, framing and leaking."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}
LONGEST_HEAD_BYTES = 32 << 10  # addresses in a query may have 8000 characters, and there are two
_MOST_FIELDS = 100
_TOO_LARGE = PlainTextResponse("The request's header is too large.", 431, {"connection": "close"})


class Shield:
    """Refuses heads that no honest client sends, and adds the headers that an answer does not set (ASGI middleware)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""

        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (_TOO_LARGE if _is_too_large(scope) else self._app)(scope, receive, shielded)


def _is_too_large(scope: Scope) -> bool:
    if scope["type"] != "http":
        return False
    sizes = [len(name) + len(value) for name, value in scope["headers"]]
    return len(sizes) > _MOST_FIELDS or sum(sizes) + len(scope["query_string"]) > LONGEST_HEAD_BYTES
