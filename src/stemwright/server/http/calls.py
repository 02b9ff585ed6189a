"""One request from first byte to answer: bounded body, known caller, a function in a thread, every error told."""

from __future__ import annotations

import logging
import math
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import Headers, QueryParams
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stemwright import errors
from stemwright.server import metrics, network, tracing
from stemwright.server.clock import now_ms
from stemwright.server.http import answers
from stemwright.server.http.auth import Gate, secret_of
from stemwright.server.http.errors import Meaning, meaning
from stemwright.server.http.idempotency import Running
from stemwright.server.http.limits import Burst, Creates, Held, Seats
from stemwright.server.http.live import Live
from stemwright.server.http.packing import unpacked
from stemwright.server.http.proxies import Proxies
from stemwright.server.keys import Principal
from stemwright.server.sessions import Session
from stemwright.server.settings import Settings
from stemwright.server.store.blobs import Blobs
from stemwright.server.store.database import AWAY, Database, tell
from stemwright.server.upstream import Upstream
from stemwright.terminal import plain

log = logging.getLogger("stemwright.http")

# A body that is refused is still read, up to this much: a client that is cut off while sending never sees the answer.
FORGOTTEN_BYTES = 64 << 20
_REQUEST_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)


class Api:
    """What every route shares: the settings, the stores, and this process's memory of keys and limits."""

    def __init__(self, settings: Settings, database: Database, blobs: Blobs) -> None:
        self.settings = settings
        self.database = database
        self.blobs = blobs
        self.clock: Callable[[], int] = now_ms
        self.network = network.Client(network.parse_networks(",".join(settings.allow_networks)))
        key, seconds = settings.upstream_key.get_secret_value(), settings.upstream_seconds
        self.upstream = Upstream(settings.upstream_url, key=key, seconds=seconds) if settings.upstream_url else None
        self.proxies = Proxies(network.parse_networks(",".join(settings.trusted_proxies)))
        self.gate = Gate(database, wrong_keys=settings.rate_limit_wrong_keys)
        self.burst = Burst(settings.rate_limit_burst)
        self.creates = Creates(settings)
        self.held = Held(settings.base64_memory_bytes, largest=settings.base64_memory_bytes // 2)  # in memory
        self.arriving = Held(math.inf, largest=settings.account_uploads_bytes)  # on the disk
        self.running = Running()
        self.counts = metrics.Counts()
        self.always_200 = settings.http_status == "always-200"
        self.uploads = settings.data.resolve() / "uploads"  # files still arriving
        self.live = Live(database, clock=self.clock)
        self.figures_read, self.reading_figures = 0, Lock()  # when the database was last asked for figures
        self.fetch_seats = Seats(8)  # slow sources must not take every thread of the API


@dataclass
class Call:
    """One request on its way through a route."""

    api: Api
    scope: Scope
    now: int
    body: bytes = b""
    principal: Principal | None = None
    session: Session | None = None  # of the console, which has no key in its requests
    headers: dict[str, str] = field(default_factory=dict)  # of the answer, whatever it is
    received: Any = None  # what a streaming reader made of the body
    beside: dict[str, Any] = field(default_factory=dict)  # fields beside code and msg in an error
    closing: ExitStack = field(default_factory=ExitStack)
    afterwards: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])  # what it did is committed

    @property
    def sent(self) -> Headers:
        """The request's headers."""
        return Headers(scope=self.scope)

    @property
    def query(self) -> QueryParams:
        """The request's query parameters; raises InvalidRequest."""
        if b"%00" in self.scope["query_string"]:  # PostgreSQL's text cannot hold it
            raise errors.InvalidRequest(field="query", problem="must not hold the character U+0000")
        return QueryParams(self.scope["query_string"])

    @property
    def caller(self) -> Principal:
        """Who calls; only on routes that need a key."""
        assert self.principal is not None
        return self.principal

    @property
    def dialect(self) -> str:
        """The caller's dialect, or the server's as long as nobody is known; the console has but one."""
        if self.scope["path"].startswith("/console/"):
            return "apikley"
        return self.principal.dialect if self.principal else self.api.settings.dialect

    @property
    def base_url(self) -> str:
        """What clients reach us by: the setting, or what this one used."""
        return self.api.settings.public_url or self.api.proxies.base_url(self.scope)

    @property
    def address(self) -> str:
        """Where the client is, as far as trusted proxies tell."""
        return self.api.proxies.client(self.scope)

    @property
    def request_id(self) -> str:
        """What the log calls this request: the caller's name for it when it is a plain one, or a new one."""
        if "X-Request-Id" not in self.headers:
            sent = self.sent.get("x-request-id", "")
            self.headers["X-Request-Id"] = sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(8)
        return self.headers["X-Request-Id"]

    def authenticate(self) -> None:
        """Find out who calls; raises InvalidKey, OutOfScope and TooFrequent."""
        if self.principal is None:
            self.principal = self.api.gate.principal(secret_of(self.sent), address=self.address, now=self.now)
            if "api" not in self.caller.scopes and not (
                "read" in self.caller.scopes and self.scope["method"] in ("GET", "HEAD")
            ):
                raise errors.OutOfScope(scope="api")
            self.api.burst.take(self.principal.account_id, now=self.now)

    def failed(self, fault: Exception) -> answers.Answer:
        """The answer to an error; a fault of ours goes to the log with its request id."""
        files = not self.scope["path"].startswith("/api/")
        if type(fault) is errors.RateLimited:  # not the upstream's
            self.headers |= self.api.creates.used_up(fault).fields
        answer = answers.failure(
            fault,
            request_id=self.request_id,
            dialect=self.dialect,
            always_200=self.api.always_200 and not files,
            headers=self.headers,
            **self.beside,
        )
        if meaning(fault) is Meaning.UNEXPECTED:
            what = f"a request to {plain(self.scope['path'])} went wrong"
            tell(log, logging.ERROR, what, fault, request_id=self.request_id)
        return answer


