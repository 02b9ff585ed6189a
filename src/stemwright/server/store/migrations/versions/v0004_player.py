"""What the player needs beside the stems: a file with their peaks, and the song itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds two names of blobs to a task."""
    for name in ("peaks", "mix"):
        op.add_column("tasks", sa.Column(name, sa.String(length=300), nullable=True))
        op.create_index(f"ix_tasks_{name}", "tasks", [name])
