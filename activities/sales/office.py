"""What everything about tasks of sales goes by: the records, the rules with their team, and the clocks."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.calendar import Calendar
from journeys.sales import NOBODY, Sales
from journeys.team import Person
from journeys.worktime import WorkWeek
from records.sales.tasks import Task


@dataclass(frozen=True, slots=True)
class Office:
    """`sales` may be None: then nobody in particular sells, and tasks only wait for their end. `zone` is that of those
    who name none."""

    database: AsyncEngine
    sales: Sales | None
    calendar: Calendar
    zone: str

    @property
    def team(self) -> Sales:
        """The team; nobody where the definitions name none."""
        return self.sales or NOBODY

    def week(self, person: Person | None) -> WorkWeek:
        """When somebody works; the team's own hours for nobody in particular."""
        return self.team.week(person, self.zone)

    def language(self, person: Person | None) -> str | None:
        """In which language somebody is written to; None for that of the workspace."""
        return (person.language if person is not None else None) or self.team.language

    def week_of(self, task: Task) -> WorkWeek:
        """When whoever has the task works."""
        return self.week(self.team.rep(task.claimed_by or task.assigned_to))
