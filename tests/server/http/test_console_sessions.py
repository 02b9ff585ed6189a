"""Signing in to the console, and everything that ends a session."""

import time

import pytest
import sqlalchemy as sa

from stemwright.server import keys
from stemwright.server.clock import now_ms
from tests.server.http.house import Caller, House

SESSION = "/console/api/session"


def test_nobody_is_signed_in_at_first(house: House) -> None:
    assert house.anonymous().get(SESSION).json()["data"] == {"signedIn": False}


def test_a_key_becomes_a_cookie_that_no_script_reads(house: House, caller: Caller) -> None:
    answer = house.anonymous().post(SESSION, json={"key": f" {caller.http.key}\n"})
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/console", "Max-Age=43200"} <= set(cookie.split("; "))
    assert caller.http.key not in cookie
    assert answer.json()["data"]["balance"] == 100
    assert answer.json()["data"]["service"]["prices"]["twelve"]["split_stem"] == 5


def test_behind_https_the_cookie_stays_there(serve) -> None:
    house = serve(public_url="https://stems.example.com")
    answer = house.anonymous().post(SESSION, json={"key": house.caller().http.key})
    assert "; Secure" in answer.headers["Set-Cookie"]


def test_a_wrong_key_is_told(house: House) -> None:
    answer = house.anonymous().post(SESSION, json={"key": "sw_wrong"})
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


def test_a_page_of_another_site_cannot_sign_anybody_in(house: House, caller: Caller) -> None:
    def status(**headers: str) -> int:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return house.anonymous().post(SESSION, json={"key": caller.http.key}, headers=sent).status_code

    assert status(Sec_Fetch_Site="cross-site") == 403
    assert [status(Origin=elsewhere) for elsewhere in ("http://evil.example", "null", "http://[")] == [403] * 3
    assert status(Content_Type="text/plain") == 422
    assert status(Origin=house.url) == status(Origin="http://proxied.example", Sec_Fetch_Site="same-origin") == 200


def test_signing_out_ends_it_on_the_server_too(caller: Caller) -> None:
    browser = caller.signed_in()
    kept = dict(browser.cookies)
    assert browser.delete(SESSION).status_code == 200
    assert not browser.cookies
    browser.cookies.update(kept)
    assert browser.get(SESSION).json()["data"] == {"signedIn": False}


@pytest.mark.parametrize(
    "path", ["session", "tasks", "tasks/nothing", "keys", "secret", "ledger", "usage", "callbacks"]
)
def test_nothing_of_it_stays_in_a_cache(caller: Caller, path: str) -> None:
    assert caller.signed_in().get(f"/console/api/{path}").headers["Cache-Control"] == "no-store"


def test_signing_out_needs_no_token_but_a_page_of_ours(caller: Caller) -> None:
    """The token of a page is an older one where somebody signed in again in another tab."""
    browser = caller.signed_in()
    del browser.headers["X-CSRF-Token"]
    assert browser.delete(SESSION, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert browser.delete(SESSION).status_code == 200
    assert browser.get(SESSION).json()["data"] == {"signedIn": False}


def test_it_expires(serve) -> None:
    house = serve(session_hours=1)
    browser = house.caller().signed_in()
    house.api.clock = lambda: now_ms() + 3_600_001
    assert browser.get("/console/api/tasks").status_code == 401


@pytest.mark.parametrize("column", ["revoked", "expires"])
def test_it_ends_with_its_key(house: House, caller: Caller, column: str) -> None:
    browser = caller.signed_in()
    house.execute(f"UPDATE keys SET {column} = {now_ms()} WHERE id = '{caller.key_id}'")
    assert browser.get("/console/api/keys").status_code == 401


def test_it_is_good_in_the_networks_of_its_key_alone(house: House, caller: Caller) -> None:
    browser = caller.signed_in()
    for networks, status in (("10.0.0.0/8", 401), ("127.0.0.0/8", 200)):
        house.execute(f"UPDATE keys SET networks = '{networks}' WHERE id = '{caller.key_id}'")
        assert browser.get("/console/api/keys").status_code == status


def test_a_session_is_no_key(caller: Caller) -> None:
    browser = caller.signed_in()
    assert browser.get("/api/v1/generate/credit").status_code == 401


def test_a_key_is_no_session(caller: Caller) -> None:
    assert caller.http.get("/console/api/keys").status_code == 401


def test_garbage_in_the_cookie_is_nobody(house: House) -> None:
    for cookie in ('stemwright_session="', "a=b; stemwright_session", "stemwright_session=" + "x" * 5000):
        answer = house.anonymous().get(SESSION, headers={"Cookie": cookie})
        assert answer.json()["data"] == {"signedIn": False}


def test_garbage_in_the_cookie_is_nobodys_work(house: House) -> None:
    sent = {"Cookie": 'stemwright_session="' + "\\" * 30_000 + '"'}
    began = time.process_time()
    assert house.anonymous().get(SESSION, headers=sent).json()["data"] == {"signedIn": False}
    assert time.process_time() - began < 0.3


def test_sessions_that_are_over_are_forgotten(house: House, caller: Caller) -> None:
    caller.signed_in()
    house.execute("UPDATE sessions SET expires = 1")
    caller.signed_in()
    with house.database.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM sessions").scalar_one() == 1


def test_using_the_console_counts_as_using_the_key(house: House, caller: Caller) -> None:
    caller.signed_in().get("/console/api/tasks")
    deadline = time.monotonic() + 20
    used = None
    while not used and time.monotonic() < deadline:  # it is noted after the answer
        with house.database.read() as tx:
            used = keys.get(tx, caller.key_id).used
    assert used


def test_guessing_sessions_is_slowed_before_the_database_is_asked(serve) -> None:
    """Like guessing keys, but apart from it and later. Whoever is signed in, or was, does not guess."""
    house = serve(rate_limit_wrong_keys=5)
    now = now_ms()
    house.api.clock = lambda: now
    browser, leaving = (house.caller().signed_in() for _ in range(2))
    kept = dict(leaving.cookies)
    leaving.delete(SESSION)

    def guess(number: int) -> int:
        headers = {"Cookie": f"stemwright_session={number:043}"}
        return house.anonymous().get("/console/api/tasks", headers=headers).status_code

    assert [guess(number) for number in range(52)] == [401] * 50 + [429] * 2
    asked: list[str] = []
    sa.event.listen(house.database.engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    assert [guess(number) for number in range(3)] == [429] * 3
    assert [each for each in asked if "sessions" in each or "keys" in each] == []
    assert browser.get(SESSION).json()["data"]["signedIn"]
    leaving.cookies.update(kept)
    assert leaving.get("/console/api/tasks").status_code == 401
    house.caller().signed_in()  # nor is the right key kept out by what old pages send
