"""Who hears of an event: the live journeys that it lets people into, and the names that runs may await."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.turns.programs import Programs
from activities.turns.questions import answer
from journeys.definition import Trigger
from journeys.interpreter import Ask
from journeys.program import Program
from journeys.saying import holds
from journeys.steps.ways import WaitFor
from records.events import StoredEvent
from records.runs import versions

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """One way into a live journey by an event."""

    program: Program
    version: int
    trigger: Trigger

    async def welcomes(self, db: AsyncConnection, event: StoredEvent) -> bool:
        """Whether the event's customer met the condition of this way at the time of the event."""
        where = self.trigger.where
        return where is None or holds(where, await answer(db, event.customer_id, Ask((where,)), event.occurred_at))


class Triggers:
    """Reads published journeys for what they listen to."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._awaited: dict[tuple[str, int], frozenset[str]] = {}

    async def ways(self, db: AsyncConnection) -> list[Way]:
        """Every way by an event into the journeys that are live now, in the order of their names and of their maps."""
        found = []
        for journey in await versions.listing(db):
            if journey.status == "live":
                program = await self._programs.get(db, journey.journey, journey.live_version)
                found += [Way(program, journey.live_version, trigger) for trigger in program.journey.triggers]
        return found

    async def awaited(self, db: AsyncConnection) -> frozenset[str]:
        """The names that a run of any version may ever await. Runs of old versions go on, and runs are moved."""
        names: frozenset[str] = frozenset()
        for key in await versions.numbers(db):
            if key not in self._awaited:
                self._awaited[key] = await self._of(db, *key)
            names |= self._awaited[key]
        return names

    async def heard(self, db: AsyncConnection) -> frozenset[str]:
        """The names of events that concern any journey at all."""
        return await self.awaited(db) | {way.trigger.event for way in await self.ways(db)}

    async def _of(self, db: AsyncConnection, journey: str, version: int) -> frozenset[str]:
        try:
            program = await self._programs.get(db, journey, version)
        except ValueError:
            # No run can take a turn in a map that cannot be read.
            log.exception("%s v%s cannot be read", journey, version)
            return frozenset()
        steps = (node.step for node in program.nodes.values())
        waits = (step.wait_for.events for step in steps if isinstance(step, WaitFor))
        return frozenset(program.always_awaited).union(*waits)
