"""The first schema: accounts, keys, the ledger and its triggers, tracks, tasks, stems, callbacks, workers."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates every table and the rules of the ledger."""
    _accounts()
    _switches()
    _workers()
    _idempotency()
    _keys()
    _tracks()
    _tasks()
    _callbacks()
    _ledger()
    _stems()
    _ledger_rules()


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("webhook_secret", sa.String(length=100), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )


def _switches() -> None:
    op.create_table(
        "switches",
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=50), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=True),
        sa.Column("device", sa.String(length=50), nullable=True),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat", sa.BigInteger(), nullable=False),
        sa.Column("draining", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("sweeper", sa.String(length=100), nullable=True),
        sa.Column("swept", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_workers_heartbeat"), "workers", ["heartbeat"], unique=False)


def _idempotency() -> None:
    op.create_table(
        "idempotency",
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "key"),
    )
    op.create_index(op.f("ix_idempotency_created"), "idempotency", ["created"], unique=False)


def _keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("hint", sa.String(length=20), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("dialect", sa.String(length=20), nullable=False),
        sa.Column("scopes", sa.String(length=200), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.Column("used", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_index(op.f("ix_keys_account_id"), "keys", ["account_id"], unique=False)


def _tracks() -> None:
    op.create_table(
        "tracks",
        sa.Column("audio_id", sa.String(length=36), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("music_index", sa.Integer(), server_default="0", nullable=False),
        sa.Column("title", sa.String(length=500), server_default="", nullable=False),
        sa.Column("file_name", sa.String(length=500), server_default="", nullable=False),
        sa.Column("mime", sa.String(length=200), server_default="", nullable=False),
        sa.Column("blob", sa.String(length=300), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("duration_seconds", sa.Float(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("gone", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("audio_id"),
        sa.UniqueConstraint("blob"),
    )
    op.create_index(op.f("ix_tracks_account_id"), "tracks", ["account_id"], unique=False)
    op.create_index(op.f("ix_tracks_task_id"), "tracks", ["task_id"], unique=False)
    op.create_index(
        "tracks_expiring",
        "tracks",
        ["expires"],
        unique=False,
        sqlite_where=sa.text("gone IS NULL"),
        postgresql_where=sa.text("gone IS NULL"),
    )


def _tasks() -> None:
    op.create_table(
        "tasks",
        *_task_columns(),
        sa.CheckConstraint(
            "(completed IS NOT NULL) = (state IN ('finished','failed','cancelled'))", name="tasks_completed_when_ended"
        ),
        sa.CheckConstraint(
            "state IN ('queued','fetching','separating','storing','finished','failed','cancelled')", name="tasks_states"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["key_id"],
            ["keys.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "tasks_expiring",
        "tasks",
        ["expires"],
        unique=False,
        sqlite_where=sa.text("gone IS NULL"),
        postgresql_where=sa.text("gone IS NULL"),
    )
    op.create_index("tasks_of_account", "tasks", ["account_id", "created"], unique=False)
    op.create_index(
        "tasks_running",
        "tasks",
        ["account_id", "state"],
        unique=False,
        sqlite_where=sa.text("completed IS NULL"),
        postgresql_where=sa.text("completed IS NULL"),
    )


def _task_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("key_id", sa.String(length=36), nullable=True),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("stem_name", sa.String(length=50), nullable=True),
        sa.Column("music_id", sa.String(length=36), nullable=True),
        sa.Column("audio_id", sa.String(length=36), nullable=False),
        sa.Column("music_index", sa.Integer(), server_default="0", nullable=False),
        sa.Column("audio_url", sa.Text(), nullable=True),
        sa.Column("source", sa.String(length=300), nullable=True),
        sa.Column("format", sa.String(length=10), nullable=False),
        sa.Column("callback_url", sa.Text(), nullable=True),
        sa.Column("dialect", sa.String(length=20), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("progress", sa.Float(), server_default="0", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("worker", sa.String(length=100), nullable=True),
        sa.Column("failure", sa.String(length=20), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("model", sa.String(length=100), nullable=True),
        sa.Column("device", sa.String(length=50), nullable=True),
        sa.Column("duration_seconds", sa.Float(), nullable=True),
        sa.Column("gain_db", sa.Float(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=True),
        sa.Column("completed", sa.BigInteger(), nullable=True),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("gone", sa.BigInteger(), nullable=True),
    ]


def _callbacks() -> None:
    op.create_table(
        "callbacks",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("last_attempt", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('pending','delivered','failed')", name="callbacks_states"),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("task_id"),
    )


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=True),
        sa.Column("reason", sa.String(length=500), server_default="", nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(kind = 'grant' AND task_id IS NULL) OR (kind = 'charge' AND amount <= 0 AND task_id IS NOT NULL) OR (kind = 'refund' AND amount >= 0 AND task_id IS NOT NULL)",  # noqa: E501
            name="ledger_kinds",
        ),
        sa.CheckConstraint("balance >= 0", name="ledger_never_negative"),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("account_id", "sequence", name="ledger_chain"),
        sa.UniqueConstraint("task_id", "kind", name="ledger_once_per_task"),
    )


def _stems() -> None:
    op.create_table(
        "stems",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("label", sa.String(length=50), nullable=False),
        sa.Column("blob", sa.String(length=300), nullable=False),
        sa.Column("format", sa.String(length=10), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("duration_seconds", sa.Float(), nullable=False),
        sa.Column("silent", sa.Boolean(), nullable=False),
        sa.Column("experimental", sa.Boolean(), nullable=False),
        sa.Column("loudness_dbfs", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("blob"),
        sa.UniqueConstraint("task_id", "position", name="stems_in_order"),
    )


def _ledger_rules() -> None:
    """The ledger is append-only, a row continues its account's chain, a refund gives back exactly what was taken."""
    rules = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL
    for rule in rules:
        op.execute(sa.text(rule))


_SQLITE = (
    """
    CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
    """,
    """
    CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
    """,
    """
    CREATE TRIGGER ledger_continues BEFORE INSERT ON ledger
    WHEN NEW.balance <> NEW.amount + COALESCE((
        SELECT balance FROM ledger WHERE account_id = NEW.account_id AND sequence = NEW.sequence - 1), 0)
    OR (NEW.sequence <> 1 AND NOT EXISTS (
        SELECT 1 FROM ledger WHERE account_id = NEW.account_id AND sequence = NEW.sequence - 1))
    BEGIN SELECT RAISE(ABORT, 'the row does not continue the chain of its account'); END
    """,
    """
    CREATE TRIGGER ledger_refunds BEFORE INSERT ON ledger
    WHEN NEW.kind = 'refund' AND NOT EXISTS (
        SELECT 1 FROM ledger WHERE task_id = NEW.task_id AND kind = 'charge'
        AND account_id = NEW.account_id AND amount = -NEW.amount)
    BEGIN SELECT RAISE(ABORT, 'a refund gives back exactly what was charged'); END
    """,
)

_POSTGRESQL = (
    """
    CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$
    """,
    """
    CREATE TRIGGER ledger_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()
    """,
    """
    CREATE FUNCTION ledger_row() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE before bigint := (
        SELECT balance FROM ledger WHERE account_id = NEW.account_id AND sequence = NEW.sequence - 1);
    BEGIN
        IF (NEW.sequence <> 1 AND before IS NULL) OR NEW.balance <> NEW.amount + COALESCE(before, 0) THEN
            RAISE EXCEPTION 'the row does not continue the chain of its account'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF NEW.kind = 'refund' AND NOT EXISTS (
            SELECT 1 FROM ledger WHERE task_id = NEW.task_id AND kind = 'charge'
            AND account_id = NEW.account_id AND amount = -NEW.amount) THEN
            RAISE EXCEPTION 'a refund gives back exactly what was charged'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER ledger_continues BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION ledger_row()
    """,
)
