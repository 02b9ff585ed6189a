"""Callbacks: their words, their signatures, their times, and receivers that misbehave."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from stemwright.server import callbacks, network
from stemwright.server.stem_names import LABELS
from stemwright.server.tasks import Stem, Task
from tests.contract.validator import CONTRACT
from tests.server.http import sources
from tests.server.http.sources import source

NOW = 1_795_000_000_000
BASE = "https://stems.example.com"
TASK_ID = "3e63b4cc88d52611159371f6af5571e7"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def task(**other: Any) -> Task:
    values: dict[str, Any] = dict.fromkeys(Task.__dataclass_fields__)
    values |= {"id": TASK_ID, "kind": "separate_vocal", "state": "finished", "dialect": "apikley", "created": NOW}
    return Task(**values | other)


def stem(number: int, name: str) -> Stem:
    uuid, label = f"3d7021c9-fa8b-4eda-91d1-3b9297ddb{number:03}", LABELS.get(name, name)
    return Stem(uuid, number, name, label, f"{uuid}_{label}.mp3", "mp3", 9, 2.5, False, False, -9.0)


def stems(*names: str) -> list[Stem]:
    return [stem(number, name) for number, name in enumerate(names)]


def said(about: Task, files: list[Stem] | None = None) -> dict[str, Any]:
    body = json.loads(callbacks.payload(about, files or [], base_url=BASE))
    CONTRACT.check_callback(body)
    return body


# ---- what is said ---------------------------------------------------------------------------------------------------


def test_two_stems_under_both_keys() -> None:
    body = said(task(), stems("vocals", "instrumental"))
    info = body["data"]["vocal_separation_info"]
    assert set(info) == {"origin_url", "vocal_url", "instrumental_url"}
    assert body["data"]["vocal_removal_info"] == info
    assert info["vocal_url"] == f"{BASE}/s/3d7021c9-fa8b-4eda-91d1-3b9297ddb000_Vocals.mp3"
    assert (body["code"], body["data"]["task_id"], info["origin_url"]) == (200, TASK_ID, "")


def test_twelve_stems_under_the_names_of_the_contract() -> None:
    info = said(task(kind="split_stem"), stems(*(name for name in LABELS if name != "instrumental")))["data"]
    assert set(info["vocal_removal_info"]) == {
        *("origin_url", "vocal_url", "backing_vocals_url", "drums_url", "bass_url", "guitar_url", "keyboard_url"),
        *("percussion_url", "strings_url", "synth_url", "fx_url", "brass_url", "woodwinds_url"),
    }


def test_a_named_instrument_and_everything_else() -> None:
    body = said(task(kind="split_stem_advanced", stem_name="Kick"), stems("drums", "Kick"))
    info = body["data"]["vocal_removal_info"]
    assert set(info) == {"origin_url", "origin_data", "drums_url"}
    assert set(info["origin_data"][0]) == {"extract", "remove"}


@pytest.mark.parametrize(
    ("dialect", "sentence"),
    [
        ("apikley", "vocal separation generated successfully."),
        ("sunoapi", "vocal Removal generated successfully."),
    ],
)
def test_the_sentence_is_upstreams(dialect: str, sentence: str) -> None:
    message = said(task(dialect=dialect), stems("vocals"))["msg"]
    assert message == sentence
    assert "failed" not in message
    assert "error" not in message


@pytest.mark.parametrize(
    ("dialect", "failure", "code"),
    [
        *(("apikley", failure, 500) for failure in ("input", "fetch", "separation", "cancelled")),
        *(("sunoapi", "input", 400), ("sunoapi", "fetch", 451), ("sunoapi", "separation", 500)),
    ],
)
def test_a_failure_has_its_code_and_both_keys_null(dialect: str, failure: str, code: int) -> None:
    body = said(task(state="failed", failure=failure, dialect=dialect))
    data = {"task_id": TASK_ID, "vocal_separation_info": None, "vocal_removal_info": None}
    assert body == {"code": code, "msg": "Vocal separation failed", "data": data}


# ---- how it is signed -----------------------------------------------------------------------------------------------


def test_upstreams_signature_by_its_vector() -> None:
    signature = callbacks.suno_signature(TASK_ID, "1753782937", "test-webhook-key")
    assert signature == "rfcOLag/2dpnttknvwrBlnvqdcfBaZhtKJglMSDU/lg="


def test_the_standard_signature_by_its_vector() -> None:
    body = b'{"test": 2432232314}'
    signature = callbacks.standard_signature("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body, SECRET)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_both_are_sent_and_any_receiver_can_verify_them() -> None:
    body = callbacks.payload(task(), stems("vocals"), base_url=BASE)
    headers = callbacks.signed_headers("msg_1", TASK_ID, body, secret=SECRET, now=NOW)
    signed = f"{TASK_ID}.{headers['X-Webhook-Timestamp']}".encode()
    suno = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    standard = hmac.new(key, f"msg_1.{headers['webhook-timestamp']}.".encode() + body, hashlib.sha256).digest()
    assert headers["X-Webhook-Signature"] == suno
    assert headers["webhook-signature"] == "v1," + base64.b64encode(standard).decode()
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", str(NOW // 1000))


# ---- when -----------------------------------------------------------------------------------------------------------


def test_the_schedule() -> None:
    delays = [callbacks.delay_seconds(number) for number in range(1, 6)]
    assert delays == [0, 60, 300, 900, None]
    assert callbacks.delay_seconds(2, (0, 0.5)) == 0.5


# ---- to whom --------------------------------------------------------------------------------------------------------


def attempt(url: str, *, client: network.Client | None = None, seconds: float = 10) -> callbacks.Attempt:
    client = client or network.Client(network.parse_networks("127.0.0.0/8"))
    return callbacks.attempt(client, url, b"{}", headers={"webhook-id": "m"}, timeout_seconds=seconds)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_a_delivery(status: int) -> None:
    with source(sources.gives(b"", status=status)) as receiver:
        assert attempt(receiver.url).delivered
    assert receiver.asked[0][2]["webhook-id"] == "m"


@pytest.mark.parametrize("status", [301, 302, 400, 404, 410, 429, 500, 503])
def test_anything_else_is_none(status: int) -> None:
    with source(sources.gives(b"secret text", status=status)) as receiver:
        made = attempt(receiver.url)
    assert (made.delivered, made.status) == (False, status)
    assert "secret" not in (made.error or "")


def test_a_redirect_is_not_followed() -> None:
    with source(sources.gives()) as elsewhere, source(sources.redirects(elsewhere.url)) as receiver:
        assert not attempt(receiver.url).delivered
    assert elsewhere.asked == []


@pytest.mark.parametrize("misbehave", [sources.hangs, sources.drips_headers])
def test_a_receiver_that_hangs_is_given_up(misbehave: Callable) -> None:
    started = time.monotonic()
    with source(misbehave) as receiver:
        made = attempt(receiver.url, seconds=0.3)
    assert (made.delivered, made.status) == (False, None)
    assert time.monotonic() - started < 3


def test_a_receiver_that_took_it_and_then_drips_has_taken_it() -> None:
    with source(sources.drips) as receiver:
        assert attempt(receiver.url, seconds=0.5).delivered


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://localhost/noop", "http://10.0.0.1/", "http://[::1]/"])
def test_a_private_address_is_not_called(url: str) -> None:
    made = attempt(url, client=network.Client())
    assert made.status is None
    assert "public internet" in (made.error or "")


@pytest.mark.parametrize("url", ["not a url", "ftp://x", ""])
def test_what_is_no_address_is_no_crash(url: str) -> None:
    assert attempt(url).status is None
