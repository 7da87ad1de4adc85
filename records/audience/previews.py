"""Who would be in a segment, before anything is changed: how many, some of them, who would come and go, and how the
server finds them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.conditions import Condition
from records.audience.membership import question
from records.audience.planning import Plan, explain
from records.audience.segments import Member
from records.tables import customers, segment_members


@dataclass(frozen=True, slots=True)
class Preview:
    """What an evaluation at a moment would come to. `sample` are the first by their ids; `members` are those who are
    in the segment now, of whom `leaving` would leave it."""

    count: int
    members: int
    entering: int
    leaving: int
    sample: list[Member]
    plan: Plan


async def preview(db: AsyncConnection, where: Condition, now: datetime, *, segment: str | None, limit: int) -> Preview:
    """Ask everybody a condition, and compare with the members of `segment` (None, or one that is not in force: there
    are none). Nothing is written."""
    asked = question(where, now)
    meets = asked.cte("meets")
    members = select(segment_members.c.customer_id).where(segment_members.c.segment == segment)
    some = select(meets.c.id).order_by(meets.c.id).limit(limit).subquery()
    counts = select(
        select(func.count()).select_from(meets).scalar_subquery(),
        select(func.count()).select_from(meets).where(meets.c.id.in_(members)).scalar_subquery(),
        select(func.count()).select_from(members.subquery()).scalar_subquery(),
        select(func.array_agg(some.c.id)).scalar_subquery(),
    )
    count, staying, present, ids = (await db.execute(counts)).one()
    who = select(customers.c.id, customers.c.external_id, customers.c.email).where(customers.c.id.in_(ids or []))
    sample = [Member(*row, now) for row in await db.execute(who.order_by(customers.c.id))]
    return Preview(count, present, count - staying, present - staying, sample, await explain(db, asked))
