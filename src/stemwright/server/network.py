"""The only outbound HTTP: every address is vetted where the socket is opened, every byte and second counted."""

from __future__ import annotations

import base64
import socket
import ssl
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import anyio
import httpcore2
import httpx2

from stemwright import errors

Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Iterable[str]]
OnWait = Callable[[], object]

# What is never the public internet (RFC 6890 and its successors; of IPv6 all but 2000::/3), and the IPv6 ranges that
# carry an IPv4 address inside (mapped, translated, 6to4, Teredo): those reach the same hosts by another spelling.
_REFUSED: tuple[Network, ...] = tuple(
    ip_network(text)
    for line in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24",
        "192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4",
        "168.63.129.16/32",  # public by its number, but in Azure the host of every machine
        "::/3 4000::/2 8000::/1 2001::/32 2001:2::/48 2001:10::/28 2001:20::/28 2001:db8::/32 2002::/16 3fff::/20",
    )
    for text in line.split()
)
_CONNECT_SECONDS = 10.0
_CONNECTIONS = 200
_LOOK_SECONDS = 1.0
_REDIRECTS = 3
_DRAINED_BYTES = 64 * 1024
_AGENT = (b"User-Agent", b"Stemwright")
_PAGES = ("text/html", "application/xhtml+xml")


def parse_networks(text: str) -> tuple[Network, ...]:
    """The networks of a comma-separated list such as `127.0.0.0/8,10.0.0.0/8`; ValueError when one is malformed."""
    return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def plain_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address, an IPv4 one also where it is written as IPv6 (`::ffff:…`); None when it is none."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Whether a client's address is in one of the networks; false for what is no address."""
    found = plain_address(address)
    return found is not None and any(found in network for network in networks)


def is_public(address: str, allow: Iterable[Network] = ()) -> bool:
    """Whether a resolved address may be connected to: on the public internet, or in a network the operator opened."""
    ip = ip_address(address)
    return any(ip in network for network in allow) or not any(ip in network for network in _REFUSED)


def check_url(url: str) -> httpx2.URL:
    """The parsed URL when it is http(s) with a host; raises BadUrl. Where it points is checked only on connecting."""
    url = url.replace(" ", "%20")  # upstream's own files have names with spaces, which its addresses do not encode
    try:
        urlsplit(url)  # what only one of the two can read is not told one way here and another there
        parsed = httpx2.URL(url)
        valid = parsed.scheme in {"http", "https"} and bool(parsed.raw_host) and b"%" not in parsed.raw_host
        valid = valid and (parsed.port or 80) <= 65535
    except (httpx2.InvalidURL, ValueError, UnicodeError):
        raise errors.BadUrl from None
    if not valid or any(char.isspace() or ord(char) < 32 for char in url):
        raise errors.BadUrl
    return parsed


@dataclass(frozen=True)
class Fetched:
    """What a fetch brought: how many bytes, and the type and file name that the server gave them."""

    size: int
    content_type: str
    name: str


class Client:
    """Outbound HTTP for URLs that strangers gave us; `allow` opens networks that are otherwise refused."""

    def __init__(self, allow: Iterable[Network] = (), *, resolve: Resolve | None = None) -> None:
        self._allow = tuple(allow)
        self._resolve = resolve or _resolve

    def post_json(self, url: str, body: bytes, *, headers: Mapping[str, str], seconds: float = 15.0) -> int:
        """Post `body` and return the HTTP status; redirects are not followed, the answer is discarded.

        Raises BadUrl, BlockedAddress, FetchTimeout, Unreachable.
        """
        sent = {"Content-Type": "application/json", **headers}
        with self._exchange("POST", url, headers=sent, content=body, seconds=seconds) as answer:
            _drain(answer)
            return answer.status

    def get_to_file(
        self, url: str, path: Path, *, max_bytes: int, seconds: float, on_wait: OnWait = lambda: None
    ) -> Fetched:
        """Fetch `url` into `path`, following at most three redirects, each vetted again.

        `on_wait` is called about every second of reading; what it raises ends the fetch.
        Limits hold for the bytes and seconds that really pass, not for those announced. Nothing stays at `path` after a
        failure. Raises an AddressError: BadUrl, BlockedAddress, FetchTimeout, FetchTooLarge, TooManyRedirects,
        BadStatus, FetchedPage, FetchCutOff, Unreachable; OSError where it cannot be written here.
        """
        deadline = time.monotonic() + seconds
        for _ in range(_REDIRECTS + 1):
            left = max(deadline - time.monotonic(), 0.001)
            headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
            with self._exchange("GET", url, headers=headers, content=b"", seconds=left, on_wait=on_wait) as answer:
                location = _header(answer, b"location")
                if 300 <= answer.status < 400 and location:
                    url = _joined(url, location)
                    continue
                return _store(answer, url, path, max_bytes=max_bytes)
        raise errors.TooManyRedirects(limit=_REDIRECTS)

    @contextmanager
    def _exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes,
        seconds: float,
        on_wait: OnWait = lambda: None,
    ) -> Iterator[httpcore2.Response]:
        parsed = check_url(url)
        guard = _Guard(self._vetted, seconds, on_wait)
        context = self._tls if parsed.scheme == "https" else None
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        if parsed.userinfo:  # meant for who answers at this very address: a redirect elsewhere has none
            given = base64.b64encode(f"{parsed.username}:{parsed.password}".encode())
            raw.append((b"Authorization", b"Basic " + given))
        with (
            _told(seconds),
            httpcore2.ConnectionPool(ssl_context=context, network_backend=guard) as pool,
            pool.stream(
                method,
                httpcore2.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path),
                headers=[*raw, _AGENT],
                content=content or None,
                extensions={
                    "target": _target(url),
                    "timeout": dict.fromkeys(("read", "write", "connect"), seconds),
                },
            ) as answer,
        ):
            yield answer

    def _vetted(self, host: str, port: int) -> list[str]:
        try:
            found = list(self._resolve(host, port))
        except (OSError, UnicodeError):
            raise errors.Unreachable(reason="no such host") from None
        addresses = [address for address in found if is_public(address, self._allow)]
        if not addresses:
            raise errors.BlockedAddress
        return addresses

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx2.create_ssl_context(trust_env=False)


