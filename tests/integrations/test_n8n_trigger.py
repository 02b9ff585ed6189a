"""The n8n trigger: what our service sends starts a workflow, and nothing else does."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from stemwright.server.callbacks import signed_headers
from tests.integrations.conftest import N8n, song
from tests.server.http.sources import gives, source

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
INFO = {"origin_url": "", "vocal_url": "https://x/1_Vocals.mp3"}
BODY = json.dumps({"code": 200, "msg": "ok", "data": {"task_id": "t1", "vocal_removal_info": INFO}}).encode()


def called(stranger: N8n, *, headers: dict[str, str], body: bytes = BODY, **wish: Any) -> dict[str, Any]:
    """What the trigger makes of a request; n8n hands headers over in lower case."""
    lower = {name.lower(): text for name, text in headers.items()}
    return stranger.run(
        "webhook", node="stemwrightTrigger", headers=lower, body=base64.b64encode(body).decode(), **wish
    )


def signed(*, seconds: int = 0, body: bytes = BODY) -> dict[str, str]:
    return signed_headers("msg_1", "t1", body, secret=SECRET, now=time.time_ns() // 1_000_000 + seconds * 1000)


@pytest.mark.parametrize(("script", "status"), [({}, "success"), ({"refuse": "only noise"}, "failed")])
def test_a_callback_of_the_service_starts_the_workflow(n8n: N8n, script: dict[str, str], status: str) -> None:
    with source(gives(b"{}")) as receiver:
        wish = {"operation": "separate", "afterwards": "callback", "callbackUrl": f"{receiver.url}/webhook/x"}
        (made,) = n8n.execute(song(**script), **wish)
        deadline = time.monotonic() + 60
        while not receiver.asked and time.monotonic() < deadline:
            time.sleep(0.05)
        _, _, headers, body = receiver.asked[0]
    result = called(n8n, headers=headers, body=body)
    task = result["workflowData"][0][0]["json"]
    assert (task["taskId"], task["status"]) == (made["json"]["taskId"], status)
    assert list(task["stems"]) == (["vocals", "instrumental"] if status == "success" else [])
    assert task["webhookId"] == headers["webhook-id"]


@pytest.mark.parametrize(("event", "starts"), [("any", True), ("success", True), ("failed", False)])
def test_only_the_chosen_event_starts_it(stranger: N8n, event: str, starts: bool) -> None:
    result = called(stranger, headers=signed(), parameters={"event": event})
    assert ("workflowData" in result) == starts
    assert result["answered"] == {}


def weak() -> dict[str, str]:
    return {name: text for name, text in signed().items() if name.startswith("X-")}


# Signed when it is sent: what was signed long ago is refused for its age alone.
@pytest.mark.parametrize(
    ("sign", "body", "secret"),
    [
        (lambda: signed(seconds=-1000), BODY, SECRET),
        (lambda: signed(seconds=1000), BODY, SECRET),
        (signed, BODY.replace(b"1_Vocals", b"2_Vocals"), SECRET),
        (signed, BODY, "whsec_YW5vdGhlcg=="),
        (signed, BODY, ""),
        (weak, BODY, SECRET),
        (lambda: signed() | {"webhook-signature": "v1,é"}, BODY, SECRET),
        (lambda: signed(body=b"[]"), b"[]", SECRET),
    ],
    ids=["old", "early", "changed", "other-secret", "no-secret", "weak-form", "garbled", "no-callback"],
)
def test_what_is_not_genuine_or_new_starts_nothing(
    stranger: N8n, sign: Callable[[], dict[str, str]], body: bytes, secret: str
) -> None:
    result = called(stranger, headers=sign(), body=body, credentials={"webhookSecret": secret})
    assert "workflowData" not in result
    assert result["answered"]["status"] == 401


def test_it_cannot_be_activated_without_the_secret(stranger: N8n) -> None:
    assert stranger.run("activate", node="stemwrightTrigger")["active"]
    error = stranger.run("activate", node="stemwrightTrigger", credentials={"webhookSecret": " "})["error"]
    assert error["message"] == "The credentials hold no callback secret"
