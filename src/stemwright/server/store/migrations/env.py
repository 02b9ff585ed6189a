"""Run by Alembic: migrates over the connection, and inside the transaction, that `migrate` hands in."""

from __future__ import annotations

from alembic import context

from stemwright.server.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=False)
context.run_migrations()
