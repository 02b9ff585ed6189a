"""What a separation ran in, and which model each of its stems comes from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds a task's precision and a stem's model."""
    op.add_column("tasks", sa.Column("precision", sa.String(length=50), nullable=True))
    op.add_column("stems", sa.Column("model", sa.String(length=200), nullable=True))
