"""Refunds are found without looking at every row of the ledger: their figures are told from it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Adds the index of what went back."""
    refund = sa.text("kind = 'refund'")
    columns = ["created", "reason", "amount"]
    op.create_index("ledger_given_back", "ledger", columns, sqlite_where=refund, postgresql_where=refund)
