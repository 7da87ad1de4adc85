"""Who enters which journey, and which runs hear of what happens.

Everything is written before it is acted upon: an event before it is routed, an enrolment before its workflow starts.
What a crash leaves half done is finished by `activities.entering.sweeping`, which does the same things again; each of
them is idempotent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio.client import Client
from temporalio.service import RPCError

from activities.calendar import Calendar
from activities.entering.entrance import Entrance
from activities.entering.launching import Launcher
from activities.entering.triggers import Triggers, Way
from activities.turns.programs import Programs
from journeys.errors import WaymarkError
from journeys.instruction import Event
from records import events
from records.events import Concern, StoredEvent
from records.runs import enrolments
from records.runs.enrolments import Enrolment
from records.runs.entries import NotEnrolled

log = logging.getLogger(__name__)
AT_ONCE = 8
"""How many customers' events are carried to Temporal side by side."""
SLICE = 64
"""After how many customers those done are marked: what a crash does again."""

NO_SERVER = "Failed client connect"
"""How the SDK begins a bare RuntimeError for a server that it cannot connect to."""
FEW = 20
"""Of so many customers at most the segments are worked out at once, after a batch; of more, by the clock."""


class NotEnrollable(WaymarkError):
    """The customer cannot enter the journey now; the message says why."""


@dataclass
class Routed:
    """What became of an event: the runs it began and woke; or, in `away`, why it is not routed yet."""

    event: StoredEvent
    enrolled: list[Enrolment] = field(default_factory=list)
    woken: list[Enrolment] = field(default_factory=list)
    away: str | None = None


class Router(Launcher):
    """Carries stored events and enrolments to Temporal."""

    def __init__(
        self, database: AsyncEngine, client: Client, programs: Programs, entrance: Entrance, calendar: Calendar
    ) -> None:
        super().__init__(database, client, programs, calendar)
        self.triggers = Triggers(programs)
        self._entrance = entrance
        self.afterwards: Callable[[Iterable[StoredEvent]], Awaitable[None]] | None = None
        """Hears of what turns have caused, once it is committed: the tasks of sales get their workflows."""

    async def route_all(self, stored: Iterable[StoredEvent]) -> None:
        """Route events that an activity caused, in their order. What Temporal cannot take now is left to the sweep."""
        for event in stored:
            await self.route(event)

    async def follow_up(self, stored: Iterable[StoredEvent], entered: Iterable[Enrolment]) -> None:
        """Carry on what a turn caused: route its events, start the runs that it began."""
        stored = list(stored)
        if self.afterwards is not None:
            await self.afterwards(stored)
        await self.route_all(stored)
        for enrolment in entered:
            try:
                await self.launch(enrolment)
            except (RPCError, RuntimeError) as error:
                log.warning("run %s waits for Temporal: %s", enrolment.id, away(error))

    async def route(self, event: StoredEvent) -> Routed:
        """Enrol whom the event enrols and wake the runs that await it. Where Temporal does not answer, the event
        stays unrouted, and the sweep takes it up again."""
        routed = await self.route_page([event], event.received_at)
        return routed[0] if routed else Routed(event)

    async def route_page(self, page: Sequence[StoredEvent], now: datetime) -> list[Routed]:
        """Route many events at once; returns those that concern somebody, the others are only marked.

        The events of one customer are taken in the order in which they occurred, those of several side by side. What
        cannot be routed now stays unrouted, says so in `away`, and is taken up by the sweep.
        """
        return await self.route_numbers([one.id for one in page], now) if page else []

    async def route_numbers(self, numbers: Sequence[int], now: datetime) -> list[Routed]:
        """`route_page`, by the numbers of the events."""
        async with self._database.begin() as db:
            ways, awaited = await self.triggers.ways(db), await self.triggers.awaited(db)
            looked_at = [(way.trigger.event, way.trigger.tests) for way in ways]
            concerns = await events.concerning(db, numbers, awaited, looked_at, now)
        of_customer: dict[int, list[Concern]] = {}
        for concern in sorted(concerns, key=lambda one: (one.event.occurred_at, one.event.id)):
            of_customer.setdefault(concern.event.customer_id, []).append(concern)
        gate, chains, routed = asyncio.Semaphore(AT_ONCE), list(of_customer.values()), list[Routed]()

        async def carry(chain: list[Concern]) -> list[Routed]:
            async with gate:
                return await self._carry(chain, ways)

        for first in range(0, len(chains), SLICE):
            done = [one for part in await asyncio.gather(*map(carry, chains[first : first + SLICE])) for one in part]
            async with self._database.begin() as db:
                began = [run.id for one in done if one.away is None for run in one.enrolled]
                await enrolments.mark_launched(db, began, now)
                await events.mark_routed(db, [one.event.id for one in done if one.away is None], now)
            routed += done
            if all(one.away is not None for one in done):
                # Nobody is there; asking for each of them would take hours.
                left = (concern for chain in chains[first + SLICE :] for concern in chain)
                return routed + [Routed(concern.event, away=done[0].away) for concern in left]
        return routed

    async def _carry(self, chain: Sequence[Concern], ways: Sequence[Way]) -> list[Routed]:
        """Route the events of one customer. One that fails does not keep those of others from their way."""
        routed = [Routed(concern.event, woken=list(concern.awaiting)) for concern in chain]
        try:
            async with self._database.begin() as db:
                for concern, one in zip(chain, routed, strict=True):
                    one.enrolled = await self._enrol_by(db, concern, ways)
            for one in routed:
                for enrolment in one.enrolled:
                    await self.start(enrolment)
                for enrolment in one.woken:
                    await self.wake(enrolment, Event(str(one.event.id), one.event.name, one.event.occurred_at))
        except RPCError as error:
            _wait(routed, error.message)
        except Exception as error:
            # A sweep must get past an event that cannot be routed.
            if not isinstance(error, RuntimeError) or not str(error).startswith(NO_SERVER):
                log.exception("the events of customer %s are not routed yet", chain[0].event.customer_id)
            _wait(routed, str(error)[:200])
        return routed

    async def _enrol_by(self, db: AsyncConnection, concern: Concern, ways: Sequence[Way]) -> list[Enrolment]:
        """Enrol the customer in every journey into which the event leads."""
        entered: dict[str, Enrolment | NotEnrolled] = {}
        event = concern.event
        for way in (ways[number] for number in concern.ways):
            journey = way.program.journey.journey
            if journey not in entered and await way.welcomes(db, event):
                entered[journey] = await self._entrance.enter_version(
                    db, way.program, way.version, event.customer_id, source="event",
                    now=event.received_at, enrolled_at=event.occurred_at, event_id=event.id,
                )  # fmt: skip
        return [one for one in entered.values() if isinstance(one, Enrolment)]

    async def enrol(
        self,
        customer_id: int,
        journey: str,
        *,
        source: str,
        now: datetime,
        enrolled_at: datetime | None = None,
        occasion: str | None = None,
    ) -> Enrolment:
        """Enter a customer by hand, through the API, or on an occasion, and start the run.

        Where Temporal does not answer, the enrolment is returned as it is kept, without `launched_at`, and the sweep
        starts it.

        Raises:
            NotEnrollable: the journey takes nobody in, or its rule for entering again forbids it.
        """
        async with self._database.begin() as db:
            entered = await self._entrance.enter(
                db, customer_id, journey, source=source, now=now, enrolled_at=enrolled_at, occasion=occasion
            )
        if isinstance(entered, NotEnrolled):
            raise NotEnrollable(
                f"customer {customer_id} is not enrolled: {entered.because}",
                hint="`waymark journeys list` shows the journeys; the rule is re_enter in the map",
            )
        try:
            await self.launch(entered)
        except (RPCError, RuntimeError) as error:
            log.info("run %s waits for Temporal: %s", entered.id, away(error))
            return entered
        return replace(entered, launched_at=entered.begins_at)


