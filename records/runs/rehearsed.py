"""What a rehearsal came to, read from its own database: every touch and every run, of everybody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from records.people.naming import full_name_of
from records.tables import customers, enrolments, touches


@dataclass(frozen=True, slots=True)
class RehearsedTouch:
    """One message to one contact, sent or not. `customer` is how the contact was named: its external id, or else its
    address or number. `at` is when it was decided on."""

    customer: str
    journey: str
    version: int
    step: str
    visit: int
    channel: str
    message: str
    at: datetime
    status: str
    because: str | None
    key: str


@dataclass(frozen=True, slots=True)
class RehearsedRun:
    """One way through a journey; `outcome` and `at` are None while it is under way."""

    customer: str
    journey: str
    outcome: str | None
    at: datetime | None
    entered: datetime
    number: int


_NAMED = func.coalesce(customers.c.external_id, customers.c.email, customers.c.phone).label("customer")


async def all_touches(db: AsyncConnection) -> list[RehearsedTouch]:
    """Every touch of every run, in the order of time, contact and journey."""
    columns = touches.c
    query = (
        select(
            _NAMED, columns.journey, columns.version, columns.step, columns.visit, columns.channel, columns.message,
            columns.claimed_at.label("at"), columns.status, columns.because, columns.key,
        )
        .join(customers, customers.c.id == columns.customer_id)
        .where(columns.enrolment_id.is_not(None))
        .order_by(columns.claimed_at, _NAMED, columns.journey, columns.enrolment_id, columns.id)
    )  # fmt: skip
    return [RehearsedTouch(**row._mapping) for row in await db.execute(query)]


async def all_runs(db: AsyncConnection) -> list[RehearsedRun]:
    """Every run: those that ended, in the order of time, contact and journey, then those under way."""
    columns = enrolments.c
    query = (
        select(
            _NAMED, columns.journey, columns.outcome, columns.ended_at.label("at"),
            columns.enrolled_at.label("entered"), columns.id.label("number"), columns.status,
        )
        .join(customers, customers.c.id == columns.customer_id)
        .order_by(columns.ended_at.asc().nulls_last(), _NAMED, columns.journey, columns.entry)
    )  # fmt: skip
    found = []
    for row in await db.execute(query):
        values = dict(row._mapping)
        ended = values.pop("status") not in ("pending", "active")
        values["outcome"] = (values["outcome"] or "completed") if ended else None
        found.append(RehearsedRun(**values))
    return found


@dataclass(frozen=True, slots=True)
class RehearsedContact:
    """Somebody who took part."""

    id: int
    external_id: str | None
    email: str | None
    phone: str | None
    name: str
    time_zone: str | None
    country: str | None


async def contacts(db: AsyncConnection) -> list[RehearsedContact]:
    """Everybody, in the order of their numbers."""
    columns = customers.c
    name = func.coalesce(full_name_of(columns.first_name, columns.last_name), "").label("name")
    query = select(
        columns.id, columns.external_id, columns.email, columns.phone, name, columns.time_zone, columns.country
    )
    return [RehearsedContact(**row._mapping) for row in await db.execute(query.order_by(columns.id))]
