"""Goals reached: once a run, with its value and the touches before it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by, array, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger

from records.runs.enrolments import Enrolment
from records.tables import goals, touches


async def reach(db: AsyncConnection, run: Enrolment, *, event_id: int, at: datetime, value: Decimal | None) -> None:
    """Write down that a run reached its journey's goal at `at`, and which of its messages went before. Once a run."""
    in_order = aggregate_order_by(touches.c.id, touches.c.claimed_at, touches.c.id)
    before = (
        select(func.coalesce(func.array_agg(in_order), array([], type_=BigInteger)))
        .where(touches.c.enrolment_id == run.id, touches.c.status == "sent", touches.c.claimed_at <= at)
        .scalar_subquery()
    )
    reached = insert(goals).values(
        enrolment_id=run.id, customer_id=run.customer_id, journey=run.journey, version=run.version,
        event_id=event_id, at=at, value=value, touch_ids=before, held_out=run.held_out,
    )  # fmt: skip
    await db.execute(reached.on_conflict_do_nothing())
