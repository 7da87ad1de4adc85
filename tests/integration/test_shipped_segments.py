"""Who belongs to the segments that are shipped, shown with customers made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from journeys.fields import load_fields
from journeys.lifecycle import load as load_lifecycle
from journeys.segments import load_all
from records import tables
from records.audience import lifecycle, membership, segments, values

SHIPPED = Path(__file__).parents[2] / "definitions"
NOW = datetime(2026, 11, 1, 9, tzinfo=UTC)
PEOPLE: dict[str, dict[str, Any]] = {
    "newcomer": {"orders": [(10, 30)]},
    "regular": {"orders": [(20, 40), (50, 40), (80, 40)]},
    "big_spender": {"orders": [(5, 500), (30, 500), (60, 500), (90, 500)]},
    "gone_quiet": {"orders": [(100, 900), (130, 900), (160, 900), (200, 900)]},
    "promising": {"orders": [(3, 300)]},
    "bought_once": {"orders": [(100, 10)]},
    "gone": {"orders": [(400, 20)]},
    "idle_subscriber": {"orders": [(150, 20)], "tags": ["subscriber"], "events": [("subscription.started", 120)]},
    "reading_subscriber": {"tags": ["subscriber"], "events": [("subscription.started", 120), ("email.clicked", 9)]},
    "keen_lead": {"score": 45},
    "stranger": {"score": 5},
}
"""Days ago and value of their orders; events with their days; all of them may be written to."""
MEMBERS = {
    "new": {"newcomer", "promising"},
    "active": {"regular", "big_spender"},
    "high_value": {"big_spender", "gone_quiet"},
    "potential": {"promising", "keen_lead"},
    "at_risk": {"gone_quiet", "bought_once", "idle_subscriber"},
    "dormant": {"gone"},
    "churned": {"gone"},
    "idle_subscribers": {"idle_subscriber"},
}


@pytest.fixture
async def worked_out(engine: AsyncEngine) -> AsyncEngine:
    """A database in which these customers' values, stages and segments have been worked out."""
    async with engine.begin() as db:
        for name, who in PEOPLE.items():
            row = {"external_id": name, "score": who.get("score", 0), "tags": who.get("tags", []),
                   "created_at": NOW, "updated_at": NOW}  # fmt: skip
            me = (await db.execute(insert(tables.customers).values(row).returning(tables.customers.c.id))).scalar_one()
            said = {"customer_id": me, "channel": "email", "granted": True, "source": "form"}
            await db.execute(insert(tables.consents).values(said | {"at": NOW - timedelta(days=500)}))
            happened = [("order.placed", days, value) for days, value in who.get("orders", [])]
            for event, days, value in [*happened, *((event, days, None) for event, days in who.get("events", []))]:
                at = {"occurred_at": NOW - timedelta(days=days), "received_at": NOW - timedelta(days=days)}
                await db.execute(insert(tables.events).values(at | {"customer_id": me, "name": event, "value": value}))
        fields = load_fields(SHIPPED / "fields.yaml")
        rules = load_lifecycle(SHIPPED / "lifecycle.yaml", fields)
        assert rules is not None
        await values.refresh(db, rules.orders, NOW, ZoneInfo("UTC"))
        await lifecycle.evaluate(db, rules, NOW)
        for one in load_all(SHIPPED / "segments", fields):
            await segments.put(db, one.name, one.segment.title, one.definition, one.digest)
            await membership.catch_up(db, one.name, NOW)
    return engine


@pytest.mark.parametrize("segment", MEMBERS)
async def test_a_shipped_segment_has_whom_it_means_and_nobody_else(worked_out: AsyncEngine, segment: str) -> None:
    async with worked_out.connect() as db:
        assert {one.external_id for one in await segments.members(db, segment)} == MEMBERS[segment]


def test_each_shipped_segment_is_shown_with_somebody_in_it_and_somebody_out_of_it() -> None:
    names = {one.name for one in load_all(SHIPPED / "segments", load_fields(SHIPPED / "fields.yaml"))}
    assert names == MEMBERS.keys()
    assert all(members and members < PEOPLE.keys() for members in MEMBERS.values())
