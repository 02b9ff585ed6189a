"""What an account's uploads take is summed without looking at every song that it ever sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Adds the index of the songs that are kept for a time."""
    kept = sa.text("expires IS NOT NULL AND gone IS NULL")
    op.create_index("tracks_kept", "tracks", ["account_id", "bytes"], sqlite_where=kept, postgresql_where=kept)
