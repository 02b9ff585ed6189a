"""A task tells what was odd about its song."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Adds a task's warnings."""
    op.add_column("tasks", sa.Column("warnings", sa.JSON(), nullable=True))
