"""An account can be closed: its row stays for the ledger, and says since when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Adds the time of an account's end."""
    op.add_column("accounts", sa.Column("closed", sa.BigInteger(), nullable=True))