class Audience:
    """What the command and the API do with events: store them, then route them."""

    def __init__(
        self,
        database: AsyncEngine,
        router: Router,
        afterwards: Callable[[int, datetime], Awaitable[object]] | None = None,
        after_many: Callable[[Sequence[int], datetime], Awaitable[object]] | None = None,
    ) -> None:
        """`afterwards` hears of the customer and the time, once an event has been routed; `after_many` of the customers
        of a whole batch, of whom nobody is looked at one by one."""
        self._database = database
        self.router = router
        self._afterwards = afterwards
        self._after_many = after_many

    async def look_after(self, customers: Collection[int], now: datetime) -> None:
        """Let follow what follows from events of these customers; one by one only where they are few."""
        if self._afterwards is not None and len(customers) <= FEW:
            for customer in sorted(customers):
                await self._afterwards(customer, now)
        elif self._after_many is not None:
            await self._after_many(sorted(customers), now)

    async def ingest(
        self,
        customer_id: int,
        name: str,
        *,
        occurred_at: datetime,
        received_at: datetime,
        key: str | None = None,
        value: float | None = None,
        properties: Mapping[str, Any] | None = None,
        touch_id: int | None = None,
    ) -> Routed | None:
        """Store an event and route it; None when its key is there already."""
        async with self._database.begin() as db:
            await events.keep_publications_out(db)
            event = await events.store(
                db, customer_id=customer_id, name=name, occurred_at=occurred_at, received_at=received_at, key=key,
                value=value, properties=dict(properties or {}), touch_id=touch_id,
                routed=name not in await self.router.triggers.heard(db),
            )  # fmt: skip
        if event is None:
            return None
        routed = Routed(event) if event.routed_at is not None else await self.router.route(event)
        if self._afterwards is not None:
            await self._afterwards(customer_id, received_at)
        return routed


def _wait(routed: Iterable[Routed], because: str) -> None:
    for one in routed:
        one.away = because


def away(error: RPCError | RuntimeError) -> str:
    """What the way to Temporal said. The SDK has a bare RuntimeError for a server that it cannot connect to; another
    one is none of that, and is raised."""
    if isinstance(error, RPCError):
        return error.message
    if not str(error).startswith(NO_SERVER):
        raise error
    return "it cannot be reached"
