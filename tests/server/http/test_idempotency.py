"""Idempotency-Key: one task, one charge, one answer."""

import threading
import time

import pytest

from stemwright.server import accounts
from tests.server.http.house import Caller, House


def test_a_repetition_gets_the_stored_answer_and_one_charge(caller: Caller) -> None:
    first = caller.create(headers={"Idempotency-Key": '"abc"'})
    again = caller.create(headers={"Idempotency-Key": "abc"})
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert caller.balance() == 99


def test_a_repetition_has_the_headers_of_a_create_and_takes_nothing_of_the_limit(caller: Caller) -> None:
    first, again = (caller.create(headers={"Idempotency-Key": "abc", "X-Request-Id": "mine"}) for _ in range(2))
    assert set(again.headers) - set(first.headers) == {"idempotent-replayed"}
    for name in ("RateLimit-Policy", "X-Request-Id", "Cache-Control"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["RateLimit"].split(";t=")[0] == first.headers["RateLimit"].split(";t=")[0]


def test_spacing_and_order_do_not_make_another_body(caller: Caller) -> None:
    ids = caller.ids
    bodies = [f'{{"taskId":"{ids["taskId"]}","audioId":"{ids["audioId"]}"}}']
    bodies.append(f'{{ "audioId": "{ids["audioId"]}",\n "taskId": "{ids["taskId"]}" }}')
    path = "/api/v1/vocal-removal/generate"
    answers = [caller.http.post(path, content=body, headers={"Idempotency-Key": "k"}).json() for body in bodies]
    assert answers[0] == answers[1]


def test_another_body_under_the_same_key_is_refused(house: House, dialect: str) -> None:
    caller = house.caller(dialect=dialect)
    caller.create(headers={"Idempotency-Key": "k"})
    answer = caller.create(headers={"Idempotency-Key": "k"}, type="split_stem")
    assert answer.json()["code"] == {"apikley": 422, "sunoapi": 400}[dialect]
    assert caller.balance() == 99


def test_keys_belong_to_accounts(house: House, caller: Caller) -> None:
    other = house.caller()
    first, second = (who.create(headers={"Idempotency-Key": "same"}).json() for who in (caller, other))
    assert first["data"]["taskId"] != second["data"]["taskId"]


def test_an_error_is_not_stored(house: House) -> None:
    caller = house.caller(balance=1)
    headers = {"Idempotency-Key": "k"}
    assert caller.create(headers=headers, type="split_stem").json()["code"] == 402
    assert caller.create(headers=headers).json()["code"] == 200


def test_a_stored_answer_is_forgotten_after_its_time(house: House, caller: Caller) -> None:
    first = caller.create(headers={"Idempotency-Key": "k"}).json()
    house.execute(f"UPDATE idempotency SET created = created - 86400001 WHERE account_id = '{caller.account.id}'")
    assert caller.create(headers={"Idempotency-Key": "k"}).json() != first
    assert caller.balance() == 98


@pytest.mark.parametrize("key", ['""', "", "x" * 256])
def test_an_impossible_key_is_refused(caller: Caller, key: str) -> None:
    assert caller.create(headers={"Idempotency-Key": key}).json()["code"] == 422


def test_while_the_first_is_running_the_second_is_told_so(house: House, dialect: str) -> None:
    caller = house.caller(dialect=dialect)
    answers = []
    headers = {"Idempotency-Key": "k"}
    first = threading.Thread(target=lambda: answers.append(caller.create(headers=headers).json()))
    with house.database.transaction() as tx:
        accounts.lock(tx, caller.account.id)  # the first request has to wait
        first.start()
        while not house.api.running._held:
            time.sleep(0.005)
        second = caller.create(headers=headers)
    first.join()
    assert (second.status_code, second.json()["code"], answers[0]["code"]) == (409, 409, 200)
