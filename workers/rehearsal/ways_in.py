"""What brings a customer into journeys without anybody doing something: days, schedules, segments."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from journeys.loading import LoadedJourney
from journeys.segments import LoadedSegment, named_in
from records.people import customers
from workers.composition import Composition

INSTANT = timedelta(microseconds=1)


class WayIn(Protocol):
    """A way in of the clock's, for one customer."""

    async def coming(self, since: datetime) -> datetime | None:
        """The first moment, from `since` on, at which it opens and has not opened yet."""

    async def come(self, at: datetime) -> None:
        """Let the customer in at that moment, where all conditions are met."""


class Days:
    """Days of the customer, and schedules."""

    def __init__(self, parts: Composition, journeys: Iterable[LoadedJourney], customer: int) -> None:
        self._parts = parts
        self._programs = [one.program for one in journeys if one.journey.dates or one.journey.schedules]
        self._customer = customer
        self._past: datetime | None = None

    async def coming(self, since: datetime) -> datetime | None:
        """The customer is read again each time: a step may have changed its days."""
        if not self._programs:
            return None
        after = max(since - INSTANT, self._past or since - INSTANT)
        async with self._parts.engine.connect() as db:
            customer = await customers.get(db, self._customer)
        found = [self._parts.entering.next_due(program, customer, after) for program in self._programs]
        return min((due.at for of_program in found for due in of_program), default=None)

    async def come(self, at: datetime) -> None:
        """All journeys whose moment it is, in the order of the rehearsal."""
        async with self._parts.engine.connect() as db:
            customer = await customers.get(db, self._customer)
        for program in self._programs:
            for due in self._parts.entering.next_due(program, customer, at - INSTANT):
                if due.at == at:
                    await self._parts.entering.enter_at(self._customer, program.journey.journey, due)
        self._past = at


class Segments:
    """Segments are worked out at the start and at each midnight (UTC); after an event, production does it itself."""

    def __init__(self, parts: Composition, asked: Collection[LoadedSegment], customer: int) -> None:
        self._parts = parts
        self._asked = asked
        self._customer = customer
        self._past: datetime | None = None

    async def coming(self, since: datetime) -> datetime | None:
        """The start, then midnight after midnight."""
        if not self._asked:
            return None
        if self._past is None:
            return since
        day = self._past.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return day + timedelta(days=1)

    async def come(self, at: datetime) -> None:
        """The customer enters and leaves."""
        self._past = at
        await self._parts.membership.evaluate_for(self._customer, at)


def needed(journeys: Iterable[LoadedJourney], segments: Iterable[LoadedSegment]) -> list[LoadedSegment]:
    """The segments that these journeys ask for, and those that they name in turn; in the order that they came in."""
    known = list(segments)
    wanted = {name for one in journeys for name in named_in(one.definition)}
    while more := {name for one in known if one.name in wanted for name in one.segment.named} - wanted:
        wanted |= more
    return [one for one in known if one.name in wanted]
