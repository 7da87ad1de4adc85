"""Who was given which task, and what else became of tasks on their way: kept for turns, timelines and summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.assigning import Hand
from records import changes
from records.changes import Change
from records.sales.tasks import OPEN, whose
from records.tables import customers, task_history, tasks

Kind = Literal[
    "assigned", "unassigned", "reassigned", "claimed", "reminded", "escalated", "snoozed", "expired", "updated"
]
_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('sales/assign', 0))")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that became of a task. `rep` is whom it concerns."""

    id: int
    task_id: int
    kind: Kind
    rep: str | None
    because: str | None
    at: datetime


async def one_at_a_time(db: AsyncConnection) -> None:
    """Let nobody else give out tasks until the transaction ends: whose turn it is must be true when it is used."""
    await db.execute(_TURN)


async def hands(db: AsyncConnection, reps: Sequence[str]) -> Mapping[str, Hand]:
    """What each of these reps has. Call it under `one_at_a_time`."""
    having = select(whose().label("rep"), func.count().label("tasks")).where(tasks.c.status.in_(OPEN))
    counts = await db.execute(having.where(whose().in_(reps)).group_by(whose()))
    found = {row.rep: int(row.tasks) for row in counts}
    given = {}
    for rep in reps:
        latest = select(func.max(task_history.c.id)).where(
            task_history.c.rep == rep, task_history.c.kind.in_(("assigned", "reassigned"))
        )
        given[rep] = (await db.execute(latest)).scalar() or 0
    return {rep: Hand(found.get(rep, 0), given[rep]) for rep in reps}


async def note(
    db: AsyncConnection, task_id: int, kind: Kind, *, rep: str | None = None, because: str | None = None, at: datetime
) -> int:
    """Write down what became of a task; returns the number of the entry."""
    row = {"task_id": task_id, "kind": kind, "rep": rep, "because": because, "at": at}
    return int((await db.execute(insert(task_history).values(row).returning(task_history.c.id))).scalar_one())


async def history(db: AsyncConnection, task_id: int) -> list[Step]:
    """What became of a task, in order."""
    mine = select(task_history).where(task_history.c.task_id == task_id).order_by(task_history.c.id)
    return [Step(**row._mapping) for row in await db.execute(mine)]


async def own(db: AsyncConnection, customer_id: int, rep: str, *, because: str, now: datetime) -> None:
    """Make the rep the customer's owner, where it has none: later leads of the customer may stay with them."""
    free = update(customers).where(customers.c.id == customer_id, customers.c.owner.is_(None))
    done = await db.execute(free.values(owner=rep, updated_at=now))
    if done.rowcount:
        change = Change("property", "owner", None, rep)
        await changes.keep(db, customer_id, [change], because=because, enrolment_id=None, at=now)


async def rearm(db: AsyncConnection, customer_id: int) -> None:
    """Let the customer be handed to sales anew, the next time that a threshold is crossed."""
    qualified = update(customers).where(customers.c.id == customer_id, customers.c.qualified_at.is_not(None))
    await db.execute(qualified.values(qualified_at=None))
