"""The n8n node against a real service, in both dialects."""

import base64
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from threading import Event
from typing import Any

import pytest

from tests.client.conftest import Served
from tests.client.test_strangers import says
from tests.integrations.conftest import N8n, credentials, song
from tests.server.http.sources import gives, source

TWELVE = ["vocals", "backing_vocals", "drums", "bass", "guitar", "keyboard", "strings", "brass", "woodwinds"]
TWELVE += ["percussion", "synth", "fx"]
BAD_REQUEST = "The server does not accept the request"


def test_a_file_becomes_two_stems(n8n: N8n) -> None:
    before = n8n.execute(operation="getCredits")[0]["json"]["credits"]
    (item,) = n8n.execute(song(), operation="separate")
    assert item["json"]["status"] == "success"
    assert list(item["json"]["stems"]) == ["vocals", "instrumental"]
    assert item["pairedItem"] == {"item": 0}
    assert before - n8n.execute(operation="getCredits")[0]["json"]["credits"] == 1


def test_twelve_stems_as_files_each_in_its_own_item(n8n: N8n) -> None:
    items = n8n.execute(song(), operation="separate", stems="split_stem", download=True, options={"format": "flac"})
    assert [item["json"]["stem"] for item in items] == TWELVE
    assert [item["binary"]["data"]["fileName"] for item in items] == [f"{stem}.flac" for stem in TWELVE]
    assert base64.b64decode(items[2]["binary"]["data"]["data"]).endswith(b" drums")
    assert all(item["pairedItem"] == {"item": 0} for item in items)


def test_some_stems_of_an_ended_task_in_one_item(n8n: N8n) -> None:
    (item,) = n8n.execute(song(), operation="separate", stems="split_stem")
    options = {"onlyStems": "bass, fx", "eachInItsOwn": False}
    (loaded,) = n8n.execute(item, operation="downloadStems", options=options)
    assert set(loaded["binary"]) == {"bass", "fx"}
    assert item["json"]["silentStems"] == ["fx"]
    error = n8n.error(item, operation="downloadStems", options={"onlyStems": "kazoo"})
    assert error["message"] == f"Task {item['json']['taskId']} has no stem kazoo"


def test_one_instrument_and_the_rest(n8n: N8n) -> None:
    wish = {"operation": "separate", "stems": "split_stem_advanced"}
    (item,) = n8n.execute(song(), **wish, stemName="Electric Guitar")
    assert list(item["json"]["stems"]) == ["electric_guitar", "without_electric_guitar"]
    assert n8n.error(song(), **wish, stemName="Kazoo")["message"] == BAD_REQUEST


def test_a_task_is_returned_looked_at_and_waited_for(n8n: N8n) -> None:
    released = Event()

    def slow(request: BaseHTTPRequestHandler) -> None:
        released.wait(60)
        gives(b"{}")(request)

    with source(slow) as files:
        wish = {"operation": "separate", "source": "url", "songUrl": f"{files.url}/song.mp3"}
        (made,) = n8n.execute(**wish, afterwards="return")
        task_id = made["json"]["taskId"]
        assert n8n.execute(made, operation="getTask")[0]["json"]["status"] == "pending"
        assert "has not ended" in n8n.error(made, operation="downloadStems")["message"]
        error = n8n.error(made, operation="getTask", wait=True, options={"timeoutMinutes": 0})
        assert error["message"] == f"Task {task_id} has not ended after 0 minutes"
        released.set()
        assert n8n.execute(made, operation="getTask", wait=True)[0]["json"]["stems"]["vocals"]


def test_a_song_at_an_address_is_fetched_by_the_server(n8n: N8n) -> None:
    with source(gives(b"{}")) as files:
        (item,) = n8n.execute(operation="separate", source="url", songUrl=f"{files.url}/song.mp3")
    assert item["json"]["status"] == "success"


def test_a_failed_song_says_why_and_does_not_stop_the_others(n8n: N8n) -> None:
    result = n8n.run(
        "execute", parameters={"operation": "separate"}, items=[song(refuse="only noise"), song()], continueOnFail=True
    )
    assert "only noise" in result["items"][0]["json"]["error"]
    assert [item["pairedItem"]["item"] for item in result["items"]] == [0, 1]
    assert result["items"][1]["json"]["status"] == "success"
    error = n8n.error(song(), song(refuse="only noise"), operation="separate")
    assert (error["name"], error["itemIndex"]) == ("NodeOperationError", 1)


def test_a_step_that_is_run_again_is_charged_once(n8n: N8n) -> None:
    with source(gives(b"{}")) as files:
        wish = {"operation": "separate", "source": "url", "songUrl": f"{files.url}/song.mp3", "afterwards": "return"}
        first, again = (n8n.execute(**wish)[0]["json"]["taskId"] for _ in range(2))
        other = n8n.run("execute", parameters=wish, executionId="2")["items"][0]["json"]["taskId"]
        looped = n8n.run("execute", parameters=wish, runIndex=1)["items"][0]["json"]["taskId"]
    assert first == again
    assert len({first, other, looped}) == 3


