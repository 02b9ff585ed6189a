"""What the fleet needs: whose turn it is, priorities and shares, a worker's slots, and where a task was asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds columns, a table and two indexes. Tasks that wait in the old queue count as released: they are in it."""
    op.add_column("accounts", sa.Column("share", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("workers", sa.Column("slots", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("workers", sa.Column("ended", sa.BigInteger(), nullable=True))
    op.add_column("tasks", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("tasks", sa.Column("base_url", sa.Text(), nullable=True))
    op.add_column("tasks", sa.Column("request_id", sa.String(length=100), nullable=True))
    op.add_column("tasks", sa.Column("released", sa.BigInteger(), nullable=True))
    op.execute("UPDATE tasks SET released = created")
    op.create_table(
        "turns",
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("served", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "kind"),
    )
    op.create_index("ix_turns_served", "turns", ["served"])
    _partial_index("tasks_waiting", ["account_id", "kind", "priority", "created", "id"], "released IS NULL")
    _partial_index("tasks_released", ["account_id", "kind"], "released IS NOT NULL")


def _partial_index(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(f"{condition} AND completed IS NULL")
    op.create_index(name, "tasks", columns, sqlite_where=where, postgresql_where=where)
