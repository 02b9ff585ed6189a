"""A key can be bound to networks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds the networks that a key is good in."""
    op.add_column("keys", sa.Column("networks", sa.String(length=1000), server_default="", nullable=False))
