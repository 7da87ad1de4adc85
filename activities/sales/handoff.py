"""From marketing to sales: a lead whose score crosses the threshold of a rule becomes one task of sales, and so does
whatever a map asks people to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.sales.due import due_at
from activities.sales.making import Lead, Wanted, make
from activities.sales.outcomes import rearm
from activities.turns.questions import answer
from journeys.interpreter import Ask
from journeys.sales import NOBODY, Rule, Sales, rule_of
from journeys.saying import holds
from journeys.steps.effects import TaskDetails
from journeys.worktime import Span
from journeys.zones import zone_of
from records import events
from records.audience.scores import ScoreChange
from records.events import StoredEvent
from records.people import upserts
from records.sales import tasks


class Handoff:
    """Watches scores. `sales` may be None: then nobody is handed over."""

    def __init__(self, sales: Sales | None, fields: frozenset[str], default_zone: str) -> None:
        self._sales = sales
        self._fields = fields
        self._default_zone = default_zone

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
            await rearm(db, self._sales, customer_id, change.after)
            return []
        for rule in self._sales.rules:
            crossed = rule.threshold is not None and change.crosses(rule.threshold)
            if crossed and await self._meant(db, customer_id, rule, now):
                if not await upserts.qualify(db, customer_id, now):
                    return []
                return await self._hand_over(db, self._sales, rule, customer_id, change, because, now)
        return []

    async def ask(
        self,
        db: AsyncConnection,
        customer_id: int,
        task: TaskDetails,
        slot: tuple[int, str, int],
        by: str,
        now: datetime,
    ) -> list[StoredEvent]:
        """Put a task of a map into its queue, once for each visit of its step. The rule that the map names, or else
        the one that handoff.yaml names for tasks, gives it to somebody and keeps it; without one it waits in the
        queue. Returns the event that tells of a task that is kept, to be routed after the commit."""
        lead = await Lead.read(db, customer_id, self._fields)
        because, given, sales = task.because or by, task.model_fields_set, self._sales
        rule = rule_of(sales, task.rule or (sales.tasks if sales is not None else None))
        if sales is None or rule is None:
            await tasks.create(
                db, customer_id=customer_id, queue=task.queue, title=lead.filled(task.title), because=because,
                details=lead.details, priority=task.priority, due_at=self._due(task, now), now=now,
                enrolment_id=slot[0], step=slot[1], visit=slot[2],
            )  # fmt: skip
            return []
        wanted = Wanted(
            task.queue, task.title, because, task.priority if "priority" in given else rule.priority,
            _span(task.due) if "due" in given else rule.due, slot,
        )  # fmt: skip
        made = await make(db, sales, rule, lead, wanted, now, self._default_zone)
        if made is None:
            return []
        event = await events.store(
            db, customer_id=customer_id, name="task.created", occurred_at=now, received_at=now,
            key=f"task.created/{made}", properties={"task": made, "queue": task.queue, "rule": rule.name},
        )  # fmt: skip
        return [event] if event is not None else []

    def _due(self, task: TaskDetails, now: datetime) -> datetime:
        """When a task is due that is nobody's in particular: in working hours, those of the team."""
        span = _span(task.due)
        if span.unit in ("hour", "minute"):
            return (self._sales or NOBODY).week(None, self._default_zone).after(now, span)
        return due_at(task.due, now, zone_of(None, None, self._default_zone))

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
        lead = await Lead.read(db, customer_id, self._fields)
        crossing = {"score": change.after, "threshold": rule.threshold, "because": because}
        lead = replace(lead, details=lead.details | {"reached": crossing})
        reached = f"score {change.after} reached {rule.threshold}: {because}"
        wanted = Wanted(rule.queue, rule.title, reached, rule.priority, rule.due)
        task = await make(db, sales, rule, lead, wanted, now, self._default_zone)
        if rule.stage:
            stage = {"stage": rule.stage}
            await upserts.set_fields(db, customer_id, stage, because="qualified", enrolment_id=None, now=now)
        event = await events.store(
            db, customer_id=customer_id, name="score.qualified", occurred_at=now, received_at=now,
            key=f"score.qualified/{task}",
            properties={"score": change.after, "task": task, "queue": rule.queue, "rule": rule.name},
        )  # fmt: skip
        return [event] if event is not None else []


def _span(due: str) -> Span:
    """What a map says; nothing, which it may say, is a minute."""
    try:
        return Span.parse(due)
    except ValueError:
        return Span.parse("1m")
