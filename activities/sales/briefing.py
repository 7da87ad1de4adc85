"""What somebody must know of a task before they pick up the phone: who it is, and what made the score."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.scoring import Scoring
from records.audience import rulebooks
from records.audience.rulebooks import SCORING
from records.audience.scorecards import Scorecard, scorecard
from records.people import customers
from records.people.customers import Customer
from records.sales import assignments, tasks
from records.sales.assignments import Step
from records.sales.tasks import Task


@dataclass(frozen=True, slots=True)
class Given:
    """Points as they count now, what for, and when (UTC) that was last; None for what somebody is."""

    points: int
    because: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Briefing:
    """A task, its customer, what makes up the score, the most points first, and what became of the task so far."""

    task: Task
    customer: Customer
    score: int
    points: list[Given]
    steps: list[Step] = field(default_factory=list)


async def brief(db: AsyncConnection, task_id: int, now: datetime) -> Briefing:
    """Read it as it stands. Raises UnknownTask."""
    task = await tasks.get(db, task_id)
    customer = await customers.get(db, task.customer_id)
    book = await rulebooks.find(db, SCORING)
    rules = Scoring.model_validate(book.definition) if book is not None else None
    card = await scorecard(db, customer.id, rules, now)
    points = sorted(_given(card), key=lambda one: -abs(one.points))
    return Briefing(task, customer, card.score, points, await assignments.history(db, task_id))


def _given(card: Scorecard) -> list[Given]:
    fit = [Given(part.points, _plain(part.rule), None) for part in card.fit_parts if part.holds]
    done = [Given(round(part.counts), _plain(part.rule), part.last_at) for part in card.engagement]
    told: dict[str, Given] = {}
    for entry in card.journey_parts:  # the newest first
        had = told.get(entry.because)
        points = round(entry.left) + (had.points if had is not None else 0)
        told[entry.because] = Given(points, entry.because, had.at if had is not None else entry.at)
    return [one for one in (*fit, *done, *told.values()) if one.points]


def _plain(rule: str) -> str:
    """The name of a rule, as people read it."""
    return rule.replace("_", " ")