Handle = Callable[[Call], ASGIApp]
Admit = Callable[[Call], None]
Read = Callable[[Call, Receive], Awaitable[None]]


class Endpoint:
    """A route's function as an ASGI application, in a thread; or `at_once`, where it waits for nothing.

    `limiter` has threads of its own, for one that answers though all others are busy."""

    def __init__(
        self,
        api: Api,
        handle: Handle,
        *,
        name: str,
        read: Read | None = None,
        admit: Admit | None = Call.authenticate,
        seats: bool = False,
        at_once: bool = False,
        limiter: CapacityLimiter | None = None,
    ) -> None:
        self.api = api
        self.at_once = at_once
        self.handle = handle
        self.name = name
        self.read = read
        self.admit = admit
        self.seats = api.fetch_seats if seats else None
        self.limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        started = time.perf_counter()
        call = Call(self.api, scope, self.api.clock())
        try:
            if self.read is not None:
                await self.read(call, receive)
            if self.at_once:
                answer = self._answer(call)
            elif self.seats is not None:
                async with self.seats.of(call.caller.account_id):
                    answer = await to_thread.run_sync(self._answer, call, limiter=self.seats.limiter)
            else:
                answer = await to_thread.run_sync(self._answer, call, limiter=self.limiter)
        except ClientDisconnect:
            return
        except Exception as fault:  # noqa: BLE001  the door: whatever happened, the client gets an envelope
            answer = call.failed(fault)
        finally:
            call.body = b""  # nobody's slow reading of the answer keeps it
            call.closing.close()
        await self._send(answer, call, receive, send, started=started)
        if call.principal and self.api.gate.due(call.principal.key_id, now=call.now):
            with suppress(*AWAY):
                await to_thread.run_sync(lambda: self.api.gate.note(call.caller.key_id, now=call.now))

    async def _send(self, answer: ASGIApp, call: Call, receive: Receive, send: Send, *, started: float) -> None:
        """Sends it, and counts it by its own code, or by the status of an answer that has none: a file's."""
        status, is_counted = 200, False

        def count() -> None:
            self.api.counts.answered(self.name, getattr(answer, "code", status), time.perf_counter() - started)

        async def counted(message: Message) -> None:
            nonlocal status, is_counted
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not message.get("more_body"):  # whoever has the whole answer finds it counted
                is_counted = True
                count()
            await send(message)

        await answer(call.scope, receive, counted)
        if not is_counted:  # it broke off
            count()

    def _answer(self, call: Call) -> ASGIApp:
        try:
            with tracing.span(f"{call.scope['method']} {self.name}", request_id=call.request_id):
                if self.admit is not None:
                    self.admit(call)
                answer = self.handle(call)
                for tell in call.afterwards:
                    tell()
                return answer
        except Exception as fault:  # noqa: BLE001  told to the client, or logged
            return call.failed(fault)


def known_first(read: Read, admit: Admit = Call.authenticate) -> Read:
    """Nobody's body is kept, or unpacked, before it is known who sends it; a stranger's goes unread into nothing."""

    async def reading(call: Call, receive: Receive) -> None:
        try:
            await to_thread.run_sync(admit, call)
        except errors.StemwrightError:
            with suppress(errors.BodyTooLarge):
                await bounded(0)(call, receive)
            raise
        await read(call, unpacked(call.sent, receive, forgotten_bytes=FORGOTTEN_BYTES))

    return reading


def bounded(max_bytes: int, *, hold: Callable[[int], None] = lambda _count: None) -> Read:
    """A reader that keeps the whole body, which may have `max_bytes`; raises BodyTooLarge, and what `hold` raises,
    which is told of each piece before it is kept."""

    async def read(call: Call, receive: Receive) -> None:
        kept = bytearray()  # and no list of pieces: one of a byte would take fifty
        size = 0
        more = True
        refused: errors.ServiceError | None = None
        while more and size < max_bytes + FORGOTTEN_BYTES:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise ClientDisconnect
            more = event.get("more_body", False)
            piece: bytes = event.get("body", b"")
            size += len(piece)
            if size > max_bytes:
                refused = errors.BodyTooLarge(max_bytes=max_bytes)
            try:
                if refused is None:
                    hold(len(piece))
                    kept += piece
            except errors.ServiceError as fault:
                refused = fault
            if refused is not None:
                kept.clear()
        if refused is not None:
            raise refused
        call.body = bytes(kept)

    return read
