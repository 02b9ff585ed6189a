"""The callbacks that are still to be delivered are found without looking at all there ever were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Adds the index of what is pending."""
    pending = sa.text("state = 'pending'")
    op.create_index("callbacks_pending", "callbacks", ["created"], sqlite_where=pending, postgresql_where=pending)
