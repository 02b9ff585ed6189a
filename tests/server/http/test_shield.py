"""Headers that every answer has, whoever made it."""

import httpx2
import pytest

from tests.server.http.house import Caller, House

PATHS = [
    "/",
    "/livez",
    "/docs",
    "/openapi.json",
    "/api/v1/generate/credit",
    "/api/v1/nowhere",
    "/s/no_such.mp3",
    "/metrics",
]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_shielded(house: House, caller: Caller, path: str) -> None:
    for client in (house.anonymous(), caller.http):
        answer = client.get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] in ("no-referrer", "same-origin")
        assert answer.headers["X-Frame-Options"] == "DENY"


def test_no_address_begins_a_line_of_the_log(house: House, monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(house.api.database, "read", lambda: 1 / 0)
    assert httpx2.get(f"{house.url}/s/a%0A2026-11-23T09:00:00.000Z%20INFO%20all%20is%20well").status_code == 500
    (line,) = [each.getMessage() for each in caplog.records if "went wrong" in each.getMessage()]
    assert r"/s/a\n2026" in line
