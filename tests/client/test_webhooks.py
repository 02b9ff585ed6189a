"""A callback is believed when its signature fits and its time is new."""

import json

import pytest

from stemwright import errors, verify_webhook
from stemwright.server.callbacks import signed_headers

SECRET, NOW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1_795_000_000_000
INFO = {"origin_url": "", "vocal_url": "https://x/1_Vocals.mp3"}
BODY = json.dumps({"code": 200, "msg": "ok", "data": {"task_id": "t1", "vocal_removal_info": INFO}}).encode()
HEADERS = signed_headers("msg_1", "t1", BODY, secret=SECRET, now=NOW)


@pytest.mark.parametrize("form", ["any", "standard", "suno"])
def test_what_the_service_signs_is_believed(form: str) -> None:
    record = verify_webhook(HEADERS, BODY, SECRET, form=form, now=NOW + 299_000)  # type: ignore[arg-type]
    assert (record.task_id, record.succeeded, [stem.name for stem in record.stems]) == ("t1", True, ["vocals"])


@pytest.mark.parametrize("seconds", [-301, 301])
def test_an_old_or_future_one_is_stale(seconds: int) -> None:
    with pytest.raises(errors.StaleWebhook):
        verify_webhook(HEADERS, BODY, SECRET, now=NOW + seconds * 1000)


@pytest.mark.parametrize(
    ("headers", "body", "secret"),
    [
        (HEADERS, BODY, "another"),
        (HEADERS, BODY.replace(b"1_Vocals", b"2_Vocals"), SECRET),
        (HEADERS | {"webhook-signature": "v1,é"}, BODY, SECRET),
        (HEADERS | {"X-Webhook-Signature": ""}, BODY, SECRET),
        ({}, BODY, SECRET),
        (HEADERS, b"<html>", SECRET),
    ],
)
def test_a_forged_one_is_not_believed(headers: dict[str, str], body: bytes, secret: str) -> None:
    with pytest.raises(errors.WrongSignature):
        verify_webhook(headers, body, secret, now=NOW)


def test_the_weaker_form_alone_can_be_ruled_out() -> None:
    weak = {name: value for name, value in HEADERS.items() if name.startswith("X-")}
    with pytest.raises(errors.WrongSignature):
        verify_webhook(weak, BODY, SECRET, form="standard", now=NOW)
