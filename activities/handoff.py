"""From marketing to sales: a lead whose score crosses the threshold becomes one task in the sales queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.due import due_at
from activities.rendering import CustomerView, render_line
from journeys.conditions import Model, Slug, Text
from journeys.source import Source
from journeys.zones import zone_of
from records import customers, events, tasks, touches
from records.events import StoredEvent
from records.scores import ScoreChange

RECENT = 5
"""How many touches a task shows beside the contact."""


class HandoffRule(Model):
    """`definitions/handoff.yaml`: when a lead is qualified, and the task that sales gets."""

    threshold: Annotated[int, Field(ge=1)]
    queue: Slug = "sales"
    title: Text = "Qualified lead"
    due: Annotated[str, Field(pattern=r"^([0-9]{1,3} working days?|[0-9]{1,4}\s*(mo|m|h|d|w))$")] = "1 working day"
    stage: Text | None = None
    priority: Annotated[int, Field(ge=0, le=9)] = 5


@dataclass(frozen=True, slots=True)
class LeadContext:
    """What a sales rep sees beside a task, and what its title may name."""

    view: CustomerView
    details: dict[str, Any]


class Handoff:
    """Watches scores. `rule` may be None: then nobody is handed over."""

    def __init__(self, rule: HandoffRule | None, fields: frozenset[str], default_zone: str) -> None:
        self._rule = rule
        self._fields = fields
        self._zone = zone_of(None, None, default_zone)

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
        """Hand the lead over if this change of score crossed the threshold upwards, for the first time.

        Writes the task, the stage and the event `score.qualified`; returns the event, to be routed after the commit.
        """
        rule = self._rule
        if rule is None or not change.crosses(rule.threshold):
            return []
        if not await customers.qualify(db, customer_id, now):
            return []
        context = await self.context(db, customer_id)
        await tasks.create(
            db, customer_id=customer_id, queue=rule.queue, title=render_line(rule.title, {"customer": context.view}),
            because=f"score {change.after} reached {rule.threshold}: {because}", details=context.details,
            priority=rule.priority, due_at=due_at(rule.due, now, self._zone), now=now,
        )  # fmt: skip
        if rule.stage:
            values: Mapping[str, Any] = {"stage": rule.stage}
            await customers.set_fields(db, customer_id, dict(values), because="qualified", enrolment_id=None, now=now)
        event = await events.store(
            db, customer_id=customer_id, name="score.qualified", occurred_at=now, received_at=now,
            key=f"score.qualified/{customer_id}", properties={"score": change.after},
        )  # fmt: skip
        return [event] if event is not None else []


def load(definitions: Path) -> HandoffRule | None:
    """The rule in `handoff.yaml` of the definitions folder; None when there is no such file.

    Raises:
        InvalidFile: with every problem found in it.
    """
    path = definitions / "handoff.yaml"
    return Source.read(path).to(HandoffRule) if path.exists() else None
