"""Taking a task and finishing it: by one person, with one outcome, however many try at once."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import get_args

from sqlalchemy import func, or_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.errors import WaymarkError
from journeys.sales import Outcome
from records.sales.tasks import Task, get
from records.tables import tasks


class TaskTaken(WaymarkError):
    """Somebody else has claimed the task. Take the next one, or talk to them."""


class TaskFinished(WaymarkError):
    """The task is done, with another outcome than the one given. An outcome stands once it is recorded."""


async def claim(db: AsyncConnection, task_id: int, rep: str, now: datetime) -> Task:
    """Gives the task to `rep`; of two who claim at once one gets it. Claiming one's own task again changes nothing.

    Raises:
        TaskTaken: somebody else has it or has done it, or it has expired; the message says which.
        UnknownTask: there is no such task.
    """
    is_open = update(tasks).where(tasks.c.id == task_id, tasks.c.status == "open")
    await db.execute(is_open.values(status="claimed", claimed_by=rep, claimed_at=now))
    task = await get(db, task_id)
    if task.status == "done":
        raise TaskTaken(f"Task {task_id} is done: {task.done_by} recorded {task.outcome}.")
    if task.status == "expired":
        raise TaskTaken(f"Task {task_id} has expired.", hint="Nobody took it in time; look at the customer first.")
    refuse_others(task, rep)
    return task


async def finish(
    db: AsyncConnection,
    task_id: int,
    rep: str,
    outcome: Outcome,
    note: str | None,
    now: datetime,
    *,
    reason: str | None = None,
    amount: Decimal | None = None,
) -> Task:
    """Records the outcome of a task that is open, expired or claimed by `rep`; the same outcome again changes nothing.

    Raises:
        TaskTaken: somebody else has claimed it.
        TaskFinished: it is done with another outcome.
        UnknownTask: there is no such task.
        WaymarkError: the outcome is none of these.
    """
    if outcome not in get_args(Outcome):
        raise WaymarkError(f"{outcome!r} is no outcome of a task.", hint="Choose won, lost, nurture or bad_lead.")
    mine = or_(tasks.c.claimed_by.is_(None), tasks.c.claimed_by == rep)
    unfinished = update(tasks).where(tasks.c.id == task_id, tasks.c.status != "done", mine)
    done = {
        "status": "done",
        "outcome": outcome,
        "note": note,
        "done_by": rep,
        "done_at": now,
        "claimed_by": func.coalesce(tasks.c.claimed_by, rep),
        "claimed_at": func.coalesce(tasks.c.claimed_at, now),
        "reason": reason,
        "amount": tasks.c.amount if amount is None else amount,
        "pipeline": outcome if outcome in ("won", "lost") else None,
    }
    await db.execute(unfinished.values(done))
    task = await get(db, task_id)
    if task.status != "done":
        refuse_others(task, rep)
    if task.outcome != outcome:
        raise TaskFinished(
            f"Task {task_id} is done: {task.done_by} recorded {task.outcome}.",
            hint="Make a new task if there is more to do.",
        )
    return task


def refuse_others(task: Task, rep: str) -> None:
    """Raises `TaskTaken` where somebody else has claimed the task."""
    if task.claimed_by != rep:
        raise TaskTaken(f"Task {task.id} belongs to {task.claimed_by}.", hint="Take the next one in the queue.")
