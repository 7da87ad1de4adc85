"""What sales does with a task, where it concerns more than the task itself."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audience import Router
from records import events, tasks
from records.tasks import Outcome, Task


async def finish_task(
    database: AsyncEngine,
    router: Router,
    task_id: int,
    *,
    rep: str,
    outcome: Outcome,
    note: str | None,
    now: datetime,
) -> Task:
    """Finish a task and tell the journeys by the event `task.done`; the same outcome again changes nothing.

    Both are written in one transaction; what Temporal cannot take now is left to the sweep. Raises UnknownTask,
    TaskTaken or TaskFinished.
    """
    async with database.begin() as db:
        task = await tasks.finish(db, task_id, rep, outcome, note, now)
        event = await events.store(
            db,
            customer_id=task.customer_id,
            name="task.done",
            occurred_at=now,
            received_at=now,
            key=f"task.done/{task_id}",
            properties={"task": task_id, "queue": task.queue, "outcome": outcome},
        )
    if event is not None:
        await router.route(event)
    return task
