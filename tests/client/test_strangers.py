"""The client against servers that are not ours, and against a network that breaks."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from stemwright import Client, errors
from stemwright.client.records import Record, RemoteStem
from tests.server.http.sources import SONG, gives, in_turn, source


def says(code: int, msg: str, data: object = None) -> Callable[[BaseHTTPRequestHandler], None]:
    """HTTP 200 whatever the code, as hosted servers do."""
    return gives(json.dumps({"code": code, "msg": msg, "data": data}).encode(), kind="application/json")


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (401, "You do not have access permissions", errors.KeyRefused),
        (402, "Insufficient credits", errors.NoCreditsLeft),
        (429, "Insufficient credits", errors.NoCreditsLeft),
        (429, "Too many requests", errors.TooManyRequests),
        (430, "Call frequency too high", errors.TooManyRequests),
        (422, "Record does not exist", errors.BadRequest),
        (455, "Maintenance", errors.InMaintenance),
    ],
)
def test_a_code_in_the_body_is_an_error_though_http_says_200(code: int, message: str, kind: type[Exception]) -> None:
    with (
        source(says(code, message)) as server,
        Client(server.url, "k", retries=0) as client,
        pytest.raises(kind, match=message),
    ):
        client.create("https://example.com/song.mp3")


def test_a_task_that_a_server_does_not_know_is_not_there() -> None:
    with source(says(200, "success")) as server, Client(server.url, "k") as client, pytest.raises(errors.NotThere):
        client.wait("unknown")


def test_a_server_that_is_away_for_a_while_is_waited_for() -> None:
    record = {"taskId": "t", "successFlag": "SUCCESS", "response": {"vocalUrl": "http://a/v.mp3"}}
    answers = in_turn(says(500, "restarting"), gives(b"", status=502), says(200, "success", record))
    with source(answers) as server, Client(server.url, "k", retries=0) as client:
        assert client.wait("t").succeeded
    with Client(server.url, "k", retries=0) as client, pytest.raises(errors.StillRunning, match="Task t") as raised:
        client.wait("t", timeout_seconds=0.6)
    assert isinstance(raised.value.__cause__, errors.NotReached)


def test_a_web_page_is_no_api() -> None:
    page = gives(b"<html>", kind="text/html")
    with source(page) as server, Client(server.url, "k") as client, pytest.raises(errors.NotAnApi):
        client.credits()


def test_a_lost_answer_is_not_asked_for_again_where_that_could_charge_twice() -> None:
    def hangs_up(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True

    with source(hangs_up) as server, Client(server.url, "k") as client, pytest.raises(errors.MaybeTaken):
        client.create("https://example.com/song.mp3")
    assert [method for method, *_ in server.asked].count("POST") == 1


def test_a_lost_answer_is_asked_for_again_with_the_same_key_where_the_server_knows_it() -> None:
    contract = {"/api/v1/vocal-removal/generate": {"post": {"parameters": [{"name": "Idempotency-Key"}]}}}

    def loses_the_first(request: BaseHTTPRequestHandler) -> None:
        if request.command == "GET":
            gives(json.dumps({"paths": contract}).encode())(request)
        elif [method for method, *_ in server.asked].count("POST") == 1:
            request.close_connection = True
        else:
            says(200, "success", {"taskId": "t1"})(request)

    with source(loses_the_first) as server, Client(server.url, "k") as client:
        assert client.create("https://example.com/song.mp3") == "t1"
    keys = [headers["idempotency-key"] for method, _, headers, _ in server.asked if method == "POST"]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_the_key_is_not_shown_to_the_server_of_the_files(tmp_path: Path) -> None:
    with source(gives()) as files, Client("http://127.0.0.1:9", "secret") as client:
        record = Record("t1", "SUCCESS", (RemoteStem("vocals", f"{files.url}/a_Vocals.mp3"),))
        assert client.download(record, tmp_path)["vocals"].read_bytes() == SONG
    assert all("authorization" not in headers for _, _, headers, _ in files.asked)
