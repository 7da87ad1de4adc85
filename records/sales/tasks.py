"""The queue of sales: whose a task is, when it is due, and why it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.errors import WaymarkError
from journeys.sales import Outcome
from records.people.naming import full_name_of
from records.tables import customers, tasks

Status = Literal["open", "claimed", "done", "expired"]


class UnknownTask(WaymarkError):
    """There is no task of this number. Look at the queue."""


@dataclass(frozen=True, slots=True)
class Task:
    """One task. `details` holds what was known when it was made; `customer` is the name to show."""

    id: int
    customer_id: int
    queue: str
    title: str
    because: str | None
    details: dict[str, Any]
    status: Status
    priority: int
    due_at: datetime | None
    created_at: datetime
    claimed_by: str | None
    claimed_at: datetime | None
    done_by: str | None
    done_at: datetime | None
    outcome: Outcome | None
    note: str | None
    enrolment_id: int | None
    step: str | None
    visit: int | None
    rule: str | None
    assigned_to: str | None
    assigned_at: datetime | None
    snoozed_until: datetime | None
    reminded_at: datetime | None
    escalated_at: datetime | None
    expires_at: datetime | None
    launched_at: datetime | None
    reason: str | None
    marketing: Literal["stop", "go_on"]
    pipeline: str | None
    amount: Decimal | None
    expected_close: date | None
    customer: str


OPEN: tuple[Status, ...] = ("open", "claimed")


def held(customer: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether sales holds the customer and marketing stops for so long, as a part of a statement."""
    stopping = (tasks.c.customer_id == customer, tasks.c.marketing == "stop", tasks.c.status.in_(OPEN))
    return exists().where(*stopping)


async def holding(db: AsyncConnection, customer_id: int) -> bool:
    """Whether sales holds the lead and marketing stops for so long."""
    return bool((await db.execute(select(held(literal(customer_id))))).scalar_one())


async def create(
    db: AsyncConnection,
    *,
    customer_id: int,
    queue: str,
    title: str,
    now: datetime,
    because: str | None = None,
    details: Mapping[str, Any] | None = None,
    priority: int = 0,
    due_at: datetime | None = None,
    enrolment_id: int | None = None,
    step: str | None = None,
    visit: int | None = None,
    rule: str | None = None,
    assigned_to: str | None = None,
    expires_at: datetime | None = None,
    marketing: Literal["stop", "go_on"] = "go_on",
) -> int | None:
    """Puts a task into a queue and returns its id; None when this visit of this step has made its task already.

    One that a `rule` of the handoff keeps has a workflow of its own, which `unlaunched` tells of.
    """
    row = {
        "customer_id": customer_id,
        "queue": queue,
        "title": title,
        "because": because,
        "details": dict(details or {}),
        "priority": priority,
        "due_at": due_at,
        "created_at": now,
        "enrolment_id": enrolment_id,
        "step": step,
        "visit": visit,
        "rule": rule,
        "assigned_to": assigned_to,
        "assigned_at": now if assigned_to is not None else None,
        "expires_at": expires_at,
        "marketing": marketing,
    }
    statement = insert(tasks).values(row).on_conflict_do_nothing(index_elements=["enrolment_id", "step", "visit"])
    made = (await db.execute(statement.returning(tasks.c.id))).one_or_none()
    return None if made is None else int(made.id)


async def listing(
    db: AsyncConnection,
    queue: str | None = None,
    status: Status | None = None,
    limit: int = 100,
    *,
    rep: str | None = None,
    overdue_at: datetime | None = None,
) -> list[Task]:
    """The tasks in the order to work on them: the highest priority, then the earliest due, first; what is over last.

    `rep` has claimed them or was given them; `overdue_at` asks for those that were due before that moment and are not
    done.
    """
    order = (tasks.c.status.not_in(OPEN), tasks.c.priority.desc(), tasks.c.due_at, tasks.c.id)
    query = _tasks().order_by(*order).limit(limit)
    if queue is not None:
        query = query.where(tasks.c.queue == queue)
    if status is not None:
        query = query.where(tasks.c.status == status)
    if rep is not None:
        query = query.where(whose() == rep)
    if overdue_at is not None:
        query = query.where(tasks.c.status.in_(OPEN), tasks.c.due_at < overdue_at)
    return [Task(**row._mapping) for row in await db.execute(query)]


def whose() -> ColumnElement[str]:
    """Who has a task: who claimed it, else who was given it."""
    return func.coalesce(tasks.c.claimed_by, tasks.c.assigned_to)


async def lock(db: AsyncConnection, task_id: int) -> Task:
    """One task, held for the rest of the transaction. Raises `UnknownTask`."""
    await db.execute(select(tasks.c.id).where(tasks.c.id == task_id).with_for_update())
    return await get(db, task_id)


async def change(db: AsyncConnection, task_id: int, **values: Any) -> Task:
    """Write columns of a task that the caller has locked, and return it as it is then."""
    await db.execute(update(tasks).where(tasks.c.id == task_id).values(values))
    return await get(db, task_id)


async def unlaunched(db: AsyncConnection, *, limit: int, before: datetime, customer: int | None = None) -> list[int]:
    """The tasks made up to `before` that a rule keeps and no workflow yet, oldest first."""
    query = select(tasks.c.id).where(tasks.c.launched_at.is_(None), tasks.c.rule.is_not(None))
    query = query.where(tasks.c.created_at <= before).order_by(tasks.c.id).limit(limit)
    if customer is not None:
        query = query.where(tasks.c.customer_id == customer)
    return list((await db.execute(query)).scalars())


async def mark_launched(db: AsyncConnection, task_id: int, at: datetime) -> None:
    """Note that the task's workflow has been started."""
    started = update(tasks).where(tasks.c.id == task_id, tasks.c.launched_at.is_(None))
    await db.execute(started.values(launched_at=at))


async def last_rule(db: AsyncConnection, customer_id: int) -> str | None:
    """The rule whose threshold the customer crossed last; what maps asked for does not count."""
    mine = select(tasks.c.rule).where(
        tasks.c.customer_id == customer_id, tasks.c.rule.is_not(None), tasks.c.step.is_(None)
    )
    return (await db.execute(mine.order_by(tasks.c.id.desc()).limit(1))).scalar_one_or_none()


async def get(db: AsyncConnection, task_id: int) -> Task:
    """One task. Raises `UnknownTask`."""
    row = (await db.execute(_tasks().where(tasks.c.id == task_id))).one_or_none()
    if row is None:
        raise UnknownTask(f"There is no task {task_id}.")
    return Task(**row._mapping)


def full_name() -> ColumnElement[str]:
    """What to call a task's customer."""
    name = full_name_of(customers.c.first_name, customers.c.last_name)
    return func.coalesce(name, customers.c.email, customers.c.phone, customers.c.external_id, "")


def _tasks() -> Select[Any]:
    return select(tasks, full_name().label("customer")).join_from(tasks, customers)
