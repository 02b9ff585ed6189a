"""Credits left."""

from __future__ import annotations

from stemwright.server import credits
from stemwright.server.http import answers
from stemwright.server.http.answers import Answer
from stemwright.server.http.calls import Call


def balance(call: Call) -> Answer:
    """`GET /api/v1/generate/credit` and `GET /api/v1/chat/credit`."""
    with call.api.database.read() as tx:
        return answers.success(credits.balance(tx, call.caller.account_id))
