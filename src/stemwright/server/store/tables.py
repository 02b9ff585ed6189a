"""Every table. Times are epoch milliseconds; ids are random hex; the migrations are held equal to this by a test."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, UniqueConstraint

metadata = sa.MetaData()

Id = sa.String(36)
Milliseconds = sa.BigInteger
Counter = sa.BigInteger().with_variant(sa.Integer, "sqlite")

accounts = sa.Table(
    "accounts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", sa.String(200), nullable=False, unique=True),
    Column("webhook_secret", sa.String(100), nullable=False),
    Column("created", Milliseconds, nullable=False),
    Column("share", sa.Integer, nullable=False, server_default="1"),  # of the fleet, beside those of other accounts
    Column("closed", Milliseconds),  # since when it takes nothing any more
)

keys = sa.Table(
    "keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("name", sa.String(200), nullable=False),
    Column("hint", sa.String(20), nullable=False),  # the first characters, for people
    Column("hash", sa.String(64), nullable=False, unique=True),
    Column("dialect", sa.String(20), nullable=False),
    Column("scopes", sa.String(200), nullable=False),  # separated by spaces
    Column("created", Milliseconds, nullable=False),
    Column("expires", Milliseconds),
    Column("revoked", Milliseconds),
    Column("used", Milliseconds),
    Column("networks", sa.String(1000), nullable=False, server_default=""),  # that it is good in, comma-separated
)

# Append-only: triggers refuse every update and delete, and every row that does not continue its account's chain.
ledger = sa.Table(
    "ledger",
    metadata,
    Column("id", Counter, primary_key=True, autoincrement=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("sequence", sa.BigInteger, nullable=False),
    Column("kind", sa.String(10), nullable=False),
    Column("amount", sa.BigInteger, nullable=False),
    Column("balance", sa.BigInteger, nullable=False),
    Column("task_id", Id, ForeignKey("tasks.id")),
    Column("reason", sa.String(500), nullable=False, server_default=""),
    Column("created", Milliseconds, nullable=False),
    UniqueConstraint("account_id", "sequence", name="ledger_chain"),
    UniqueConstraint("task_id", "kind", name="ledger_once_per_task"),
    CheckConstraint("balance >= 0", name="ledger_never_negative"),
    CheckConstraint(
        "(kind = 'grant' AND task_id IS NULL)"
        " OR (kind = 'charge' AND amount <= 0 AND task_id IS NOT NULL)"
        " OR (kind = 'refund' AND amount >= 0 AND task_id IS NOT NULL)",
        name="ledger_kinds",
    ),
    Index(
        "ledger_given_back",
        *("created", "reason", "amount"),  # all that their figures need
        sqlite_where=sa.text("kind = 'refund'"),
        postgresql_where=sa.text("kind = 'refund'"),
    ),
)

tracks = sa.Table(
    "tracks",
    metadata,
    Column("audio_id", Id, primary_key=True),
    Column("task_id", Id, nullable=False, index=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("music_index", sa.Integer, nullable=False, server_default="0"),
    Column("title", sa.String(500), nullable=False, server_default=""),
    Column("file_name", sa.String(500), nullable=False, server_default=""),
    Column("mime", sa.String(200), nullable=False, server_default=""),
    Column("blob", sa.String(300), nullable=False, unique=True),
    Column("bytes", sa.BigInteger, nullable=False),
    Column("duration_seconds", sa.Float),
    Column("details", sa.JSON, nullable=False),  # what the upstream or the client said about it
    Column("created", Milliseconds, nullable=False),
    Column("expires", Milliseconds),  # null: kept
    Column("gone", Milliseconds),  # when the bytes were deleted
    Index("tracks_expiring", "expires", sqlite_where=sa.text("gone IS NULL"), postgresql_where=sa.text("gone IS NULL")),
    Index(
        "tracks_kept",
        "account_id",
        "bytes",
        sqlite_where=sa.text("expires IS NOT NULL AND gone IS NULL"),
        postgresql_where=sa.text("expires IS NOT NULL AND gone IS NULL"),
    ),
)

tasks = sa.Table(
    "tasks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("key_id", Id, ForeignKey("keys.id")),
    Column("kind", sa.String(30), nullable=False),
    Column("stem_name", sa.String(50)),
    Column("music_id", Id),  # the track's task id
    Column("audio_id", Id, nullable=False),
    Column("music_index", sa.Integer, nullable=False, server_default="0"),
    Column("audio_url", sa.Text),
    Column("source", sa.String(300)),  # the blob with the input
    Column("format", sa.String(10), nullable=False),
    Column("callback_url", sa.Text),
    Column("dialect", sa.String(20), nullable=False),
    Column("cost", sa.BigInteger, nullable=False),
    Column("state", sa.String(20), nullable=False),
    Column("progress", sa.Float, nullable=False, server_default="0"),  # 0 to 100
    Column("attempt", sa.Integer, nullable=False, server_default="0"),  # fences off a worker that comes back late
    Column("worker", sa.String(100)),
    Column("failure", sa.String(20)),  # input, fetch, separation, cancelled
    Column("error", sa.Text),
    Column("model", sa.String(100)),
    Column("device", sa.String(50)),
    Column("precision", sa.String(50)),
    Column("duration_seconds", sa.Float),
    Column("gain_db", sa.Float),
    Column("warnings", sa.JSON),  # what was odd about the song
    Column("created", Milliseconds, nullable=False),
    Column("started", Milliseconds),
    Column("completed", Milliseconds),
    Column("expires", Milliseconds),
    Column("gone", Milliseconds),
    Column("deleted", Milliseconds),  # its owner wants to see it no more; the row stays for the ledger
    Column("priority", sa.Integer, nullable=False, server_default="0"),  # among its account's tasks, higher first
    Column("base_url", sa.Text),  # what the client that asked reached us by
    Column("request_id", sa.String(100)),  # of the request that asked, for the logs
    Column("released", Milliseconds),  # when its turn came and it went into the durable queue
    Column("peaks", sa.String(300), index=True),  # the blobs for the player: the stems' peaks and the song itself
    Column("mix", sa.String(300), index=True),
    CheckConstraint(
        "state IN ('queued','fetching','separating','storing','finished','failed','cancelled')", name="tasks_states"
    ),
    CheckConstraint(
        "(completed IS NOT NULL) = (state IN ('finished','failed','cancelled'))", name="tasks_completed_when_ended"
    ),
    Index("tasks_of_account", "account_id", "created"),
    Index(
        "tasks_running",
        "account_id",  # first, or SQLite counts an account's unfinished tasks by looking at all it ever had
        "state",
        sqlite_where=sa.text("completed IS NULL"),
        postgresql_where=sa.text("completed IS NULL"),
    ),
    Index("tasks_expiring", "expires", sqlite_where=sa.text("gone IS NULL"), postgresql_where=sa.text("gone IS NULL")),
    Index(
        "tasks_waiting",
        *("account_id", "kind", "priority", "created", "id"),
        sqlite_where=sa.text("released IS NULL AND completed IS NULL"),
        postgresql_where=sa.text("released IS NULL AND completed IS NULL"),
    ),
    Index(
        "tasks_released",
        *("account_id", "kind"),
        sqlite_where=sa.text("released IS NOT NULL AND completed IS NULL"),
        postgresql_where=sa.text("released IS NOT NULL AND completed IS NULL"),
    ),
)

turns = sa.Table(
    "turns",
    metadata,
    Column("account_id", Id, primary_key=True),
    Column("kind", sa.String(30), primary_key=True),
    Column("served", sa.BigInteger, nullable=False, index=True),  # grows: who was served least recently comes next
)

stems = sa.Table(
    "stems",
    metadata,
    Column("id", Id, primary_key=True),  # the uuid in the file's name: 122 random bits are the capability
    Column("task_id", Id, ForeignKey("tasks.id"), nullable=False),
    Column("position", sa.Integer, nullable=False),
    Column("name", sa.String(50), nullable=False),
    Column("label", sa.String(50), nullable=False),
    Column("blob", sa.String(300), nullable=False, unique=True),
    Column("format", sa.String(10), nullable=False),
    Column("bytes", sa.BigInteger, nullable=False),
    Column("duration_seconds", sa.Float, nullable=False),
    Column("silent", sa.Boolean, nullable=False),
    Column("experimental", sa.Boolean, nullable=False),
    Column("loudness_dbfs", sa.Float),
    Column("model", sa.String(200)),  # those of a recipe that it was made by; null: by a release that did not say
    UniqueConstraint("task_id", "position", name="stems_in_order"),
)

callbacks = sa.Table(
    "callbacks",
    metadata,
    Column("id", sa.String(40), primary_key=True),  # the webhook-id
    Column("task_id", Id, ForeignKey("tasks.id"), nullable=False, unique=True),
    Column("url", sa.Text, nullable=False),
    Column("state", sa.String(20), nullable=False),  # pending, delivered, failed
    Column("attempts", sa.Integer, nullable=False, server_default="0"),
    Column("last_status", sa.Integer),
    Column("last_error", sa.Text),
    Column("created", Milliseconds, nullable=False),
    Column("last_attempt", Milliseconds),
    CheckConstraint("state IN ('pending','delivered','failed')", name="callbacks_states"),
    Index(
        "callbacks_pending",
        "created",
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    ),
)

attempts = sa.Table(
    "attempts",
    metadata,
    Column("callback_id", sa.String(40), ForeignKey("callbacks.id"), primary_key=True),
    Column("number", sa.Integer, primary_key=True),
    Column("status", sa.Integer),
    Column("error", sa.Text),
    Column("time", Milliseconds, nullable=False),
)

sessions = sa.Table(
    "sessions",
    metadata,
    Column("hash", sa.String(64), primary_key=True),  # of the secret in the cookie
    Column("key_id", Id, ForeignKey("keys.id"), nullable=False, index=True),
    Column("created", Milliseconds, nullable=False),
    Column("expires", Milliseconds, nullable=False, index=True),
)

# Written before a blob is, deleted in the transaction that gives the blob an owner.
arrivals = sa.Table(
    "arrivals",
    metadata,
    Column("blob", sa.String(300), primary_key=True),
    Column("task_id", Id, index=True),
    Column("created", Milliseconds, nullable=False, index=True),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    Column("account_id", Id, ForeignKey("accounts.id"), primary_key=True),
    Column("key", sa.String(255), primary_key=True),
    Column("fingerprint", sa.String(64), nullable=False),
    Column("answer", sa.Text),  # null while the first request is still running
    Column("created", Milliseconds, nullable=False, index=True),
)

workers = sa.Table(
    "workers",
    metadata,
    Column("id", sa.String(100), primary_key=True),  # the executor id: a new one for every process
    Column("host", sa.String(200), nullable=False),
    Column("pid", sa.Integer, nullable=False),
    Column("version", sa.String(50), nullable=False),
    Column("shape", sa.String(20), nullable=False, server_default="1"),  # of its workflows: it runs no others
    Column("model", sa.String(100)),
    Column("device", sa.String(50)),
    Column("started", Milliseconds, nullable=False),
    Column("heartbeat", Milliseconds, nullable=False, index=True),
    Column("slots", sa.Integer, nullable=False, server_default="1"),  # separations at once
    Column("draining", sa.Boolean, nullable=False, server_default=sa.false()),
    Column("sweeper", sa.String(100)),  # who is taking over this dead worker's tasks, and since when
    Column("swept", Milliseconds),
    Column("ended", Milliseconds),  # when its tasks had gone to others; what it says after that does not count
)

switches = sa.Table(
    "switches",
    metadata,
    Column("name", sa.String(50), primary_key=True),
    Column("value", sa.Text, nullable=False),
    Column("since", Milliseconds, nullable=False),
)
