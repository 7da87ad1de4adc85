"""The local activity `advance`: a turn where nothing is sent."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.calendar import Calendar
from activities.discretion import discreet
from activities.entering.audience import Router
from activities.turns.taken import erased
from activities.turns.turn import Turns
from journeys.instruction import Instruction, Turn
from records.runs.enrolments import UnknownRun


class Advance:
    """Takes turns for `CustomerJourney`, each in one transaction."""

    def __init__(self, database: AsyncEngine, turns: Turns, router: Router, calendar: Calendar) -> None:
        self._database = database
        self._turns = turns
        self._router = router
        self._calendar = calendar

    @activity.defn(name="advance")
    async def advance(self, turn: Turn) -> Instruction:
        """What the run does next. A turn that was taken before returns what it came to then."""
        with discreet("advance"):
            try:
                async with self._database.begin() as db:
                    taken = await self._turns.take(db, self._calendar.turn(turn))
            except UnknownRun:
                return erased(turn)
            await self._router.follow_up(taken.caused, taken.entered)
            return self._calendar.instruction(taken.instruction)
