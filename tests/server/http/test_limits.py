"""Limits: the excess is answered at once, and the account is told when to come back."""

import re

import pytest

from tests.server.http.house import Caller, House


def test_creates_beyond_the_limit_are_refused_at_once(serve, dialect: str) -> None:
    caller = serve(rate_limit_creates=3, rate_limit_seconds=60).caller(dialect=dialect)
    codes = [caller.create().json()["code"] for _ in range(5)]
    limited = {"apikley": 429, "sunoapi": 405}[dialect]
    assert codes == [200, 200, 200, limited, limited]
    assert caller.balance() == 97


def test_a_refusal_is_http_429_with_a_time_to_come_back(serve, dialect: str) -> None:
    caller = serve(rate_limit_creates=1, rate_limit_seconds=60).caller(dialect=dialect)
    caller.create()
    for answer in (caller.create(), caller.create()):
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_every_create_tells_what_is_left(serve) -> None:
    caller = serve(rate_limit_creates=2, rate_limit_seconds=10).caller()
    answers = [caller.create() for _ in range(4)]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"create";q=2;w=10'}
    left = [re.fullmatch(r'"create";r=(\d+);t=(\d+)', answer.headers["RateLimit"]) for answer in answers]
    assert [match and match[1] for match in left] == ["1", "0", "0", "0"]
    for answer, match in zip(answers[2:], left[2:], strict=True):
        assert match
        assert int(answer.headers["Retry-After"]) == int(match[2]) >= 1


def test_the_window_slides(serve) -> None:
    house = serve(rate_limit_creates=1, rate_limit_seconds=1)
    caller = house.caller()
    now = house.api.clock()
    times = iter([now, now + 500, now + 1000])
    house.api.clock = lambda: next(times)
    assert [caller.create().json()["code"] for _ in range(3)] == [200, 429, 200]


def test_one_account_does_not_use_up_anothers_limit(serve) -> None:
    house = serve(rate_limit_creates=1, rate_limit_seconds=60)
    assert [house.caller().create().json()["code"] for _ in range(3)] == [200, 200, 200]


def test_a_repetition_is_no_create(serve) -> None:
    caller = serve(rate_limit_creates=1, rate_limit_seconds=60).caller()
    headers = {"Idempotency-Key": "k"}
    assert [caller.create(headers=headers).json()["code"] for _ in range(3)] == [200, 200, 200]


def test_too_many_unfinished_tasks(serve, dialect: str) -> None:
    caller = serve(max_queued_per_account=2).caller(dialect=dialect)
    answers = [caller.create() for _ in range(3)]
    assert answers[2].json()["code"] == {"apikley": 429, "sunoapi": 405}[dialect]
    assert answers[2].headers["Retry-After"]
    assert caller.balance() == 98


def test_calls_of_any_kind_have_a_limit_too(serve, dialect: str) -> None:
    caller = serve(rate_limit_burst=2).caller(dialect=dialect)
    answers = [caller.http.get("/api/v1/generate/credit") for _ in range(4)]
    last = answers[-1]
    assert (last.status_code, last.json()["code"]) == (429, {"apikley": 429, "sunoapi": 430}[dialect])
    assert last.headers["Retry-After"] == "1"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/docs"])
def test_open_routes_are_not_limited(serve, path: str) -> None:
    client = serve(rate_limit_burst=1).anonymous()
    assert {client.get(path).status_code for _ in range(5)} == {200}


def test_a_polling_client_is_not_limited(house: House, caller: Caller) -> None:
    task_id = caller.created()
    assert {caller.record(task_id)["successFlag"] for _ in range(30)} == {"PENDING"}
