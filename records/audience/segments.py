"""Segments and their members. Membership changes set by set; each change is an event, stored with it.

An evaluation is one transaction under a lock of the segment: two of them at once follow one another, and whoever
enters is told of once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    delete,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert as insert_unless_there
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.conditions import Condition
from journeys.definition import ENTERED, LEFT
from journeys.errors import WaymarkError
from records.conditions import Of, compile_condition
from records.events import StoredEvent
from records.tables import customers, events, segment_members, segments, shown


class UnknownSegment(WaymarkError):
    """No segment of this name is in force. Publish it, or look at the list for its name."""


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment in force. `evaluated_at` is when all customers were last asked, `seen_at` when its members were last
    brought up to date (UTC)."""

    name: str
    title: str
    definition: dict[str, Any]
    digest: str
    evaluated_at: datetime | None
    seen_at: datetime | None
    members: int


@dataclass(frozen=True, slots=True)
class Member:
    """A customer in a segment, since when (UTC)."""

    customer_id: int
    external_id: str | None
    email: str | None
    since: datetime


async def put(db: AsyncConnection, name: str, title: str, definition: Mapping[str, Any], digest: str) -> bool:
    """Bring a segment into force; False when it means what it meant before."""
    row = {"name": name, "title": title, "definition": dict(definition), "digest": digest}
    fresh = insert_unless_there(segments).values(row)
    written = fresh.on_conflict_do_update(
        index_elements=["name"],
        set_={"title": fresh.excluded.title, "definition": fresh.excluded.definition, "digest": fresh.excluded.digest,
              "evaluated_at": None, "seen": None},
        where=segments.c.digest != fresh.excluded.digest,
    ).returning(segments.c.name)  # fmt: skip
    return (await db.execute(written)).one_or_none() is not None


async def remove(db: AsyncConnection, name: str) -> None:
    """Put a segment out of force. Empty it first, so that its members are told."""
    await db.execute(delete(segments).where(segments.c.name == name))


async def listing(db: AsyncConnection) -> list[SegmentRow]:
    """The segments in force, by name, with how many members they have."""
    count = select(func.count()).where(segment_members.c.segment == segments.c.name).scalar_subquery()
    columns = [segments.c[name] for name in ("name", "title", "definition", "digest", "evaluated_at", "seen_at")]
    query = select(*columns, count.label("members")).order_by(segments.c.name)
    return [SegmentRow(**row._mapping) for row in await db.execute(query)]


async def definitions(db: AsyncConnection) -> dict[str, dict[str, Any]]:
    """What the segments in force mean, by name; without counting anybody."""
    return {row.name: row.definition for row in await db.execute(select(segments.c.name, segments.c.definition))}


async def count(db: AsyncConnection, where: Condition, now: datetime) -> int:
    """How many customers meet a condition."""
    query = select(func.count()).select_from(customers).where(compile_condition(where, now, of=Of.ALL, exact=False))
    return int((await db.execute(query)).scalar_one())


async def meeting(db: AsyncConnection, where: Condition, now: datetime, *, limit: int) -> list[Member]:
    """Some of the customers who meet a condition, by their ids; `since` is `now`."""
    query = select(customers.c.id, customers.c.external_id, customers.c.email).where(compile_condition(where, now))
    rows = await db.execute(query.order_by(customers.c.id).limit(limit))
    return [Member(row.id, row.external_id, row.email, now) for row in rows]


async def members(db: AsyncConnection, segment: str, *, after: int = 0, limit: int = 100) -> list[Member]:
    """Members by their ids, those after the id `after`. Raises `UnknownSegment`."""
    if (await db.execute(select(segments.c.name).where(segments.c.name == segment))).one_or_none() is None:
        raise UnknownSegment(
            f"There is no segment {segment!r} in force.", hint="`waymark segments list` shows those there are."
        )
    query = (
        select(customers.c.id, customers.c.external_id, customers.c.email, segment_members.c.since)
        .join_from(segment_members, customers, customers.c.id == segment_members.c.customer_id)
        .where(segment_members.c.segment == segment, segment_members.c.customer_id > after)
        .order_by(segment_members.c.customer_id)
        .limit(limit)
    )
    return [Member(*row) for row in await db.execute(query)]


async def unrouted(
    db: AsyncConnection, *, limit: int, after: int = 0, customer_id: int | None = None
) -> list[StoredEvent]:
    """Changes of membership that no journey has heard of yet, oldest first, those after the id `after`."""
    query = select(*shown(events)).where(
        events.c.routed_at.is_(None), events.c.name.in_([ENTERED, LEFT]), events.c.id > after
    )
    if customer_id is not None:
        query = query.where(events.c.customer_id == customer_id)
    return [StoredEvent(**row._mapping) for row in await db.execute(query.order_by(events.c.id).limit(limit))]
