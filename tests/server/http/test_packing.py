"""Bodies packed by gzip: taken as if they had come unpacked, by every route that reads one."""

import gzip
import json
import socket
import time
from contextlib import suppress

import pytest

from tests.server.http import sources
from tests.server.http.house import GENERATE, Caller, House

GZIP = {"Content-Encoding": "gzip"}
HALF = gzip.compress(b'{"taskId": "x"}')[:20]


@pytest.mark.parametrize("coding", ["gzip", "GZip", "x-gzip"])
def test_a_packed_create_is_a_create(caller: Caller, coding: str) -> None:
    packed = gzip.compress(json.dumps(caller.ids).encode())
    answer = caller.http.post(GENERATE, content=packed, headers={"Content-Encoding": coding})
    assert (answer.json()["code"], caller.balance()) == (200, 99)


def test_a_body_that_was_not_packed_may_say_so(caller: Caller) -> None:
    assert caller.create(headers={"Content-Encoding": "identity"}).json()["code"] == 200


def test_packed_uploads_are_songs(house: House, caller: Caller) -> None:
    song = sources.SONG * 300  # more than one piece
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n' + song + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = caller.http.post("/api/file-stream-upload", content=gzip.compress(form), headers=GZIP | kind)
    assert house.anonymous().get(answer.json()["data"]["downloadUrl"]).content == song
    small = gzip.compress(b'{"base64Data": "QUJD"}')
    answer = caller.http.post("/api/file-base64-upload", content=small, headers=GZIP)
    assert house.anonymous().get(answer.json()["data"]["downloadUrl"]).content == b"ABC"


WRONG = [
    ("gzip", b'{"taskId": "x"}'),
    ("gzip", HALF),
    ("gzip", b""),
    ("gzip", gzip.compress(b"{}") * 2),
    ("br", b"\x0b\x01\x80{}\x03"),
    ("gzip, gzip", gzip.compress(gzip.compress(b"{}"))),
]


@pytest.mark.parametrize(("coding", "body"), WRONG, ids=str)
def test_what_cannot_be_unpacked_is_refused_in_words(house: House, dialect: str, coding: str, body: bytes) -> None:
    answer = house.caller(dialect=dialect).http.post(GENERATE, content=body, headers={"Content-Encoding": coding})
    assert answer.json()["code"] == {"apikley": 422, "sunoapi": 400}[dialect]
    assert "Content-Encoding" in answer.json()["msg"]


def test_a_large_body_that_is_not_packed_so_is_read_before_it_is_refused(caller: Caller) -> None:
    assert caller.http.post(GENERATE, content=bytes(8 << 20), headers=GZIP).json()["code"] == 422


def test_the_limit_is_one_of_what_a_body_becomes(caller: Caller) -> None:
    bomb = gzip.compress(bytes(50 << 20))
    assert len(bomb) < 60_000
    assert caller.http.post(GENERATE, content=bomb, headers=GZIP).json()["code"] == 413


def test_a_body_that_becomes_nothing_does_not_go_on_for_ever(house: House, caller: Caller) -> None:
    nothing = b"\x00\x00\x00\xff\xff" * 20_000  # empty blocks of deflate
    head = f"POST {GENERATE} HTTP/1.1\r\nHost: x\r\nX-API-Key: {caller.http.key}\r\nContent-Encoding: gzip\r\n"
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", int(house.url.rpartition(":")[2])), timeout=30) as endless:
        endless.sendall(head.encode() + b"Content-Length: 9999999999\r\n\r\n" + gzip.compress(b"")[:10])
        with suppress(OSError):
            while time.monotonic() < began + 60:
                endless.sendall(nothing)
    assert time.monotonic() < began + 60
