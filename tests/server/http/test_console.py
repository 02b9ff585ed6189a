"""The console's own API: what every operation of it has in common, swept through its contract."""

import json
from typing import Any

import httpx2
import pytest

from tests.contract.validator import CONSOLE, Operation
from tests.server.http.house import Caller, Client, House

ROOT = "/console/api"
BODIES: dict[str, Any] = {
    "signIn": {"key": "sw_nothing"},
    "createTask": {"audioUrl": "https://example.com/song.mp3"},
    "createKey": {"name": "x"},
    "rotateKey": {},
    "testCallback": {"url": "http://127.0.0.1:9/"},
    "createAccount": {"name": "somebody"},
    "grantCredits": {"accountId": "nobody", "amount": 1},
    "switchMaintenance": {"on": False},
}
KEYED = [each for each in CONSOLE.operations if not each.is_open]
CHANGING = [each for each in KEYED if each.method != "get" and each.id != "signOut"]  # which needs no token
WITH_BODY = [each for each in CONSOLE.operations if each.id in BODIES]
keyed = pytest.mark.parametrize("operation", KEYED, ids=lambda each: each.id)


def ask(operation: Operation, client: Client, **options: Any) -> httpx2.Response:
    """The plainest request of an operation."""
    path = operation.path.replace("{taskId}", "0" * 32).replace("{keyId}", "0" * 32)
    if operation.id == "upload":
        options.setdefault("files", {"file": ("song.mp3", b"sound")})
    elif operation.id in BODIES and "content" not in options:
        options.setdefault("json", BODIES[operation.id])
    if operation.id == "followTasks" and "X-CSRF-Token" in client.headers:
        with client.stream("GET", path) as answer:
            if answer.status_code != 200:
                answer.read()
            CONSOLE.check(answer, dialect="apikley")
            return answer
    return client.request(operation.method, path, **options)


@pytest.fixture
def operator(house: House) -> Client:
    return house.caller(scopes=("api", "admin")).signed_in()


@keyed
def test_without_a_session(house: House, operation: Operation) -> None:
    answer = ask(operation, house.anonymous())
    assert (answer.status_code, answer.json()["code"]) == (401, 401)
    assert "Sign in" in answer.json()["msg"]


@pytest.mark.parametrize("operation", CHANGING, ids=lambda each: each.id)
def test_a_change_without_its_token_is_refused(house: House, operation: Operation) -> None:
    browser = house.caller(scopes=("api", "admin")).signed_in()
    browser.headers["X-CSRF-Token"] = "0" * 64
    assert ask(operation, browser).status_code == 403


@pytest.mark.parametrize("operation", [each for each in KEYED if "/operator" in each.path], ids=lambda each: each.id)
def test_operators_only(caller: Caller, operation: Operation) -> None:
    answer = ask(operation, caller.signed_in())
    assert (answer.status_code, answer.json()["msg"]) == (403, "This needs a key with the scope admin.")


# Signing in is not counted by account: tests of keys on the wire try its limit.
LIMITED = [each for each in CONSOLE.operations if "429" in each.described["responses"] and each.id != "signIn"]


@pytest.mark.parametrize("operation", LIMITED, ids=lambda each: each.id)
def test_too_often(serve, operation: Operation) -> None:
    house = serve(rate_limit_burst=2)
    house.api.clock = lambda: 1_795_000_000_000
    browser = house.caller(scopes=("api", "admin")).signed_in()
    for _ in range(2):
        browser.get(f"{ROOT}/session")
    assert ask(operation, browser).status_code == 429


@pytest.mark.parametrize(
    "operation", [each for each in CONSOLE.operations if "500" in each.described["responses"]], ids=lambda each: each.id
)
def test_a_fault_of_ours(serve, operation: Operation, monkeypatch: pytest.MonkeyPatch) -> None:
    house = serve()
    browser = house.caller(scopes=("api", "admin")).signed_in()
    monkeypatch.setattr(house.api.burst, "take", lambda *_, **__: 1 / 0)
    monkeypatch.setattr(house.api.gate, "principal", lambda *_, **__: 1 / 0)
    answer = ask(operation, browser)
    assert (answer.status_code, answer.json()["msg"]) == (500, "Internal Error - Please try again later.")


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda each: each.id)
def test_wrong_bodies(serve, operation: Operation) -> None:
    house = serve(max_body_bytes=1000)
    browser = house.caller(scopes=("api", "admin")).signed_in()
    sent = [b"{", b"[]", json.dumps({"name": 1, "overlapHours": -1, "amount": 0, "on": 3}).encode(), bytes(5000)]
    browser.headers["Content-Type"] = "application/json"
    found = [ask(operation, browser, content=body).status_code for body in sent]
    assert found == [400, 422, 422, 413]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("tasks", {"group": "x"}),
        ("tasks", {"kind": "x"}),
        ("tasks", {"after": "x"}),
        ("callbacks", {"after": "12345678901234567-x"}),
        ("ledger", {"before": "-1"}),
        ("usage", {"days": "367"}),
        ("usage", {"offsetMinutes": "1e3"}),
        ("usage.csv", {"days": "0"}),
    ],
)
def test_wrong_queries(caller: Caller, path: str, query: dict[str, str]) -> None:
    answer = caller.signed_in().get(f"{ROOT}/{path}", params=query)
    assert (answer.status_code, answer.json()["msg"].partition(":")[0]) == (422, next(iter(query)))


@pytest.mark.parametrize("operation", [each for each in KEYED if "{" in each.path], ids=lambda each: each.id)
def test_what_does_not_exist(operation: Operation, house: House, caller: Caller) -> None:
    other = house.caller()
    task_id = other.created()
    browser = caller.signed_in()
    for one in ("0" * 32, task_id, other.key_id):
        path = operation.path.replace("{taskId}", one).replace("{keyId}", one)
        assert browser.request(operation.method, path, json={}).status_code == 404


def test_an_unknown_route_of_the_api_is_said_to_be_one(house: House) -> None:
    for method, path in (("GET", "nothing"), ("POST", "nothing"), ("PATCH", "session")):
        assert house.anonymous().request(method, f"{ROOT}/{path}").status_code == 404
