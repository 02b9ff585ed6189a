"""Headers that every answer has, whoever made it."""

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
