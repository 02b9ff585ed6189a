"""Keys: where they may stand, and how soon they stop working."""

import time
from collections.abc import Sequence

import anyio
import httpx2
import pytest
import sqlalchemy as sa

from stemwright.errors import InvalidKey
from stemwright.server import keys
from stemwright.server.clock import now_ms
from stemwright.server.http import calls
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


def key_for(caller: Caller, *, scopes: Sequence[str] = ("api",), networks: str = "") -> str:
    with caller.house.database.transaction() as tx:
        return keys.create(tx, caller.account.id, scopes=scopes, networks=networks, now=now_ms())[1]


def test_a_key_is_refused_outside_its_networks(house: House, caller: Caller) -> None:
    for networks, code in (("127.0.0.0/8", 200), ("10.0.0.0/8", 401), ("::1", 401)):
        bound = key_for(caller, networks=networks)
        assert house.anonymous().get(CREDIT, headers={"X-API-Key": bound}).json()["code"] == code
        answer = house.anonymous().post("/console/api/session", json={"key": bound})
        assert answer.json()["code"] == code


def test_a_strangers_body_is_read_into_nothing() -> None:
    """It is read all the same: whoever is cut off while sending never sees the answer."""
    left = [{"type": "http.request", "body": b"x" * 1000, "more_body": more} for more in (True, True, False)]

    async def receive() -> dict:
        return left.pop(0)

    async def keep(*_: object) -> None:
        raise AssertionError

    def admit(_: object) -> None:
        raise InvalidKey

    with pytest.raises(InvalidKey):
        anyio.run(calls.known_first(keep, admit), None, receive)
    assert not left


def test_behind_a_trusted_proxy_the_client_counts(serve) -> None:
    house = serve(trusted_proxies=("127.0.0.0/8",))
    bound = key_for(house.caller(), networks="192.0.2.0/24")
    known = ("192.0.2.7", "192.0.2.7, 127.0.0.9", "192.0.2.7:51000", "192.0.2.7, 127.0.0.9:80")
    unknown = ("192.0.2.7, 10.0.0.1", "[2001:db8::1]:443", "192.0.2.7:x", "")
    for passed, code in [(each, 200) for each in known] + [(each, 401) for each in unknown]:
        headers = {"X-API-Key": bound, "X-Forwarded-For": passed}
        assert house.anonymous().get(CREDIT, headers=headers).json()["code"] == code


def test_a_line_that_the_client_wrote_itself_does_not_hide_the_proxys(serve) -> None:
    house = serve(trusted_proxies=("127.0.0.0/8",))
    key = key_for(house.caller(), networks="192.0.2.0/24")
    headers = [("X-API-Key", key), ("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-For", "198.51.100.1")]
    assert house.anonymous().get(CREDIT, headers=headers).json()["code"] == 401
    assert house.anonymous().get(CREDIT, headers=[*headers, ("X-Forwarded-For", "192.0.2.8")]).json()["code"] == 200


def test_who_trusts_no_proxy_is_not_fooled(house: House, caller: Caller) -> None:
    headers = {"X-API-Key": key_for(caller, networks="192.0.2.0/24"), "X-Forwarded-For": "192.0.2.7"}
    assert house.anonymous().get(CREDIT, headers=headers).json()["code"] == 401


def test_a_session_ends_where_its_key_does(serve) -> None:
    house = serve(trusted_proxies=("127.0.0.0/8",))
    browser = house.anonymous()
    browser.headers["X-Forwarded-For"] = "192.0.2.7"
    bound = key_for(house.caller(), networks="192.0.2.0/24")
    assert browser.post("/console/api/session", json={"key": bound}).json()["code"] == 200
    assert browser.get("/console/api/keys").json()["code"] == 200
    browser.headers["X-Forwarded-For"] = "198.51.100.1"
    assert browser.get("/console/api/keys").json()["code"] == 401


def test_a_key_that_may_only_look(house: House, caller: Caller) -> None:
    reader = {"X-API-Key": key_for(caller, scopes=("read",))}
    assert house.anonymous().get(CREDIT, headers=reader).json()["data"] == 100
    answer = house.anonymous().post("/api/v1/vocal-removal/generate", json=caller.ids, headers=reader)
    assert (answer.json()["code"], "scope api" in answer.json()["msg"]) == (401, True)
    assert house.anonymous().post("/console/api/session", json={"key": reader["X-API-Key"]}).json()["code"] == 401
    assert caller.balance() == 100


def wrong(house: House, number: int, **headers: str) -> httpx2.Response:
    return house.anonymous().get(CREDIT, headers={"X-API-Key": f"sw_{number:043}", **headers})


def test_guessing_is_slowed_before_the_database_is_asked(serve) -> None:
    house = serve(rate_limit_wrong_keys=5)
    caller = house.caller()
    assert caller.balance() == 100
    assert [wrong(house, number).status_code for number in range(7)] == [401] * 5 + [429] * 2
    asked: list[str] = []
    sa.event.listen(house.database.engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    assert [wrong(house, number).headers["Retry-After"] for number in range(3)] == ["1"] * 3
    assert house.anonymous().post("/console/api/session", json={"key": "sw_x"}).status_code == 429
    assert [each for each in asked if "FROM keys" in each] == []
    assert caller.balance() == 100  # a key that was right before goes on


def test_guesses_count_by_address_and_cool_down(serve) -> None:
    house = serve(rate_limit_wrong_keys=6, trusted_proxies=("127.0.0.0/8",))
    there, neighbour = {"X-Forwarded-For": "2001:db8::1"}, {"X-Forwarded-For": "2001:db8::2:0:0:1"}
    assert [wrong(house, number, **there).status_code for number in range(7)] == [401] * 6 + [429]
    assert wrong(house, 1, **neighbour).status_code == 429  # one /64 is one guesser
    assert wrong(house, 1, **{"X-Forwarded-For": "2001:db8:0:1::1"}).status_code == 401
    later = now_ms() + 10_100
    house.api.clock = lambda: later
    assert [wrong(house, number, **there).status_code for number in range(2)] == [401, 429]
