"""What customers are worth, where they stand, and which segments they are in."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from records.tables.columns import (
    Instant,
    Transaction,
    json,
    metadata,
    of_customer,
    of_enrolment,
    one_of,
    row_id,
    written,
)

customer_values = Table(
    "customer_values",
    metadata,
    Column(
        "customer_id", BigInteger, ForeignKey("customers.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("orders", Integer, nullable=False),
    Column("revenue", Numeric, nullable=False),
    Column("first_order_at", Instant, nullable=False),
    Column("last_order_at", Instant, nullable=False),
    Column("r", SmallInteger, nullable=False),
    Column("f", SmallInteger, nullable=False),
    Column("m", SmallInteger, nullable=False),
    Column("refunded", Numeric, nullable=False, server_default="0"),
    written(),
    Index(None, "written"),
    Index(None, "last_order_at"),
)

quintiles = Table(
    "quintiles",
    metadata,
    Column("measure", Text, nullable=False),
    Column("score", SmallInteger, nullable=False),
    Column("least", Numeric, nullable=False),
    PrimaryKeyConstraint("measure", "score"),
    one_of("measure", "r", "f", "m"),
)

rulebooks = Table(
    "rulebooks",
    metadata,
    row_id(),
    Column("name", Text, nullable=False),
    Column("definition", JSONB, nullable=False),
    Column("digest", Text, nullable=False),
    Column("published_at", Instant, nullable=False),
    Column("published_by", Text, nullable=False),
    Column("applied_at", Instant),
)

fits = Table(
    "fits",
    metadata,
    row_id(),
    of_customer(),
    Column("at", Instant, nullable=False),
    Column("points", Integer, nullable=False),
    json("parts"),
    Index("ix_fits_customer_id", "customer_id", "at"),
)

score_entries = Table(
    "score_entries",
    metadata,
    row_id(),
    of_customer(),
    Column("points", Integer, nullable=False),
    Column("because", Text, nullable=False),
    Column("rule", Text),
    of_enrolment(),
    Column("step", Text),
    Column("visit", Integer),
    Column("at", Instant, nullable=False),
    UniqueConstraint("enrolment_id", "step", "visit"),
    Index(None, "customer_id", "at"),
)

segments = Table(
    "segments",
    metadata,
    Column("name", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("definition", JSONB, nullable=False),
    Column("digest", Text, nullable=False),
    Column("evaluated_at", Instant),
    Column("seen", Transaction()),
    Column("seen_at", Instant),
    Column("seen_on", BigInteger),
)

segment_members = Table(
    "segment_members",
    metadata,
    Column("segment", Text, ForeignKey("segments.name", ondelete="CASCADE"), nullable=False),
    of_customer(),
    Column("since", Instant, nullable=False),
    PrimaryKeyConstraint("segment", "customer_id"),
    Index(None, "customer_id"),
)
