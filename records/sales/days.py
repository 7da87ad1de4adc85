"""What a day brought in sales, read back from the tasks: for the mails at the end of the day and the report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.sales import Outcome
from records.sales.tasks import OPEN, full_name, whose
from records.tables import customers, task_history, tasks


@dataclass(frozen=True, slots=True)
class Line:
    """One task in a summary. `rep` has it, or nobody; `ended_at` is when it was done or expired."""

    id: int
    title: str
    customer: str
    queue: str
    rep: str | None
    created_at: datetime
    assigned_at: datetime | None
    claimed_at: datetime | None
    due_at: datetime | None
    ended_at: datetime | None
    outcome: Outcome | None
    reason: str | None
    pipeline: str | None
    amount: Decimal | None
    expected_close: date | None

    def is_open(self, at: datetime) -> bool:
        """Whether it was there and not done at a moment."""
        return self.created_at <= at and (self.ended_at is None or self.ended_at > at)


async def lines(db: AsyncConnection, since: datetime, until: datetime, rep: str | None = None) -> list[Line]:
    """The tasks that were there between two moments, of one rep or of all, the most urgent first."""
    expired = (
        select(func.max(task_history.c.at))
        .where(task_history.c.task_id == tasks.c.id, task_history.c.kind == "expired")
        .correlate(tasks)
        .scalar_subquery()
    )
    ended = func.coalesce(tasks.c.done_at, expired)
    found = (
        select(
            tasks.c.id, tasks.c.title, full_name().label("customer"), tasks.c.queue, whose().label("rep"),
            tasks.c.created_at, tasks.c.assigned_at, tasks.c.claimed_at, tasks.c.due_at, ended.label("ended_at"),
            tasks.c.outcome, tasks.c.reason, tasks.c.pipeline, tasks.c.amount, tasks.c.expected_close,
        )
        .join(customers, customers.c.id == tasks.c.customer_id)
        .where(tasks.c.created_at < until, or_(tasks.c.status.in_(OPEN), ended >= since))
        .order_by(tasks.c.priority.desc(), tasks.c.due_at, tasks.c.id)
    )  # fmt: skip
    if rep is not None:
        found = found.where(whose() == rep)
    return [Line(**row._mapping) for row in await db.execute(found)]


async def steps(db: AsyncConnection, kind: str, since: datetime, until: datetime) -> dict[int, str | None]:
    """The tasks to which something happened between two moments, each with the reason."""
    found = select(task_history.c.task_id, task_history.c.because).where(
        task_history.c.kind == kind, task_history.c.at >= since, task_history.c.at < until
    )
    return {row.task_id: row.because for row in await db.execute(found.order_by(task_history.c.id))}


async def why_unassigned(db: AsyncConnection, ids: list[int]) -> dict[int, str | None]:
    """Why nobody was given these tasks."""
    found = select(task_history.c.task_id, task_history.c.because).where(
        task_history.c.kind == "unassigned", task_history.c.task_id.in_(ids)
    )
    return {row.task_id: row.because for row in await db.execute(found.order_by(task_history.c.id))}


async def sellers(db: AsyncConnection) -> list[str]:
    """Everybody who has or had a task, by name."""
    return [name for name in (await db.execute(select(whose()).distinct().order_by(whose()))).scalars() if name]
