"""Signing in to the console, and everything that ends a session."""

import time

import pytest

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
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert house.anonymous().post(SESSION, json={"key": caller.http.key}, headers=headers).status_code == 403


def test_signing_out_ends_it_on_the_server_too(caller: Caller) -> None:
    browser = caller.signed_in()
    kept = dict(browser.cookies)
    assert browser.delete(SESSION).status_code == 200
    assert not browser.cookies
    browser.cookies.update(kept)
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


def test_a_session_is_no_key(caller: Caller) -> None:
    browser = caller.signed_in()
    assert browser.get("/api/v1/generate/credit").status_code == 401


def test_a_key_is_no_session(caller: Caller) -> None:
    assert caller.http.get("/console/api/keys").status_code == 401


def test_garbage_in_the_cookie_is_nobody(house: House) -> None:
    for cookie in ('stemwright_session="', "a=b; stemwright_session", "stemwright_session=" + "x" * 5000):
        answer = house.anonymous().get(SESSION, headers={"Cookie": cookie})
        assert answer.json()["data"] == {"signedIn": False}


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
