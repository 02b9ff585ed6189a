"""Blobs are announced before they are written; SQLite's ledger also refuses rows that would replace others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds a table and a trigger."""
    op.create_table(
        "arrivals",
        sa.Column("blob", sa.String(length=300), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("blob"),
    )
    op.create_index("ix_arrivals_task_id", "arrivals", ["task_id"])
    op.create_index("ix_arrivals_created", "arrivals", ["created"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(sa.text(_NO_REPLACE))


# INSERT OR REPLACE deletes the rows in its way without their triggers.
_NO_REPLACE = """
CREATE TRIGGER ledger_no_replace BEFORE INSERT ON ledger
WHEN EXISTS (SELECT 1 FROM ledger WHERE id = NEW.id
    OR (account_id = NEW.account_id AND sequence = NEW.sequence) OR (task_id = NEW.task_id AND kind = NEW.kind))
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
"""
