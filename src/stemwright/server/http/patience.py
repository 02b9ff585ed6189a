"""How long a client may take to say something, and how much of it: connections that only wait are nobody's to keep.

What a client owes us has to arrive: a head within a grace, a body at no less than a slow line's speed after the same
grace, as Apache's mod_reqtimeout has it. Only its own time counts: while we are the slow ones, its clock stands still.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from stemwright.server.http.calls import FORGOTTEN_BYTES
from stemwright.server.http.shield import LONGEST_HEAD_BYTES
from stemwright.server.settings import Settings

# Longer than clients and proxies keep a connection for their next request, a minute mostly: where both ends give up at
# once, a request meets a closed door, and no client sends a POST again.
IDLE_SECONDS = 75
HEAD_FACTOR = 2.0  # whoever sends a head steadily gets so many times the grace
RESERVED_FILES = 256  # descriptors that are not for clients: database, blobs, uploads on their way
MOST_CONNECTIONS = 65_536
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

Owed = Literal["head", "body"]


@dataclass(frozen=True)
class Patience:
    """The limits: seconds of grace, the slowest body in bytes per second, how long an answer may go unread."""

    grace_seconds: float = 20.0
    bytes_per_second: int = 500
    stall_seconds: float = 120.0
    connections: int = MOST_CONNECTIONS

    @classmethod
    def of(cls, settings: Settings) -> Patience:
        """As the settings have it; as many connections as this process may have files."""
        return cls(
            settings.slow_client_seconds,
            settings.slow_client_bytes_per_second,
            settings.stalled_client_seconds,
            _most_connections(),
        )

    def allowed_seconds(self, owed: Owed, received: int) -> float:
        """How long it may have taken to send so many bytes."""
        allowed = self.grace_seconds + received / self.bytes_per_second
        return min(allowed, HEAD_FACTOR * self.grace_seconds) if owed == "head" else allowed


def configuration(app: ASGIApp, settings: Settings, **more: Any) -> uvicorn.Config:
    """uvicorn's, for HTTP/1.1 with these limits; what proxies say is believed by a setting of ours (proxies.py)."""
    limited = type("Patient", (_Patient,), {"patience": Patience.of(settings)})
    plain: dict[str, Any] = {"log_config": None, "access_log": False, "proxy_headers": False, "lifespan": "off"}
    plain |= {"ws": "none", "timeout_keep_alive": IDLE_SECONDS}
    return uvicorn.Config(app, http=limited, h11_max_incomplete_event_size=LONGEST_HEAD_BYTES, **plain | more)


class _Patient(H11Protocol):
    """One connection; looked at a few times in every grace."""

    patience: Patience
    _timer: asyncio.TimerHandle | None = None
    _owed: Owed | None = None
    _about: object = None  # the request that it belongs to, and whether we have answered that
    _since = 0.0
    _received = 0
    _unsent = 0  # bytes of answers that the client has not taken
    _taken = 0.0  # when it last took some

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; one too many is sent away."""
        super().connection_made(transport)
        if len(self.connections) > self.patience.connections:
            transport.abort()
            return
        self._since = self._taken = self.loop.time()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some more of what it has to say."""
        self._received += len(data)
        super().data_received(data)
        self._settle()
        if self._answered and self._owed == "body" and self._received > FORGOTTEN_BYTES:
            self.transport.abort()  # it goes on sending what nobody reads

    def _look(self) -> None:
        now = self.loop.time()
        self._settle()
        if self._owed and now - self._since > self.patience.allowed_seconds(self._owed, self._received):
            self._send_away()
        elif self._is_stalled(now):
            self.transport.abort()
        self._timer = self.loop.call_later(self.patience.grace_seconds / 4, self._look)

    def _settle(self) -> None:
        """Finds out what is owed now; a new debt gets a time of its own."""
        owed, about = self._debt(), (self.cycle, self._answered)
        if owed is None or (owed, about) != (self._owed, self._about):
            self._owed, self._about = owed, about
            self._since, self._received = self.loop.time(), 0

    def _debt(self) -> Owed | None:
        if self.flow.read_paused or self.transport.is_closing():
            return None
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        # Between two requests uvicorn looks at the time, until a byte of the next one has come.
        is_head = self.conn.their_state is h11.IDLE and (self.cycle is None or self.conn.trailing_data[0])
        return "head" if is_head else None

    @property
    def _answered(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete

    def _send_away(self) -> None:
        if self.cycle is None or self._answered or not self.cycle.response_started:
            self.transport.write(_TOO_SLOW)
        self.transport.close()

    def _is_stalled(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._taken = unsent, now
        return now - self._taken > self.patience.stall_seconds


def _most_connections() -> int:
    """What the system allows beside what we need ourselves, after asking it for as much as it gives."""
    try:
        import resource
    except ImportError:  # not on this system
        return MOST_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, MOST_CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(wanted - RESERVED_FILES, wanted // 2)
