"""Every table of the customer record, as SQLAlchemy Core: `from records.tables import customers`.

Times are timezone-aware; sessions run in UTC, so they come back in UTC too. The triggers that keep consents and
published versions as they were written live in the migrations.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CHAR,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import UserDefinedType

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """A moment (`timestamptz`). A naive datetime is refused, because it names no moment."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.utcoffset() is None:
            raise ValueError(f"a time without a zone cannot be stored: {value!r}")
        return value


class Transaction(UserDefinedType[str]):
    """A transaction of the server (`xid8`), as text: the records are asked which of them an evaluation has seen."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(), primary_key=True)


def _customer() -> Column[int]:
    # Erasing a customer takes all that hangs on it along.
    return Column("customer_id", BigInteger, ForeignKey("customers.id", ondelete="CASCADE"), nullable=False)


def _enrolment() -> Column[int]:
    return Column("enrolment_id", BigInteger, ForeignKey("enrolments.id", ondelete="CASCADE"))


def _written() -> Column[str]:
    # Kept by a trigger where rows are updated: who could have changed since a moment is answered from its index.
    return Column("written", Transaction(), nullable=False, server_default=text("pg_current_xact_id()"))


def shown(table: Table) -> list[Column[Any]]:
    """The columns of a table that say something about its row, without the one that says who wrote it."""
    return [column for column in table.c if column.name != "written"]


def _json(name: str) -> Column[Any]:
    return Column(name, JSONB(none_as_null=True), nullable=False, server_default=text("'{}'::jsonb"))


def _texts(name: str) -> Column[Any]:
    return Column(name, ARRAY(Text), nullable=False, server_default=text("'{}'::text[]"))


def _one_of(column: str, *allowed: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in allowed)})", name=column)


WORDS = (
    "to_tsvector('simple'::regconfig, translate((COALESCE(first_name, ''::text) || ' '::text) || "
    "COALESCE(last_name, ''::text), '.@/-_&<>'::text, '        '::text))"
)
"""The words of a customer's names, as the index of the search has them, in PostgreSQL's own spelling."""

customers = Table(
    "customers",
    metadata,
    _id(),
    Column("external_id", Text),
    Column("email", Text),
    Column("phone", Text),
    Column("first_name", Text),
    Column("last_name", Text),
    Column("country", CHAR(2)),
    Column("locale", Text),
    Column("time_zone", Text),
    Column("stage", Text, nullable=False, server_default="new"),
    Column("score", Integer, nullable=False, server_default="0"),
    Column("qualified_at", Instant),
    _texts("tags"),
    _json("properties"),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    _written(),
    Column("lifecycle", Text),
    Column("fit", Integer, nullable=False, server_default="0"),
    Column("grade", Text),
    Column("scored_at", Instant),
    Column("owner", Text),
    Index(None, "external_id"),
    Index(None, "email"),
    Index(None, "phone"),
    Index(None, "written"),
    Index(None, "lifecycle", postgresql_where=text("lifecycle IS NOT NULL")),
    Index("ix_customers_words", text(WORDS), postgresql_using="gin"),
    Index(None, "tags", postgresql_using="gin"),
    Index(None, "properties", postgresql_using="gin", postgresql_ops={"properties": "jsonb_path_ops"}),
)

identities = Table(
    "identities",
    metadata,
    Column("kind", Text, nullable=False),
    # Compared byte by byte, so that its key also answers what begins with something.
    Column("value", Text(collation="C"), nullable=False),
    _customer(),
    Column("since", Instant, nullable=False),
    PrimaryKeyConstraint("kind", "value"),
    _one_of("kind", "external_id", "email", "phone"),
    Index(None, "customer_id"),
)

merges = Table(
    "merges",
    metadata,
    _id(),
    Column("kept_id", BigInteger, ForeignKey("customers.id", ondelete="CASCADE"), nullable=False),
    Column("gone_id", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", Text, nullable=False),
    Column("because", Text),
    _json("before"),
    Column("undone_at", Instant),
    Column("undone_by", Text),
    Index(None, "kept_id"),
    Index(None, "gone_id"),
)

imports = Table(
    "imports",
    metadata,
    _id(),
    Column("kind", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    _json("options"),
    Column("rows_done", BigInteger, nullable=False, server_default="0"),
    _json("report"),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    _one_of("kind", "customers", "events"),
    Index("ix_imports_digest", "kind", "digest"),
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
    _written(),
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
    _one_of("measure", "r", "f", "m"),
)

rulebooks = Table(
    "rulebooks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("definition", JSONB, nullable=False),
    Column("digest", Text, nullable=False),
    Column("published_at", Instant, nullable=False),
    Column("published_by", Text, nullable=False),
    Column("applied_at", Instant),
)

fits = Table(
    "fits",
    metadata,
    _id(),
    _customer(),
    Column("at", Instant, nullable=False),
    Column("points", Integer, nullable=False),
    _json("parts"),
    Index("ix_fits_customer_id", "customer_id", "at"),
)

consents = Table(
    "consents",
    metadata,
    _id(),
    _customer(),
    Column("channel", Text, nullable=False),
    Column("granted", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("at", Instant, nullable=False),
    _written(),
    _one_of("channel", "email", "sms"),
    Index("ix_consents_latest", "customer_id", "channel", text("at DESC"), text("id DESC")),
    Index(None, "written"),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("channel", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("channel", "address"),
    _one_of("channel", "email", "sms"),
    _one_of("reason", "bounced", "complained", "unsubscribed", "manual"),
)

events = Table(
    "events",
    metadata,
    _id(),
    _customer(),
    Column("name", Text, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("key", Text, unique=True),
    Column("value", Numeric),
    _json("properties"),
    Column("touch_id", BigInteger, ForeignKey("touches.id", ondelete="SET NULL")),
    Column("routed_at", Instant),
    _written(),
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
    _one_of("status", "live", "archived"),
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
    _id(),
    _customer(),
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
    _json("cursor"),
    Column("step", Text),
    Column("because", Text),
    Column("wakes_at", Instant),
    _texts("awaiting"),
    Column("outcome", Text),
    Column("ended_at", Instant),
    Column("occasion", Text),
    Column("held_out", Boolean, nullable=False, server_default=text("false")),
    Column("workflow", Text, nullable=False),
    ForeignKeyConstraint(["journey", "version"], ["journey_versions.journey", "journey_versions.version"]),
    UniqueConstraint("journey", "customer_id", "entry"),
    _one_of("status", "pending", "active", "finished", "exited", "failed"),
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
    _json("detail"),
    PrimaryKeyConstraint("enrolment_id", "turn", "seq"),
)

touches = Table(
    "touches",
    metadata,
    _id(),
    _customer(),
    _enrolment(),
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
    _written(),
    Column("broadcast_id", BigInteger, ForeignKey("broadcasts.id", ondelete="SET NULL")),
    Column("variant", Text),
    UniqueConstraint("enrolment_id", "step", "visit"),
    _one_of("status", "claimed", "sent", "skipped", "failed", "uncertain"),
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

score_entries = Table(
    "score_entries",
    metadata,
    _id(),
    _customer(),
    Column("points", Integer, nullable=False),
    Column("because", Text, nullable=False),
    Column("rule", Text),
    _enrolment(),
    Column("step", Text),
    Column("visit", Integer),
    Column("at", Instant, nullable=False),
    UniqueConstraint("enrolment_id", "step", "visit"),
    Index(None, "customer_id", "at"),
)

changes = Table(
    "changes",
    metadata,
    _id(),
    _customer(),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("old", Text),
    Column("new", Text),
    Column("because", Text),
    _enrolment(),
    Column("at", Instant, nullable=False),
    _one_of("kind", "stage", "property", "tag", "untag"),
    Index(None, "customer_id", "at"),
    Index(None, "enrolment_id", postgresql_where=text("enrolment_id IS NOT NULL")),
)

tasks = Table(
    "tasks",
    metadata,
    _id(),
    _customer(),
    Column("queue", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("because", Text),
    _json("details"),
    Column("status", Text, nullable=False, server_default="open"),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("due_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("claimed_by", Text),
    Column("claimed_at", Instant),
    Column("done_by", Text),
    Column("done_at", Instant),
    Column("outcome", Text),
    Column("note", Text),
    _enrolment(),
    Column("step", Text),
    Column("visit", Integer),
    Column("rule", Text),
    Column("assigned_to", Text),
    Column("assigned_at", Instant),
    Column("snoozed_until", Instant),
    Column("reminded_at", Instant),
    Column("escalated_at", Instant),
    Column("expires_at", Instant),
    Column("launched_at", Instant),
    Column("reason", Text),
    Column("marketing", Text, nullable=False, server_default="go_on"),
    Column("pipeline", Text),
    Column("amount", Numeric),
    Column("expected_close", Date),
    UniqueConstraint("enrolment_id", "step", "visit"),
    _one_of("status", "open", "claimed", "done", "expired"),
    _one_of("outcome", "won", "lost", "nurture", "bad_lead"),
    _one_of("marketing", "stop", "go_on"),
    Index("ix_tasks_stopping", "customer_id",
          postgresql_where=text("marketing = 'stop' AND status IN ('open', 'claimed')")),
    Index("ix_tasks_unlaunched", "id", postgresql_where=text("launched_at IS NULL AND rule IS NOT NULL")),
    Index("ix_tasks_pipeline", "expected_close",
          postgresql_where=text("pipeline IS NOT NULL AND status IN ('open', 'claimed')")),
    Index(None, "customer_id", "created_at"),
    Index("ix_tasks_queue", "queue", "status", text("priority DESC"), "due_at"),
)  # fmt: skip

task_history = Table(
    "task_history",
    metadata,
    _id(),
    Column("task_id", BigInteger, ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("rep", Text),
    Column("because", Text),
    Column("at", Instant, nullable=False),
    _one_of("kind", "assigned", "unassigned", "reassigned", "claimed", "reminded", "escalated", "snoozed", "expired",
            "updated"),
    Index(None, "task_id"),
    # Whose turn it is: the latest time that each rep was given something.
    Index("ix_task_history_turns", "rep", "id", postgresql_where=text("kind IN ('assigned', 'reassigned')")),
    Index(None, "at"),
)  # fmt: skip

notices = Table(
    "notices",
    metadata,
    _id(),
    Column("key", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("task_id", BigInteger, ForeignKey("tasks.id", ondelete="CASCADE")),
    Column("recipient", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("because", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("settled_at", Instant),
    _one_of("kind", "reminder", "reassigned", "escalation", "day"),
    _one_of("status", "pending", "claimed", "sent", "skipped", "failed", "uncertain"),
    Index(None, "task_id", postgresql_where=text("task_id IS NOT NULL")),
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
    _one_of("kind", "all", "channel", "journey", "customer"),
    _one_of("mode", "pause", "stop"),
)

orders = Table(
    "orders",
    metadata,
    _id(),
    Column("enrolment_id", BigInteger, ForeignKey("enrolments.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    _json("args"),
    Column("by", Text, nullable=False),
    Column("because", Text),
    Column("at", Instant, nullable=False),
    Column("taken_at", Instant),
    Column("refusal", Text),
    _one_of("kind", "skip", "move", "exit", "retry", "resume", "migrate"),
    Index(None, "enrolment_id"),
    Index("ix_orders_pending", "enrolment_id", postgresql_where=text("taken_at IS NULL")),
)

goals = Table(
    "goals",
    metadata,
    Column("enrolment_id", BigInteger, ForeignKey("enrolments.id", ondelete="CASCADE"), primary_key=True),
    _customer(),
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
    _customer(),
    Column("since", Instant, nullable=False),
    PrimaryKeyConstraint("segment", "customer_id"),
    Index(None, "customer_id"),
)

clocks = Table(
    "clocks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", Instant, nullable=False),
)

broadcasts = Table(
    "broadcasts",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("definition", JSONB, nullable=False),
    Column("status", Text, nullable=False, server_default="planned"),
    Column("winner", Text),
    _json("progress"),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    _one_of("status", "planned", "running", "paused", "finished", "cancelled", "failed"),
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
    PrimaryKeyConstraint("broadcast_id", "shard"),
)
