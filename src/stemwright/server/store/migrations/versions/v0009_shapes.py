"""A worker tells which shape its workflows have: what a shape that nobody has any more left behind is begun anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Adds the shape; the workers before this had the first."""
    op.add_column("workers", sa.Column("shape", sa.String(length=20), server_default="1", nullable=False))
