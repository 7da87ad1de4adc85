"""Journeys, their versions, the events that they hear, and the runs of customers through them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from records.tables.columns import (
    Instant,
    json,
    metadata,
    of_customer,
    one_of,
    row_id,
    texts,
    written,
)

events = Table(
    "events",
    metadata,
    row_id(),
    of_customer(),
    Column("name", Text, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("key", Text, unique=True),
    Column("value", Numeric),
    json("properties"),
    Column("touch_id", BigInteger, ForeignKey("touches.id", ondelete="SET NULL")),
    Column("routed_at", Instant),
    written(),
    # By the name first: what one customer did is found as fast, and what all did stands in the order of customers.
    Index(None, "name", "customer_id", "occurred_at"),
    Index("ix_events_name_occurred_at", "name", "occurred_at", postgresql_include=["customer_id"]),
    Index(None, "name", "written"),
    # The timeline reads the newest of all names.
    Index(None, "customer_id", "occurred_at"),
    Index("ix_events_unrouted", "id", postgresql_where=text("routed_at IS NULL")),
    # Which touches were opened, clicked, bounced: answered from the index alone.
    Index("ix_events_receipts", "touch_id", "name", postgresql_where=text("touch_id IS NOT NULL")),
)

journeys = Table(
    "journeys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="live"),
    Column("live_version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    one_of("status", "live", "archived"),
)

journey_versions = Table(
    "journey_versions",
    metadata,
    Column("journey", Text, ForeignKey("journeys.name"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("definition", JSONB, nullable=False),
    Column("source", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("published_at", Instant, nullable=False),
    Column("published_by", Text, nullable=False),
    PrimaryKeyConstraint("journey", "version"),
)

enrolments = Table(
    "enrolments",
    metadata,
    row_id(),
    of_customer(),
    Column("journey", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("entry", Integer, nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("source", Text, nullable=False),
    # events → touches → enrolments → events: this arrow is added once all three tables are there.
    Column("event_id", BigInteger, ForeignKey("events.id", ondelete="SET NULL", use_alter=True)),
    Column("enrolled_at", Instant, nullable=False),
    Column("begins_at", Instant, nullable=False),
    Column("launched_at", Instant),
    Column("turn", Integer, nullable=False, server_default="0"),
    Column("instruction", JSONB(none_as_null=True)),
    json("cursor"),
    Column("step", Text),
    Column("because", Text),
    Column("wakes_at", Instant),
    texts("awaiting"),
    Column("outcome", Text),
    Column("ended_at", Instant),
    Column("occasion", Text),
    Column("held_out", Boolean, nullable=False, server_default=text("false")),
    Column("workflow", Text, nullable=False),
    ForeignKeyConstraint(["journey", "version"], ["journey_versions.journey", "journey_versions.version"]),
    UniqueConstraint("journey", "customer_id", "entry"),
    one_of("status", "pending", "active", "finished", "exited", "failed"),
    Index("ix_enrolments_running", "customer_id", postgresql_where=text("status IN ('pending', 'active')")),
    Index(None, "customer_id", "enrolled_at"),
    Index(None, "journey", "status"),
    Index("ix_enrolments_unlaunched", "id", postgresql_where=text("launched_at IS NULL")),
    Index("ix_enrolments_waking", "wakes_at", postgresql_where=text("status = 'active'")),
    Index(None, "event_id", postgresql_where=text("event_id IS NOT NULL")),
    # Entries that happen once an occasion: this year's birthday, this Monday's schedule.
    Index(
        "uq_enrolments_occasion", "journey", "customer_id", "occasion",
        unique=True, postgresql_where=text("occasion IS NOT NULL"),
    ),
)  # fmt: skip

path = Table(
    "path",
    metadata,
    Column("enrolment_id", BigInteger, ForeignKey("enrolments.id", ondelete="CASCADE"), nullable=False),
    Column("turn", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("step", Text, nullable=False),
    Column("visit", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", Instant, nullable=False),
    json("detail"),
    PrimaryKeyConstraint("enrolment_id", "turn", "seq"),
)

holds = Table(
    "holds",
    metadata,
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("mode", Text, nullable=False, server_default="pause"),
    Column("since", Instant, nullable=False),
    Column("by", Text, nullable=False),
    Column("because", Text),
    PrimaryKeyConstraint("kind", "name"),
    one_of("kind", "all", "channel", "journey", "customer"),
    one_of("mode", "pause", "stop"),
)

orders = Table(
    "orders",
    metadata,
    row_id(),
    Column("enrolment_id", BigInteger, ForeignKey("enrolments.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    json("args"),
    Column("by", Text, nullable=False),
    Column("because", Text),
    Column("at", Instant, nullable=False),
    Column("taken_at", Instant),
    Column("refusal", Text),
    one_of("kind", "skip", "move", "exit", "retry", "resume", "migrate"),
    Index(None, "enrolment_id"),
    Index("ix_orders_pending", "enrolment_id", postgresql_where=text("taken_at IS NULL")),
)

goals = Table(
    "goals",
    metadata,
    Column("enrolment_id", BigInteger, ForeignKey("enrolments.id", ondelete="CASCADE"), primary_key=True),
    of_customer(),
    Column("journey", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("event_id", BigInteger, ForeignKey("events.id", ondelete="SET NULL")),
    Column("at", Instant, nullable=False),
    Column("value", Numeric),
    Column("touch_ids", ARRAY(BigInteger), nullable=False, server_default=text("'{}'::bigint[]")),
    Column("held_out", Boolean, nullable=False, server_default=text("false")),
    Index(None, "customer_id"),
    Index("ix_goals_journey", "journey", "version"),
)

clocks = Table(
    "clocks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", Instant, nullable=False),
)
