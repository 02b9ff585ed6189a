"""What the logs say, in which form, and what they never say."""

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemwright.server import logs
from tests.crash.house import House, receiver


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """What pytest has set up itself is there again afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("stemwright")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


log = logging.getLogger("stemwright.test")


def test_json_has_one_object_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", form="json")
    with logs.about(request_id="r1", task_id="t1"):
        log.info("an\nevent")
        log.warning("more", extra={"callback_id": "c1"})
    log.info("nothing in particular")
    first, second, third = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["message"], first["level"], first["request_id"], first["task_id"]) == (
        "an\nevent",
        "INFO",
        "r1",
        "t1",
    )
    assert (second["callback_id"], second["task_id"]) == ("c1", "t1")
    assert "task_id" not in third
    assert first["time"].endswith("Z")


def test_text_says_what_it_is_about_too(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO")
    with logs.about(task_id="t1", request_id=None):
        log.info("an event")
    assert capsys.readouterr().err.endswith("INFO stemwright.test an event [task_id=t1]\n")


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "told",
    [
        "key sw_hunter2hunter2hunter2 is wrong",
        "Authorization: Bearer hunter2hunter2",
        "to https://example.com/cb?secret=hunter2&x=1 in vain",
        "[parameters: ('https://example.com/cb?a=1&secret=hunter2', 3)]",
        "postgresql://me:hunter2@host/name is away",
        "whsec_hunter2+hunter2/hunter2=",
    ],
)
def test_no_secret_gets_through(told: str, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", form=form)
    log.error(told, extra={"request_id": told})
    log.error("it went wrong", exc_info=ValueError(told))
    said = capsys.readouterr().err
    assert "hunter2" not in said
    assert "it went wrong" in said


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["a", "a.", "http://", "postgresql", "postgresql://", "bearer ", "sw_", "a://b@"])
def test_a_line_of_any_length_is_cleaned(piece: str) -> None:
    """In time that grows with it: in that which grows with its square, none of these would come to its end."""
    assert logs.cleaned(piece * 200_000 + " http://x/?secret=hunter2").endswith("http://x/?…")


def test_a_whole_service_keeps_secrets_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line of every process is an object; the request's name leads from the API to the worker."""
    monkeypatch.setenv("STEMWRIGHT_LOG_FORMAT", "json")
    monkeypatch.setenv("STEMWRIGHT_LOG_LEVEL", "DEBUG")
    with receiver() as hook, contextlib.closing(House({"data": tmp_path / "data"}, hook)) as house:
        hook.answer = lambda number: 500
        house.open()
        secret = house.client.headers["Authorization"].removeprefix("Bearer ")
        for query in ("secret=hunter2", "key=hunter2"):
            house.client.headers["X-Request-Id"] = "asked-by-a-test"
            task = house.create(**house.upload(), callBackUrl=f"{hook.url}/hook?{query}")
            house.wait_for(lambda task=task: len(hook.got[task]) >= 2)
        house.client.get(f"{house.url}/api/v1/generate/credit", headers={"Authorization": "Bearer hunter2hunter2"})
        house.create(audioUrl="http://127.0.0.1:1/song.mp3?token=hunter2")
        house.wait_for(lambda: "failed" in (tmp_path / "log").read_text())
        house.stop()
    said = (tmp_path / "log").read_text()
    about = [line for line in map(json.loads, said.splitlines()) if line.get("request_id") == "asked-by-a-test"]
    assert {line["logger"] for line in about} >= {"stemwright.http", "stemwright.worker"}
    assert not [word for word in ("hunter2", secret, house.account.webhook_secret) if word in said]
