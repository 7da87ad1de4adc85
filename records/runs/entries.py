"""Entering a journey: once for whatever brings a customer in, and again by the journey's own rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import insert, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.definition import EveryFew
from journeys.identity import workflow_id
from journeys.timing import add
from journeys.zones import zone_of
from records.runs.enrolments import OPEN, Enrolment
from records.tables import customers, enrolments

_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class NotEnrolled:
    """Why an entry was refused, in words."""

    because: str


async def enrol(
    db: AsyncConnection,
    *,
    customer_id: int,
    journey: str,
    version: int,
    re_enter: str | EveryFew,
    source: str,
    now: datetime,
    enrolled_at: datetime | None = None,
    event_id: int | None = None,
    occasion: str | None = None,
    awaiting: Sequence[str] = (),
    default_zone: str = "UTC",
) -> Enrolment | NotEnrolled:
    """Enter a customer into a journey, if its rule for entering again allows it.

    The rule is kept here, under an advisory lock of (journey, customer): of two triggers at the same instant in two
    processes one enrols. `enrolled_at` is when the customer came (the trigger's time); `now` is when the run begins.
    An event, and an `occasion` such as this year's birthday, brings a customer into a journey once: asked for again,
    the enrolment that is there is returned.
    """
    await db.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"enrol/{journey}/{customer_id}"}
    )
    same = [enrolments.c.event_id == event_id] if event_id is not None else []
    same += [enrolments.c.occasion == occasion] if occasion is not None else []
    if same:
        repeated = await db.execute(
            select(enrolments)
            .where(enrolments.c.customer_id == customer_id, enrolments.c.journey == journey, or_(*same))
            .order_by(enrolments.c.id)
        )
        if (row := repeated.first()) is not None:
            return Enrolment(**row._mapping)
    earlier = (
        await db.execute(
            select(enrolments.c.entry, enrolments.c.status, enrolments.c.enrolled_at)
            .where(enrolments.c.journey == journey, enrolments.c.customer_id == customer_id)
            .order_by(enrolments.c.entry.desc())
        )
    ).all()
    came = enrolled_at or now
    if earlier:
        zone = await _zone(db, customer_id, default_zone) if isinstance(re_enter, EveryFew) else _UTC
        if refusal := _refusal(re_enter, [row.status for row in earlier], earlier[0].enrolled_at, came, zone):
            return NotEnrolled(refusal)
    entry = earlier[0].entry + 1 if earlier else 1
    row = (
        await db.execute(
            insert(enrolments)
            .values(
                customer_id=customer_id, journey=journey, version=version, source=source, event_id=event_id,
                occasion=occasion, entry=entry, enrolled_at=came, begins_at=now, awaiting=list(awaiting),
                workflow=workflow_id(journey, customer_id, entry),
            )
            .returning(*enrolments.c)
        )
    ).one()  # fmt: skip
    return Enrolment(**row._mapping)


async def _zone(db: AsyncConnection, customer_id: int, default: str) -> ZoneInfo:
    row = (
        await db.execute(select(customers.c.time_zone, customers.c.country).where(customers.c.id == customer_id))
    ).one()
    return zone_of(row.time_zone, row.country, default)


def _refusal(rule: str | EveryFew, statuses: list[str], last: datetime, now: datetime, zone: ZoneInfo) -> str | None:
    if rule == "always":
        return None
    if any(status in OPEN for status in statuses):
        return "is in this journey now"
    if rule == "never":
        return "was in this journey before, and it is entered only once"
    if isinstance(rule, EveryFew):
        again = add(last, rule.after, zone)
        if now < again:
            return f"may enter again on {again:%Y-%m-%d}"
    return None
