"""Every table of the customer record, as SQLAlchemy Core: `from records.tables import customers`.

Times are timezone-aware; sessions run in UTC, so they come back in UTC too. The triggers that keep consents and
published versions as they were written live in the migrations.
"""

from records.tables.audience import (
    customer_values,
    fits,
    quintiles,
    rulebooks,
    score_entries,
    segment_members,
    segments,
)
from records.tables.columns import Instant, Transaction, metadata, shown
from records.tables.messages import broadcast_refusals, broadcast_shards, broadcasts, paces, touches
from records.tables.people import TRAITS, WORDS, changes, consents, customers, identities, imports, merges, suppressions
from records.tables.runs import clocks, enrolments, events, goals, holds, journey_versions, journeys, orders, path
from records.tables.sales import notices, task_history, tasks

__all__ = [
    "TRAITS", "WORDS", "Instant", "Transaction", "broadcast_refusals", "broadcast_shards", "broadcasts", "changes",
    "clocks", "consents", "customer_values", "customers", "enrolments", "events", "fits", "goals", "holds",
    "identities", "imports", "journey_versions", "journeys", "merges", "metadata", "notices", "orders", "paces", "path",
    "quintiles", "rulebooks", "score_entries", "segment_members", "segments", "shown", "suppressions", "task_history",
    "tasks", "touches",
]  # fmt: skip
