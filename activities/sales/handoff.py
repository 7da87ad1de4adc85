"""From marketing to sales: a lead whose score crosses the threshold of a rule becomes one task of sales."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.questions import answer
from activities.rendering import CustomerView, render_line
from activities.sales import assigning
from journeys.errors import WaymarkError
from journeys.interpreter import Ask
from journeys.sales import Rule, Sales, rule_of
from journeys.saying import holds
from records import events
from records.audience.scores import ScoreChange
from records.events import StoredEvent
from records.messages import touches
from records.people import customers
from records.sales import assignments, tasks

log = logging.getLogger(__name__)
RECENT = 5
"""How many touches a task shows beside the contact."""


@dataclass(frozen=True, slots=True)
class LeadContext:
    """What a sales rep sees beside a task, and what its title may name."""

    view: CustomerView
    details: dict[str, Any]


class Handoff:
    """Watches scores. `sales` may be None: then nobody is handed over."""

    def __init__(self, sales: Sales | None, fields: frozenset[str], default_zone: str) -> None:
        self._sales = sales
        self._fields = fields
        self._default_zone = default_zone

    async def context(self, db: AsyncConnection, customer_id: int) -> LeadContext:
        """The customer and its recent touches."""
        customer = await customers.get(db, customer_id)
        recent = await touches.recent(db, customer_id, RECENT)
        details = {
            "score": customer.score,
            "stage": customer.stage,
            "recent": [
                {"at": touch.claimed_at.isoformat(), "message": touch.message, "status": touch.status}
                for touch in recent
            ],
        }
        return LeadContext(CustomerView.of(customer, self._fields), details)

    async def consider(
        self, db: AsyncConnection, customer_id: int, change: ScoreChange, because: str, now: datetime
    ) -> list[StoredEvent]:
        """Hand the lead over if this change of score crossed a rule's threshold upwards and its conditions hold.

        That happens once, and once more after the score fell below the rule's `again_below`. The customer's row must
        be locked by whoever changed the score. Writes the task, the stage and the event `score.qualified`; returns the
        event, to be routed after the commit.
        """
        if self._sales is None:
            return []
        if change.after < change.before:
            await self._rearm(db, customer_id, change)
            return []
        for rule in self._sales.rules:
            if change.crosses(rule.threshold) and await self._meant(db, customer_id, rule, now):
                if not await customers.qualify(db, customer_id, now):
                    return []
                return await self._hand_over(db, self._sales, rule, customer_id, change, because, now)
        return []

    async def _rearm(self, db: AsyncConnection, customer_id: int, change: ScoreChange) -> None:
        """Who fell below the mark of the rule that took it may be handed over again."""
        rules = self._sales.rules if self._sales is not None else ()
        marks = [rule.again_below for rule in rules if rule.again_below is not None]
        if not marks or change.after >= max(marks):
            return
        taker = rule_of(self._sales, await tasks.last_rule(db, customer_id))
        mark = taker.again_below if taker is not None else min(marks)
        if mark is not None and change.after < mark:
            await assignments.rearm(db, customer_id)

    async def _meant(self, db: AsyncConnection, customer_id: int, rule: Rule, now: datetime) -> bool:
        if not rule.when:
            return True
        seen = await answer(db, customer_id, Ask(tuple(rule.when)), now)
        return all(holds(condition, seen) for condition in rule.when)

    async def _hand_over(
        self,
        db: AsyncConnection,
        sales: Sales,
        rule: Rule,
        customer_id: int,
        change: ScoreChange,
        because: str,
        now: datetime,
    ) -> list[StoredEvent]:
        context, customer = await self.context(db, customer_id), await customers.get(db, customer_id)
        choice = await assigning.pick(db, sales, rule, rule.queue, customer, now, self._default_zone)
        week = sales.week(choice.rep, self._default_zone)
        due = week.after(now, rule.due)
        task = await tasks.create(
            db, customer_id=customer_id, queue=rule.queue, title=filled(rule.title, context.view),
            because=f"score {change.after} reached {rule.threshold}: {because}", details=context.details,
            priority=rule.priority, due_at=due, now=now, rule=rule.name,
            assigned_to=choice.rep.name if choice.rep else None, marketing=rule.marketing,
            expires_at=week.after(due, rule.expire_after) if rule.expire_after else None,
        )  # fmt: skip
        assert task is not None
        if choice.rep is not None:
            await assignments.note(db, task, "assigned", rep=choice.rep.name, because=choice.because, at=now)
        elif sales.reps:
            await assignments.note(db, task, "unassigned", because=choice.because, at=now)
        if rule.stage:
            values: Mapping[str, Any] = {"stage": rule.stage}
            await customers.set_fields(db, customer_id, dict(values), because="qualified", enrolment_id=None, now=now)
        event = await events.store(
            db, customer_id=customer_id, name="score.qualified", occurred_at=now, received_at=now,
            key=f"score.qualified/{task}",
            properties={"score": change.after, "task": task, "queue": rule.queue, "rule": rule.name},
        )  # fmt: skip
        return [event] if event is not None else []


def filled(title: str, customer: CustomerView) -> str:
    """A task's title. One that cannot be filled in, which checking finds, must not stop a run: as it stands."""
    try:
        return render_line(title, {"customer": customer})
    except WaymarkError as error:
        log.warning("a task's title stays as it is written: %s", error.message)
        return title
