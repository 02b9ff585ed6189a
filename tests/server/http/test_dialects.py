"""Every operation that needs a key, in both dialects: each code it can have whatever it is about."""

from collections.abc import Callable

import httpx2
import pytest

from stemwright import errors as all_errors
from stemwright.server import maintenance
from stemwright.server.clock import now_ms
from stemwright.server.http import errors
from stemwright.server.http.errors import Meaning
from tests.contract.validator import CONTRACT, Operation
from tests.server.http import sources
from tests.server.http.house import Caller

KEYED = [operation for operation in CONTRACT.operations if not operation.is_open]
ELSEWHERE = {"getSong", "getDownloadUrl"}  # 455 only while an upstream is away
WORKING = [each for each in KEYED if "503" in each.described["responses"] and each.id not in ELSEWHERE]
keyed = pytest.mark.parametrize("operation", KEYED, ids=lambda operation: operation.id)
working = pytest.mark.parametrize("operation", WORKING, ids=lambda operation: operation.id)


def ask(operation: Operation, caller: Caller) -> httpx2.Response:
    """A request to the operation that is good in itself."""
    if operation.id == "uploadByForm":
        return caller.http.post(operation.path, files={"file": ("a.mp3", sources.SONG)})
    if operation.id == "uploadByUrl":
        with sources.source(sources.gives()) as there:
            return caller.http.post(operation.path, json={"fileUrl": there.url})
    options: dict[str, Callable[[], dict]] = {
        "createSeparation": lambda: {"json": caller.ids},
        "getSeparation": lambda: {"params": {"taskId": "0" * 32}},
        "getSong": lambda: {"params": {"taskId": caller.track.task_id}},
        "getDownloadUrl": lambda: {"json": {"url": f"{caller.house.url}/s/{caller.track.blob}"}},
        "uploadByBase64": lambda: {"json": {"base64Data": "QUJD"}},
    }
    return caller.http.request(operation.method, operation.path, **options.get(operation.id, dict)())


@keyed
def test_it_answers(house, dialect: str, operation: Operation) -> None:
    assert ask(operation, house.caller(dialect=dialect)).json()["code"] == (
        404 if operation.id == "getSeparation" else 200
    )


@keyed
def test_without_a_key(house, dialect: str, operation: Operation) -> None:
    caller = house.caller(dialect=dialect)
    caller.http.headers.pop("Authorization")
    assert ask(operation, caller).json()["code"] == 401


@keyed
def test_with_another_method(house, dialect: str, operation: Operation) -> None:
    answer = house.caller(dialect=dialect).http.request("DELETE", operation.path)
    assert (answer.status_code, answer.json()["code"]) == (404, 404)


@keyed
def test_too_often(serve, dialect: str, operation: Operation) -> None:
    house = serve(rate_limit_burst=1)
    house.api.clock = lambda: 1_795_000_000_000  # no time passes between the two
    caller = house.caller(dialect=dialect)
    ask(operation, caller)
    assert ask(operation, caller).json()["code"] == {"apikley": 429, "sunoapi": 430}[dialect]


@keyed
def test_a_fault_of_ours(serve, dialect: str, operation: Operation, caplog: pytest.LogCaptureFixture) -> None:
    house = serve()
    caller = house.caller(dialect=dialect)
    house.lose("tasks", "tracks", "ledger")
    answer = ask(operation, caller)
    assert (answer.status_code, answer.json()["code"]) == (500, 500)
    assert answer.json()["msg"] == "Internal Error - Please try again later."
    assert answer.json()["requestId"] in {getattr(record, "request_id", "") for record in caplog.records}


@keyed
def test_wrong_bodies_and_queries(serve, dialect: str, operation: Operation) -> None:
    codes = operation.described["x-codes"][dialect]
    client = serve(max_upload_bytes=1000, max_body_bytes=1000).caller(dialect=dialect).http
    sent: dict[str, list[dict]] = {"post": [{"content": b"{"}, {"json": {}}, {"content": bytes(5000)}], "get": [{}]}
    if operation.id == "uploadByForm":
        sent["post"] = [{"files": {"other": b"x"}}, {"files": {"file": bytes(2000)}}]
    found = {
        client.request(operation.method, operation.path, **options).json()["code"] for options in sent[operation.method]
    }
    assert found <= {*codes}


@working
def test_in_maintenance(serve, dialect: str, operation: Operation) -> None:
    house = serve()
    caller = house.caller(dialect=dialect)
    with house.database.transaction() as tx:
        maintenance.switch(tx, on=True, now=now_ms())
    answer = ask(operation, caller)
    assert (answer.status_code, answer.json()["code"]) == (503, 455)
    assert int(answer.headers["Retry-After"]) > 0
    assert caller.balance() == 100, "looking stays possible"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/wav/generate", "/api/v2", "/nothing"])
def test_where_there_is_no_route(house, dialect: str, method: str, path: str) -> None:
    answer = house.caller(dialect=dialect).http.request(method, path)
    assert (answer.status_code, answer.json()["code"], answer.json()["data"]) == (404, 404, None)


def test_http_200_for_nearly_everything_when_asked_for(serve, dialect: str) -> None:
    house = serve(http_status="always-200", rate_limit_creates=1, rate_limit_seconds=60)
    caller = house.caller(dialect=dialect, balance=1)
    answers = [
        house.anonymous().get("/api/v1/generate/credit"),
        caller.create(taskId=5),
        caller.http.get("/api/v1/nothing"),
        caller.create(),
        caller.create(),
    ]
    invalid, limited = {"apikley": (422, 429), "sunoapi": (400, 405)}[dialect]
    found = [(answer.status_code, answer.json()["code"]) for answer in answers]
    assert found == [(200, 401), (200, invalid), (200, 404), (200, 200), (429, limited)]


@pytest.mark.parametrize("meaning", Meaning)
def test_a_code_is_sent_as_itself_or_as_the_nearest_status(meaning: Meaning) -> None:
    for code in meaning.value:
        nearest = {455: 503, 430: 429, 405: 429}.get(code, code)
        assert errors.status(code) == nearest
        assert errors.status(code, always_200=True) == (nearest if nearest in {429, 500, 503} else 200)


def all_of(kind: type) -> set[type]:
    return {kind}.union(*(all_of(each) for each in kind.__subclasses__()))


@pytest.mark.parametrize("kind", sorted(all_of(all_errors.ServiceError), key=str), ids=lambda kind: kind.__name__)
def test_every_error_of_the_service_has_a_row(kind: type) -> None:
    assert kind in errors.MEANINGS, "say in http/errors.py what it means on the wire"


def test_a_fault_of_ours_says_nothing_of_our_inside() -> None:
    fault = all_errors.CannotWrite(path="/secret/place", reason="x")
    assert errors.meaning(fault) is Meaning.UNEXPECTED
    assert "secret" not in errors.message(fault)
