"""What was sent to whom, and messages to many."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from records.tables.columns import (
    Instant,
    json,
    metadata,
    of_customer,
    of_enrolment,
    one_of,
    row_id,
    written,
)

touches = Table(
    "touches",
    metadata,
    row_id(),
    of_customer(),
    of_enrolment(),
    Column("journey", Text),
    Column("version", Integer),
    Column("step", Text),
    Column("visit", Integer),
    Column("channel", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="claimed"),
    Column("because", Text),
    Column("address", Text),
    Column("subject", Text),
    Column("locale", Text),
    Column("key", Text, nullable=False, unique=True),
    Column("provider_id", Text),
    Column("claimed_at", Instant, nullable=False),
    Column("settled_at", Instant),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("transactional", Boolean, nullable=False, server_default=text("false")),
    written(),
    Column("broadcast_id", BigInteger, ForeignKey("broadcasts.id", ondelete="SET NULL")),
    Column("variant", Text),
    UniqueConstraint("enrolment_id", "step", "visit"),
    one_of("status", "claimed", "sent", "skipped", "failed", "uncertain"),
    Index(None, "customer_id", "claimed_at"),
    Index(None, "provider_id", postgresql_where=text("provider_id IS NOT NULL")),
    Index("ix_touches_unsettled", "status", postgresql_where=text("status IN ('claimed', 'uncertain')")),
    Index(None, "written"),
    Index("ix_touches_moment", "message", text("coalesce(settled_at, claimed_at)")),
    Index(
        "uq_touches_broadcast", "broadcast_id", "customer_id",
        unique=True, postgresql_where=text("broadcast_id IS NOT NULL"),
    ),
    Index("ix_touches_claims", "broadcast_id",
          postgresql_where=text("broadcast_id IS NOT NULL AND status = 'claimed'")),
)  # fmt: skip

broadcasts = Table(
    "broadcasts",
    metadata,
    row_id(),
    Column("name", Text, nullable=False, unique=True),
    Column("definition", JSONB, nullable=False),
    Column("status", Text, nullable=False, server_default="planned"),
    Column("winner", Text),
    json("progress"),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    one_of("status", "planned", "running", "paused", "finished", "cancelled", "failed"),
)

broadcast_shards = Table(
    "broadcast_shards",
    metadata,
    Column("broadcast_id", BigInteger, ForeignKey("broadcasts.id", ondelete="CASCADE"), nullable=False),
    Column("shard", Integer, nullable=False),
    Column("leg", Integer, nullable=False, server_default="0"),
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("cursor", BigInteger, nullable=False, server_default="0"),
    Column("leaving", BigInteger, nullable=False, server_default="0"),
    Column("again", Instant),
    PrimaryKeyConstraint("broadcast_id", "shard"),
)

broadcast_refusals = Table(
    "broadcast_refusals",
    metadata,
    Column("touch_id", BigInteger, ForeignKey("touches.id", ondelete="CASCADE"), primary_key=True),
    Column("broadcast_id", BigInteger, ForeignKey("broadcasts.id", ondelete="CASCADE"), nullable=False, index=True),
)

paces = Table(
    "paces",
    metadata,
    Column("name", Text, primary_key=True),
    Column("free_at", Instant, nullable=False),
)
