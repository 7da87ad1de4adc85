"""What the immediate steps do to the customer's record: score, set, tag, untag, task. Each once per (step, visit)."""

from __future__ import annotations

import logging
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.due import due_at
from activities.handoff import Handoff
from activities.rendering import CustomerView, render_line
from journeys.definition import AddTag, RemoveTag, Score, SetFields, Task
from journeys.errors import WaymarkError
from journeys.interpreter import Do
from journeys.zones import zone_of
from records import customers, scores, tasks
from records.enrolments import Standing
from records.events import StoredEvent

log = logging.getLogger(__name__)


class Effects:
    """Carries out effects inside the turn's transaction, so that a repeated turn repeats none of them."""

    def __init__(self, handoff: Handoff, default_zone: str) -> None:
        self._handoff = handoff
        self._zone = zone_of(None, None, default_zone)

    async def apply(self, db: AsyncConnection, standing: Standing, do: Do, now: datetime) -> list[StoredEvent]:
        """Do it, and return the events that this gave rise to: the caller routes them after its commit.

        `now` (UTC) is the turn's time and stands in every row that is written.
        """
        enrolment = standing.enrolment
        customer, slot = enrolment.customer_id, (enrolment.id, do.node.id, do.visit)
        because = f"{enrolment.journey}: {do.node.id}"
        match do.step:
            case Score(score=points):
                change = await scores.add(
                    db, customer, points=points.points, because=points.because, at=now,
                    enrolment_id=slot[0], step=slot[1], visit=slot[2],
                )  # fmt: skip
                if change is not None:
                    return await self._handoff.consider(db, customer, change, points.because, now)
            case SetFields(set=values):
                await customers.set_fields(db, customer, dict(values), because=because, enrolment_id=slot[0], now=now)
            case AddTag(tag=tags):
                for tag in tags:
                    await customers.tag(db, customer, tag, because=because, enrolment_id=slot[0], now=now)
            case RemoveTag(untag=tags):
                for tag in tags:
                    await customers.untag(db, customer, tag, because=because, enrolment_id=slot[0], now=now)
            case Task(task=task):
                context = await self._handoff.context(db, customer)
                await tasks.create(
                    db, customer_id=customer, queue=task.queue,
                    title=_filled(task.title, context.view),
                    because=task.because or because, details=context.details, priority=task.priority,
                    due_at=due_at(task.due, now, self._zone), now=now,
                    enrolment_id=slot[0], step=slot[1], visit=slot[2],
                )  # fmt: skip
        return []


def _filled(title: str, customer: CustomerView) -> str:
    """A task's title. One that cannot be filled in, which publishing refuses, must not stop the run: as it stands."""
    try:
        return render_line(title, {"customer": customer})
    except WaymarkError as error:
        log.warning("a task's title stays as it is written: %s", error.message)
        return title