@dataclass(frozen=True)
class Streamed:
    """An answer whose body is still on its way: `chunks` as they were sent, in whatever encoding."""

    status: int
    headers: list[tuple[bytes, bytes]]
    chunks: AsyncIterator[bytes]

    def header(self, name: bytes) -> str:
        """The first header of this name (lower case); empty when there is none."""
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == name), "")


class Gateway:
    """Outbound HTTP to the one server that the operator chose: streamed both ways, no redirect followed.

    Its address is the operator's own word and may be a private one; addresses that it names go through a Client.
    """

    def __init__(self, url: str) -> None:
        self._url = check_url(url.rstrip("/"))

    @cached_property
    def _pool(self) -> httpcore2.AsyncConnectionPool:
        tls = httpx2.create_ssl_context(trust_env=False) if self._url.scheme == "https" else None
        # A new connection for each call: one kept open may be closed just as a call that costs money goes out on it.
        return httpcore2.AsyncConnectionPool(tls, max_connections=_CONNECTIONS, max_keepalive_connections=0)

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        target: bytes,
        *,
        headers: Iterable[tuple[bytes, bytes]],
        content: AsyncIterable[bytes] | bytes | None,
        seconds: float,
    ) -> AsyncIterator[Streamed]:
        """One call of `target` below the server's address; no wait is longer than `seconds`, the answer's beginning
        included. Raises FetchTimeout, Unreachable, also while the body is read."""
        url = self._url
        waits = dict.fromkeys(("read", "write", "connect", "pool"), seconds)
        waits["connect"] = min(seconds, _CONNECT_SECONDS)
        target = url.raw_path.rstrip(b"/") + target
        place = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target)
        answer: httpcore2.Response | None = None
        with anyio.CancelScope() as waiting, _told(seconds):
            body = _then_wait(content, waiting, seconds)
            fields = _framed(headers, url.netloc, content)
            request = httpcore2.Request(method, place, headers=fields, content=body, extensions={"timeout": waits})
            answer = await self._pool.handle_async_request(request)
        if answer is None:
            raise errors.FetchTimeout(seconds=seconds)
        try:
            with _told(seconds):
                yield Streamed(answer.status, answer.headers, answer.aiter_stream())
        finally:
            with anyio.CancelScope(shield=True):
                await answer.aclose()


def _framed(
    headers: Iterable[tuple[bytes, bytes]], host: bytes, content: AsyncIterable[bytes] | bytes | None
) -> list[tuple[bytes, bytes]]:
    """The headers, with the host and what says where the body ends."""
    fields = [(b"Host", host), *headers]
    if content is not None and not any(name.lower() == b"content-length" for name, _ in fields):
        whole = isinstance(content, bytes)
        fields.append((b"Content-Length", b"%d" % len(content)) if whole else (b"Transfer-Encoding", b"chunked"))
    return fields


def _then_wait(
    content: AsyncIterable[bytes] | bytes | None, scope: anyio.CancelScope, seconds: float
) -> AsyncIterable[bytes] | bytes | None:
    """The body as it is; once it has been sent, the scope ends after `seconds`: headers may not drip for ever."""
    if content is None or isinstance(content, bytes):
        scope.deadline = anyio.current_time() + seconds
        return content

    async def sent() -> AsyncIterator[bytes]:
        async for chunk in content:
            yield chunk
        scope.deadline = anyio.current_time() + seconds

    return sent()