def test_a_step_that_is_run_again_after_a_failure_is_a_new_attempt(n8n: N8n) -> None:
    answers = [gives(b"no script"), gives(b"{}")]

    def first_broken(request: BaseHTTPRequestHandler) -> None:
        answers[min(len(files.asked), 2) - 1](request)

    with source(first_broken) as files:
        wish: dict[str, Any] = {"operation": "separate", "source": "url", "songUrl": f"{files.url}/song.mp3"}
        wish["options"] = {"idempotencyKey": "again"}
        assert "could not be separated" in n8n.error(**wish)["message"]
        assert n8n.execute(**wish)[0]["json"]["status"] == "success"


@pytest.mark.parametrize(("dialect", "no_credits"), [("apikley", "402"), ("sunoapi", "429")])
def test_errors_tell_what_to_do(node: str, served: Served, dialect: str, no_credits: str) -> None:
    poor = replace(served, dialect=dialect).account(f"poor-{dialect}", 0)
    n8n = N8n(node, credentials(served, poor))
    error = n8n.error(song(), operation="separate")
    assert (error["message"], error["httpCode"]) == ("There are not enough credits left", no_credits)
    error = n8n.error(operation="separate", source="ids", songTaskId="0" * 32, audioId="none")
    assert (error["message"], error["itemIndex"]) == (BAD_REQUEST, 0)
    error = n8n.error(operation="getTask", taskId="0" * 32)
    assert (error["message"], error["httpCode"]) == ("The server does not have what was asked for", "404")
    assert "request " in error["description"]
    refused = N8n(node, n8n.credentials | {"apiKey": "wrong"}).error(operation="getCredits")
    assert (refused["message"], refused["httpCode"]) == ("The server refuses the API key", "401")


def test_credentials_are_tested(n8n: N8n, stranger: N8n) -> None:
    assert n8n.run("test")["told"]["data"] > 0
    assert "401" in n8n.run("test", credentials={"apiKey": "wrong"})["error"]["message"]
    with source(says(401, "no")) as server:  # one that tells all with HTTP 200
        assert "refuses this API key" in stranger.run("test", credentials={"baseUrl": server.url})["error"]["message"]


@pytest.mark.parametrize(
    ("code", "message"), [(429, "Too many requests"), (430, "too high"), (405, "limit"), (455, "…")]
)
def test_what_passes_is_waited_for(stranger: N8n, code: int, message: str) -> None:
    def busy_twice(request: BaseHTTPRequestHandler) -> None:
        answer = says(code, message) if len(server.asked) < 3 else says(200, "success", {"taskId": "t"})
        answer(request)

    parameters = {"operation": "separate", "source": "url", "songUrl": "https://x/y.mp3", "afterwards": "return"}
    with source(busy_twice) as server:
        result = stranger.run("execute", parameters=parameters, credentials={"baseUrl": server.url})
    assert result["items"][0]["json"] == {"taskId": "t", "status": "pending"}
    assert len({headers["idempotency-key"] for _, _, headers, _ in server.asked}) == 1
    first, second = result["slept"]
    assert 500 <= first <= 1000 <= second <= 2000


def test_a_create_whose_answer_is_lost_is_not_sent_again(stranger: N8n) -> None:
    def hangs_up(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True

    parameters = {"operation": "separate", "source": "url", "songUrl": "https://x/y.mp3"}
    with source(hangs_up) as server:
        error = stranger.run("execute", parameters=parameters, credentials={"baseUrl": server.url})["error"]
    assert "The task may have been made" in error["description"]
    assert [method for method, *_ in server.asked] == ["POST"]


def test_a_web_page_is_no_server_and_a_stop_is_heard(stranger: N8n) -> None:
    with source(gives(b"<html>", kind="text/html")) as server:
        wish: dict[str, Any] = {"parameters": {"operation": "getCredits"}, "credentials": {"baseUrl": server.url}}
        assert "is not a Stemwright server" in stranger.run("execute", **wish)["error"]["message"]
    pending = says(200, "success", {"taskId": "t", "successFlag": "PENDING", "response": {}})
    with source(pending) as server:
        wish = {"parameters": {"operation": "getTask", "taskId": "t", "wait": True}, "stopped": True}
        error = stranger.run("execute", **wish, credentials={"baseUrl": server.url})["error"]
    assert error["message"] == "The execution was stopped"


def test_the_key_is_not_shown_to_the_server_of_the_files(stranger: N8n) -> None:
    with source(gives()) as files:
        response = {"vocalUrl": f"{files.url}/a.mp3", "originUrl": "https://x"}
        record = says(200, "success", {"taskId": "t", "successFlag": "SUCCESS", "response": response})
        with source(record) as server:
            parameters = {"operation": "downloadStems", "taskId": "t"}
            result = stranger.run("execute", parameters=parameters, credentials={"baseUrl": server.url})
        assert [item["json"]["stem"] for item in result["items"]] == ["vocals"]
        assert "authorization" not in files.asked[0][2]
        assert server.asked[0][2]["authorization"] == "Bearer k"
