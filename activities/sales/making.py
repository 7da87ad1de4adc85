"""How a task of sales comes to be, whoever asks for it: given to somebody, due in their working time, and told of."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.messages.rendering import CustomerView, render_line
from activities.sales import assigning
from journeys.errors import WaymarkError
from journeys.sales import Rule, Sales
from journeys.worktime import Span
from records.messages import touches
from records.people import customers
from records.sales import assignments, tasks

log = logging.getLogger(__name__)
RECENT = 5
"""How many touches a task shows beside the contact."""


@dataclass(frozen=True, slots=True)
class Lead:
    """Whom a task is about: what its title may name, and what whoever has it sees beside it."""

    customer: customers.Customer
    view: CustomerView
    details: dict[str, Any]

    @classmethod
    async def read(cls, db: AsyncConnection, customer_id: int, fields: frozenset[str]) -> Lead:
        """The customer as it is now, with its recent touches."""
        customer = await customers.get(db, customer_id)
        recent = await touches.recent(db, customer_id, RECENT)
        shown = [
            {"at": touch.claimed_at.isoformat(), "message": touch.message, "status": touch.status} for touch in recent
        ]
        details = {"score": customer.score, "stage": customer.stage, "recent": shown}
        return cls(customer, CustomerView.of(customer, fields), details)

    def filled(self, title: str) -> str:
        """A task's title. One that cannot be filled in, which checking finds, must not stop a run: as it stands."""
        try:
            return render_line(title, {"customer": self.view})
        except WaymarkError as error:
            log.warning("a task's title stays as it is written: %s", error.message)
            return title


@dataclass(frozen=True, slots=True)
class Wanted:
    """A task that is asked for by the score or by a map; `slot` is the run, the step and the visit of the latter."""

    queue: str
    title: str
    because: str
    priority: int
    due: Span
    slot: tuple[int, str, int] | None = None


async def make(
    db: AsyncConnection, sales: Sales, rule: Rule, lead: Lead, wanted: Wanted, now: datetime, default_zone: str
) -> int | None:
    """Make a task that `rule` keeps, and give it to somebody; None when this visit of this step has made its own.

    Its workflow is started after the commit.
    """
    choice = await assigning.pick(db, sales, rule, wanted.queue, lead.customer, now, default_zone)
    week = sales.week(choice.rep, default_zone)
    due = week.after(now, wanted.due)
    run, step, visit = wanted.slot or (None, None, None)
    task = await tasks.create(
        db, customer_id=lead.customer.id, queue=wanted.queue, title=lead.filled(wanted.title), because=wanted.because,
        details=lead.details, priority=wanted.priority, due_at=due, now=now, rule=rule.name,
        assigned_to=choice.rep.name if choice.rep else None, marketing=rule.marketing,
        expires_at=week.after(due, rule.expire_after) if rule.expire_after else None,
        enrolment_id=run, step=step, visit=visit,
    )  # fmt: skip
    if task is None:
        return None
    if choice.rep is not None:
        entry = await assignments.note(db, task, "assigned", rep=choice.rep.name, because=choice.because, at=now)
        await assigning.announce(db, rule, "assigned", task, choice.rep, week, entry, now)
    elif sales.reps:
        await assignments.note(db, task, "unassigned", because=choice.because, at=now)
    return task
