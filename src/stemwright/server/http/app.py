"""The HTTP application: every route, and what is answered where there is none."""

from __future__ import annotations

import re
from urllib.parse import unquote

from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from stemwright import errors
from stemwright.server.http import passing
from stemwright.server.http.calls import Api, Call, Endpoint, Handle, Read, bounded, known_first
from stemwright.server.http.routes import console, contract, credit, files, health, mixes, separation, uploads
from stemwright.server.http.shield import Shield

ASKING = 8  # threads for those who ask whether we are ready
_SLASHES = re.compile("/{2,}")
_ORIGIN = re.compile(rb"https?://[^/]*", re.IGNORECASE)
_EXPOSED = [
    *("RateLimit", "RateLimit-Policy", "Retry-After", "Content-Range", "Content-Length", "ETag"),
    *("Idempotent-Replayed", "X-Request-Id"),
]


class _Elsewhere(CORSMiddleware):
    """Pages of any origin may play our files, whose names are their keys, and call the API with a key that they have;
    nothing else of ours is for other pages."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        open_to_all = scope["type"] == "http" and scope["path"].startswith(("/s/", "/api/"))
        await (super().__call__ if open_to_all else self.app)(scope, receive, send)


class _WholeTarget:
    """A target may be a whole address, as clients send it that take us for a proxy (RFC 9112, section 3.2.2; ASGI
    middleware)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if whole := _ORIGIN.match(scope.get("raw_path", b"")):
            raw = scope["raw_path"][whole.end() :] or b"/"
            scope = {**scope, "path": unquote(raw.decode("ascii")), "raw_path": raw}
        await self._app(scope, receive, send)


class _OneSlash:
    """Slashes too many lead to the same route of the API: many a client's base URL ends in one. The path that passes
    through stays as it came (ASGI middleware)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        path = _SLASHES.sub("/", scope.get("path", "")).rstrip("/")
        await self._app({**scope, "path": path} if path.startswith("/api/") else scope, receive, send)


def create_app(api: Api) -> Starlette:
    """The application."""
    everywhere = Middleware(
        _Elsewhere,
        allow_origins=["*"],
        allow_methods=["GET", "HEAD", "POST"],
        allow_headers=["*"],
        expose_headers=_EXPOSED,
    )
    middleware = [Middleware(Shield), Middleware(_WholeTarget), Middleware(_OneSlash), everywhere]
    app = Starlette(routes=_routes(api), middleware=middleware)
    app.router.default = _NoRoute(api)
    app.router.redirect_slashes = False
    return app


def _routes(api: Api) -> list[Route]:
    json_body = known_first(bounded(api.settings.max_body_bytes))
    keyed = [
        _route(api, "POST", separation.PATH, separation.generate, read=separation.reader(json_body)),
        _route(api, "GET", "/api/v1/vocal-removal/record-info", separation.record_info),
        _route(api, "GET", "/api/v1/generate/record-info", separation.track_info),
        _route(api, "GET", "/api/v1/generate/credit", credit.balance),
        _route(api, "GET", "/api/v1/chat/credit", credit.balance),
        _route(api, "POST", "/api/v1/common/download-url", files.download_url, read=json_body),
        _route(api, "POST", "/api/file-stream-upload", uploads.by_form, read=uploads.read_form),
        _route(api, "POST", "/api/file-base64-upload", uploads.by_base64, read=uploads.read_base64),
        _route(api, "POST", "/api/file-url-upload", uploads.by_url, read=uploads.read_url, seats=True),
    ]
    opened = [
        _route(api, "GET", path, handle, is_open=True)
        for path, handle in (
            ("/s/{name}", files.download),
            ("/s/{name}/mix", mixes.mix),
            ("/metrics", health.figures),
            ("/openapi.json", contract.openapi),
            ("/docs", contract.docs),
            ("/llms.txt", contract.llms),
        )
    ]
    lives = Endpoint(api, health.live, name="/livez", admit=None, at_once=True)  # though every thread is busy
    is_ready = Endpoint(api, health.Readiness(api), name="/readyz", admit=None, limiter=CapacityLimiter(ASKING))
    probes = [Route(each.name, _Methods(api, {"GET": each})) for each in (lives, is_ready)]
    return [*probes, *keyed, *opened, *_console(api)]


def _route(
    api: Api,
    method: str,
    path: str,
    handle: Handle,
    *,
    read: Read | None = None,
    is_open: bool = False,
    seats: bool = False,
) -> Route:
    admit = None if is_open else Call.authenticate
    return Route(path, _Methods(api, {method: Endpoint(api, handle, name=path, read=read, admit=admit, seats=seats)}))


def _console(api: Api) -> list[Route]:
    paths: dict[str, dict[str, Endpoint]] = {}
    for each in console.routes(api):
        endpoint = Endpoint(api, each.handle, name=each.path, read=each.read, admit=each.admit, seats=each.seats)
        paths.setdefault(each.path, {})[each.method] = endpoint
    return [Route(path, _Methods(api, methods)) for path, methods in paths.items()]


class _Methods:
    """Each method's endpoint (HEAD where there is GET); any other method is no route of ours."""

    def __init__(self, api: Api, methods: dict[str, Endpoint]) -> None:
        self._none = _NoRoute(api)
        self._methods: dict[str, ASGIApp] = {**({"HEAD": methods["GET"]} if "GET" in methods else {}), **methods}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        nothing_there = "\0" in scope["path"]  # nothing has such a name, and PostgreSQL cannot even look
        endpoint = self._none if nothing_there else self._methods.get(scope["method"], self._none)
        await endpoint(scope, receive, send)


class _NoRoute:
    """Where there is no such route or method: the upstream's answer, or code 404 in either dialect."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._passing = Endpoint(api, passing.through, name=passing.ROOT + "**")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if self._api.upstream is not None and scope["path"].startswith(passing.ROOT):
            await self._passing(scope, receive, send)
            return
        call = Call(self._api, scope, self._api.clock())
        answer = call.failed(errors.NoSuchRoute(method=scope["method"], path=scope["path"]))
        self._api.counts.answered("none", 404, 0.0)
        await answer(scope, receive, send)