@contextmanager
def _told(seconds: float) -> Iterator[None]:
    """Faults of the transport as errors of ours; their texts may quote what was sent, so only their kind goes on."""
    try:
        yield
    except httpcore2.TimeoutException:
        raise errors.FetchTimeout(seconds=seconds) from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, ConnectionError) as fault:
        raise errors.Unreachable(reason=_reason(fault)) from None


def _reason(fault: Exception) -> str:
    if isinstance(fault.__context__, ssl.SSLError):
        return "no TLS connection that can be trusted"
    if isinstance(fault, httpcore2.ConnectError):
        return "no connection"
    is_nonsense = isinstance(fault, (httpcore2.ProtocolError, httpcore2.UnsupportedProtocol))
    return "it does not answer as HTTP does" if is_nonsense else "the connection broke off"


def _resolve(host: str, port: int) -> Iterable[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return dict.fromkeys(str(info[4][0]) for info in found)


class _Guard(httpcore2.NetworkBackend):
    """Opens sockets to vetted addresses only: no name can resolve differently between the check and the connect."""

    def __init__(self, vetted: Callable[[str, int], list[str]], seconds: float, on_wait: OnWait) -> None:
        self._vetted, self._on_wait = vetted, on_wait
        self._deadline = time.monotonic() + seconds
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  ours is the deadline
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Any = None,
    ) -> httpcore2.NetworkStream:
        fault: Exception = httpcore2.ConnectError()
        for address in self._vetted(host, port):
            seconds = min(_left(self._deadline, httpcore2.ConnectTimeout), _CONNECT_SECONDS)
            try:
                stream = self._sockets.connect_tcp(address, port, timeout=seconds, socket_options=socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as next_fault:
                fault = next_fault
            else:
                return _Dated(stream, self._deadline, self._on_wait)
        raise fault


class _Dated(httpcore2.NetworkStream):
    """A stream whose every wait ends at one deadline: a server that sends a byte a second cannot stretch it."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float, on_wait: OnWait) -> None:
        self._stream, self._on_wait = stream, on_wait
        self._deadline, self._look = deadline, time.monotonic() + _LOOK_SECONDS

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        while True:
            if time.monotonic() >= self._look:
                self._on_wait()
                self._look = time.monotonic() + _LOOK_SECONDS
            left = _left(self._deadline, httpcore2.ReadTimeout)
            with suppress(httpcore2.ReadTimeout):
                return self._stream.read(max_bytes, timeout=min(left, _LOOK_SECONDS))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, timeout=_left(self._deadline, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        seconds = _left(self._deadline, httpcore2.ConnectTimeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, timeout=seconds)
        return _Dated(stream, self._deadline, self._on_wait)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, fault: type[Exception]) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise fault
    return seconds


def _target(url: str) -> bytes:
    """Path and query exactly as given: clients keep secrets there; only what a request line cannot hold is encoded."""
    after_host = url.partition("#")[0].split("://", 1)[1]
    cut = min((at for at in map(after_host.find, "/?") if at >= 0), default=len(after_host))
    target = after_host[cut:] if after_host[cut : cut + 1] == "/" else "/" + after_host[cut:]
    return b"".join(bytes([byte]) if 0x21 <= byte <= 0x7E else b"%%%02X" % byte for byte in target.encode())


def _joined(url: str, location: str) -> str:
    try:
        return str(httpx2.URL(url).join(location))
    except (httpx2.InvalidURL, ValueError):
        raise errors.BadUrl from None


def _header(answer: httpcore2.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in answer.headers if key.lower() == name), "")


def _drain(answer: httpcore2.Response) -> None:
    """Read a little of an answer nobody needs, so that an honest receiver can finish writing it."""
    left = _DRAINED_BYTES
    try:
        for chunk in answer.iter_stream():
            left -= len(chunk)
            if left <= 0:
                return
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException):
        return


def _store(answer: httpcore2.Response, url: str, path: Path, *, max_bytes: int) -> Fetched:
    content_type = _header(answer, b"content-type").partition(";")[0].strip().lower()
    announced = _header(answer, b"content-length")
    if not 200 <= answer.status < 300:
        raise errors.BadStatus(status=answer.status)
    if content_type in _PAGES:
        raise errors.FetchedPage
    if announced.isdigit() and int(announced) > max_bytes:
        raise errors.FetchTooLarge(max_bytes=max_bytes)
    try:
        size = _written(answer, path, max_bytes)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Fetched(size, content_type, Path(unquote(urlsplit(url).path)).name)


def _written(answer: httpcore2.Response, path: Path, max_bytes: int) -> int:
    size = 0
    with path.open("wb") as file:
        try:
            for chunk in answer.iter_stream():
                size += len(chunk)
                if size > max_bytes:
                    raise errors.FetchTooLarge(max_bytes=max_bytes)
                file.write(chunk)
        except (httpcore2.NetworkError, httpcore2.ProtocolError):
            raise errors.FetchCutOff(size=size) from None
    return size
