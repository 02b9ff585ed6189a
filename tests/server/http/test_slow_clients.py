"""Clients that keep a connection without using it, or send more than anybody asked for."""

import itertools
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from urllib.parse import urlsplit

import pytest

from stemwright.server.http import patience
from stemwright.server.http.app import create_app
from tests.server.http.house import GENERATE, Caller, House

pytestmark = pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
SMALL = b"HTTP/1.1 200 OK\r\n"
PATIENCE_SECONDS = 60  # of a test, with a busy machine
GRACE = {"slow_client_seconds": 1.0}  # enough for what is sent at once


def connected(house: House, *, receive_buffer: int = 0) -> closing[socket.socket]:
    parts = urlsplit(house.url)
    line = socket.socket()
    if receive_buffer:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    line.settimeout(PATIENCE_SECONDS)
    line.connect((parts.hostname, parts.port))
    return closing(line)


def trickle(line: socket.socket, pieces: Iterator[bytes]) -> bytes:
    """Sends a piece now and then until the server has had enough; what it answered by then."""
    line.settimeout(0.05)
    deadline = time.monotonic() + PATIENCE_SECONDS
    answer = b""
    while time.monotonic() < deadline:
        with suppress(BrokenPipeError, ConnectionResetError):
            line.send(next(pieces))
        try:
            if not (said := line.recv(4096)):
                return answer
            answer += said
        except TimeoutError:
            continue
        except ConnectionResetError:
            return answer
    raise AssertionError("the server goes on listening")


def rest(line: socket.socket) -> bytes:
    return b"".join(iter(lambda: line.recv(65536), b""))


def until(line: socket.socket, end: bytes) -> bytes:
    """What comes until it ends so: head and body may come apart."""
    answer = b""
    while not answer.endswith(end):
        said = line.recv(65536)
        assert said, answer
        answer += said
    return answer


def flood(line: socket.socket) -> None:
    for _ in range(1000):
        line.sendall(bytes(1 << 20))


def submission(caller: Caller, length: int) -> bytes:
    head = f"POST {GENERATE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {caller.http.key}\r\n"
    head += f"Content-Length: {length}\r\n"
    return head.encode() + b"Content-Type: application/json\r\n\r\n"


def test_who_says_nothing_is_sent_away(serve) -> None:
    with connected(serve(slow_client_seconds=0.2)) as line:
        assert rest(line).startswith(b"HTTP/1.1 408 ")


def test_a_head_that_never_ends(serve) -> None:
    with connected(serve(slow_client_seconds=0.2)) as line:
        line.sendall(HEAD)
        assert trickle(line, itertools.repeat(b"X: y\r\n")).startswith(b"HTTP/1.1 408 ")


def test_the_next_head_that_never_ends(serve) -> None:
    with connected(serve(**GRACE)) as line:
        line.sendall(HEAD + b"\r\n" + HEAD)
        answer = trickle(line, itertools.repeat(b"X: y\r\n"))
        assert answer.startswith(SMALL)
        assert b"HTTP/1.1 408 " in answer


def test_a_body_that_never_ends(serve) -> None:
    house = serve(**GRACE)
    caller = house.caller()
    with connected(house) as line:
        line.sendall(submission(caller, 100_000))
        assert trickle(line, itertools.repeat(b" ")).startswith(b"HTTP/1.1 408 ")
    assert caller.balance() == 100


def test_the_body_of_a_request_that_is_answered_already(serve) -> None:
    with connected(serve(**GRACE)) as line:
        line.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
        assert trickle(line, itertools.repeat(b" ")).startswith(SMALL)


def test_slow_is_not_too_slow(serve) -> None:
    house = serve(slow_client_bytes_per_second=1, **GRACE)
    caller = house.caller()
    pieces = [b" " * 100] * 10
    with connected(house) as line:
        line.sendall(submission(caller, 1002) + b"{}")
        for piece in pieces:
            time.sleep(0.1)
            line.sendall(piece)
        assert b'"code":422' in until(line, b"}")


def test_an_answer_that_nobody_takes(serve) -> None:
    house = serve(stalled_client_seconds=0.5, **GRACE)
    with connected(house, receive_buffer=4096) as line:
        line.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while house.connections():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_who_goes_on_sending_what_nobody_reads(serve) -> None:
    with connected(serve()) as line:
        line.sendall(HEAD + b"Content-Length: 1000000000\r\n\r\n")
        with pytest.raises(OSError):
            flood(line)


@pytest.mark.parametrize("fields", [b"X: y\r\n" * 101, b"X: " + b"y" * 40_000 + b"\r\n"], ids=["many", "long"])
def test_a_head_that_is_too_large(serve, fields: bytes) -> None:
    with connected(serve()) as line:
        line.sendall(HEAD + fields + b"\r\n")
        answer = rest(line)
        assert answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))


def test_one_connection_too_many(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_most_connections", lambda: 2)
    house = serve()
    with connected(house) as first, connected(house) as second:
        for line in (first, second):
            line.sendall(HEAD + b"\r\n")
            assert line.recv(4096).startswith(SMALL)
        with connected(house) as third, suppress(ConnectionResetError):
            assert rest(third) == b""


def test_a_connection_may_be_used_again_after_a_minute(house: House) -> None:
    config = patience.configuration(create_app(house.api), house.api.settings)
    assert config.timeout_keep_alive > 60


def test_a_form_full_of_fields_is_no_way_to_our_memory(serve) -> None:
    house = serve(max_body_bytes=10_000)
    caller = house.caller()
    fields = {f"field{number}": "x" * 500 for number in range(30)}
    answer = caller.http.post("/api/file-stream-upload", data=fields, files={"file": ("song.mp3", b"x" * 50_000)})
    assert answer.json()["code"] == 413
    fine = caller.http.post("/api/file-stream-upload", data={"a": "b"}, files={"file": ("song.mp3", b"x" * 50_000)})
    assert fine.json()["code"] == 200
