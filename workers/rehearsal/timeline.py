"""One customer's virtual time: everything that happens, in the one order that there is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from journeys.errors import WaymarkError
from records.runs.enrolments import Enrolment
from workers.acting import Actors, Impossible
from workers.composition import Composition
from workers.rehearsal.happenings import Happening
from workers.rehearsal.hearing import Hearing
from workers.rehearsal.ways_in import WayIn
from workers.virtual_time import VirtualTime

HOPELESS = "retrying"
"""The state of a run whose message cannot be written. Nobody mends the template during a rehearsal, so it is left."""


@dataclass
class Timeline:
    """Carries customers from the start of a rehearsal to its end.

    What comes first in virtual time comes first. At the same instant: what happens to the customer, in the order of
    the file; then ways in, in their order; then the runs that begin or wake, by their numbers. So an event at the
    very limit of a wait counts.
    """

    parts: Composition
    time: VirtualTime
    hearing: Hearing
    actors: Actors
    impossible: list[tuple[Happening, str]] = field(default_factory=list)
    stuck: dict[int, Enrolment] = field(default_factory=dict)
    """Runs that were left at a message that cannot be written, by their numbers."""

    async def carry(
        self, customer: int, start: datetime, end: datetime, happenings: Iterable[Happening],
        ways_in: Sequence[WayIn] = (), passed: Callable[[datetime], None] = lambda at: None,
    ) -> None:  # fmt: skip
        """Bring one customer from start to end, both included; `passed` is told how far it is."""
        rest, at = deque(happenings), start
        while True:
            coming = [await way.coming(at) for way in ways_in]
            moments = [(moment, 1, number) for number, moment in enumerate(coming) if moment is not None]
            if rest:
                moments.append((rest[0].at, 0, 0))
            run = await self._due(customer)
            if run is not None:
                moments.append((run[0], 2, 0))
            moment, rank, number = min(moments, default=(end, 3, 0))
            if moment > end or rank == 3:
                break
            at = max(at, moment)
            passed(at)
            if rank == 0:
                await self._happen(rest.popleft())
            elif rank == 1:
                await ways_in[number].come(at)
            elif run is not None:
                await self.time.wake(run[1])
            while told := self.hearing.told(customer):
                await self.time.moved(told)
                for one in told:
                    await self.time.quiet(one)
        passed(end)

    async def _due(self, customer: int) -> tuple[datetime, Enrolment] | None:
        """The run that begins or wakes next."""
        open_runs = await self.time.open_runs(customer)
        for run in open_runs:
            if (run.instruction or {}).get("status") == HOPELESS:
                self.stuck[run.id] = run
        return self.time.earliest(run for run in open_runs if run.id not in self.stuck)

    async def _happen(self, one: Happening) -> None:
        try:
            if one.enters is not None:
                await self.parts.audience.router.enrol(one.customer, one.enters, source="api", now=one.at)
            elif one.deed is not None:
                await self.actors.act(one.customer, one.deed, one.at, f"rehearsal/{one.line}" if one.line else None)
        except Impossible as error:
            self.impossible.append((one, str(error)))
        except WaymarkError as error:
            self.impossible.append((one, error.message))
