"""The HTTP application: every route, and what is answered where there is none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from stemwright import errors
from stemwright.server.http.calls import Api, Call, Endpoint, Handle, Read, bounded
from stemwright.server.http.routes import contract, credit, files, health, separation, uploads

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]
_EXPOSED = ["RateLimit", "RateLimit-Policy", "Retry-After", "Content-Range", "Content-Length", "ETag"]


def create_app(api: Api, *, lifespan: Lifespan | None = None) -> Starlette:
    """The application; `lifespan` runs around the time it serves."""
    # Keys travel in headers, never in cookies, so any origin may be let in.
    cors = Middleware(
        CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"], expose_headers=_EXPOSED
    )
    app = Starlette(routes=_routes(api), lifespan=lifespan, middleware=[cors])
    app.router.default = _NoRoute(api)
    app.router.redirect_slashes = False
    return app


def _routes(api: Api) -> list[Route]:
    json_body = bounded(api.settings.max_body_bytes)
    keyed = [
        _route(api, "POST", separation.PATH, separation.generate, read=json_body),
        _route(api, "GET", "/api/v1/vocal-removal/record-info", separation.record_info),
        _route(api, "GET", "/api/v1/generate/record-info", separation.track_info),
        _route(api, "GET", "/api/v1/generate/credit", credit.balance),
        _route(api, "GET", "/api/v1/chat/credit", credit.balance),
        _route(api, "POST", "/api/v1/common/download-url", files.download_url, read=json_body),
        _route(api, "POST", "/api/file-stream-upload", uploads.by_form, read=uploads.read_form),
        _route(api, "POST", "/api/file-base64-upload", uploads.by_base64, read=uploads.read_json),
        _route(api, "POST", "/api/file-url-upload", uploads.by_url, read=uploads.read_json, seats=True),
    ]
    opened = [
        _route(api, "GET", path, handle, is_open=True)
        for path, handle in (
            ("/s/{name}", files.download),
            ("/health", health.health),
            ("/ready", health.ready),
            ("/metrics", health.figures),
            ("/openapi.json", contract.openapi),
            ("/docs", contract.docs),
            ("/llms.txt", contract.llms),
        )
    ]
    return keyed + opened


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
    endpoint = Endpoint(api, handle, name=path, read=read, is_open=is_open, seats=seats)
    return Route(path, _Only(method, endpoint))


class _Only:
    """Lets one method through (and HEAD where there is GET); any other one is no route of ours."""

    def __init__(self, method: str, endpoint: Endpoint) -> None:
        self._methods = {"GET", "HEAD"} if method == "GET" else {method}
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self._endpoint if scope["method"] in self._methods else _NoRoute(self._endpoint.api)
        await app(scope, receive, send)


class _NoRoute:
    """The answer where there is no such route or method: code 404 in either dialect."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        call = Call(self._api, scope, self._api.clock())
        answer = call.failed(errors.NoSuchRoute(method=scope["method"], path=scope["path"]))
        await answer(scope, receive, send)
