"""Several API processes behind one address: none of them remembers anything that the others would miss."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.http.house import Caller, Client, House, running


@pytest.fixture
def twins(serve, tmp_path: Path) -> Iterator[tuple[Caller, Client]]:
    """A caller of one process, and the same account's client at another one."""
    first: House = serve(rate_limit_creates=3)
    places = {name: getattr(first.api.settings, name) for name in ("database", "blobs")}
    urls = {f"{name}_url": value for name, value in places.items()}
    with running(data=tmp_path / "other", rate_limit_creates=3, **urls) as second:
        caller = first.caller()
        with Client(second, key=caller.http.key) as other:
            yield caller, other


def test_what_one_takes_the_other_tells(twins: tuple[Caller, Client]) -> None:
    caller, other = twins
    task_id = caller.created()
    told = other.get("/api/v1/vocal-removal/record-info", params={"taskId": task_id}).json()
    assert told["data"]["successFlag"] == "PENDING"
    assert other.get("/api/v1/generate/credit").json() == caller.http.get("/api/v1/generate/credit").json()


def test_an_idempotency_key_holds_for_all(twins: tuple[Caller, Client]) -> None:
    caller, other = twins
    key = {"Idempotency-Key": "once"}
    first = caller.create(headers=key).json()["data"]["taskId"]
    answer = other.post("/api/v1/vocal-removal/generate", json=caller.ids, headers=key)
    assert answer.json()["data"]["taskId"] == first


def test_the_limit_on_creates_is_one_for_all(twins: tuple[Caller, Client]) -> None:
    caller, other = twins
    codes = [
        client.post("/api/v1/vocal-removal/generate", json=caller.ids).json()["code"]
        for client in (caller.http, other, caller.http, other)
    ]
    assert codes == [200, 200, 200, 429]
