"""Keys: where they may stand, and how soon they stop working."""

import time

import pytest

from stemwright.server import keys
from stemwright.server.clock import now_ms
from tests.server.http.house import Caller, House

CREDIT = "/api/v1/generate/credit"
WRONG = [
    {},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer sw_unknown"},
    {"Authorization": "Basic dXNlcjpwYXNz"},
    {"Authorization": "sw_unknown"},
    {"X-API-Key": "sw_unknown"},
    {"Authorization": "Bearer ' OR 1=1 --"},
    {"Authorization": "Bearer " + "x" * 5000},
]


@pytest.mark.parametrize("headers", WRONG, ids=str)
def test_a_wrong_key_is_code_401(house: House, headers: dict) -> None:
    answer = house.anonymous().get(CREDIT, headers=headers)
    assert (answer.status_code, answer.json()["code"], answer.json()["data"]) == (401, 401, None)
    assert answer.json()["msg"].startswith("You do not have access permissions")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key", "x-api-key"])
def test_either_header_will_do(house: House, caller: Caller, header: str) -> None:
    value = f"bearer {caller.http.key}" if header == "Authorization" else caller.http.key
    assert house.anonymous().get(CREDIT, headers={header: value}).json()["data"] == 100


def test_a_revoked_key_stops_within_a_second(house: House, caller: Caller) -> None:
    assert caller.balance() == 100
    with house.database.transaction() as tx:
        keys.revoke(tx, caller.key_id, now=now_ms())
    time.sleep(0.6)
    assert caller.http.get(CREDIT).json()["code"] == 401


def test_a_rotated_key_gives_way_to_the_new_one(house: House, caller: Caller) -> None:
    with house.database.transaction() as tx:
        _, secret = keys.rotate(tx, caller.key_id, now=now_ms())
    assert caller.http.get(CREDIT).json()["code"] == 401
    assert house.anonymous().get(CREDIT, headers={"X-API-Key": secret}).json()["data"] == 100


def test_an_expired_key_is_refused(house: House, caller: Caller) -> None:
    house.execute(f"UPDATE keys SET expires = 1 WHERE id = '{caller.key_id}'")
    assert caller.http.get(CREDIT).json()["code"] == 401


def test_the_use_of_a_key_is_noted(house: House, caller: Caller) -> None:
    caller.balance()
    for _ in range(200):
        with house.database.read() as tx:
            used = keys.get(tx, caller.key_id).used
        if used:
            break
        time.sleep(0.01)
    assert used
    assert abs(used - now_ms()) < 10_000


def test_a_body_is_not_looked_at_before_the_key(house: House) -> None:
    answer = house.anonymous().post("/api/v1/vocal-removal/generate", content=b"not json")
    assert answer.json()["code"] == 401
