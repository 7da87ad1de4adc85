"""Who enters which journey, and which runs hear of what happens.

Everything is written before it is acted upon: an event before it is routed, an enrolment before its workflow starts.
What a crash leaves half done is finished by `sweep`, which does the same things again; each of them is idempotent.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.calendar import Calendar
from activities.entrance import Entrance
from activities.programs import Programs
from activities.questions import answer
from journeys import attributes
from journeys.definition import Trigger
from journeys.errors import WaymarkError
from journeys.instruction import QUEUE, Event, Run
from journeys.interpreter import Ask
from journeys.program import Program
from journeys.saying import holds
from records import enrolments, events, orders, versions
from records.enrolments import Enrolment, NotEnrolled
from records.events import StoredEvent

log = logging.getLogger(__name__)
PAGE = 200
PAGES = 10
"""How many events or enrolments a sweep takes up at a time, and how many times: some minutes' work at most."""


class NotEnrollable(WaymarkError):
    """The customer cannot enter the journey now; the message says why."""


@dataclass
class Routed:
    """What became of an event: the runs it began and woke; or, in `away`, why Temporal could not be told of them."""

    event: StoredEvent
    enrolled: list[Enrolment] = field(default_factory=list)
    woken: list[Enrolment] = field(default_factory=list)
    away: str | None = None


class Router:
    """Carries stored events and enrolments to Temporal."""

    def __init__(
        self, database: AsyncEngine, client: Client, programs: Programs, entrance: Entrance, calendar: Calendar
    ) -> None:
        self._database = database
        self._client = client
        self._programs = programs
        self._entrance = entrance
        self._calendar = calendar

    async def route_all(self, stored: Iterable[StoredEvent]) -> None:
        """Route events that an activity caused. What Temporal cannot take now is left to the sweep."""
        for event in stored:
            if (away := (await self.route(event)).away) is not None:
                log.warning("event %s waits for Temporal: %s", event.id, away)

    async def follow_up(self, stored: Iterable[StoredEvent], entered: Iterable[Enrolment]) -> None:
        """Carry on what a turn caused: route its events, start the runs that it began."""
        await self.route_all(stored)
        for enrolment in entered:
            try:
                await self.launch(enrolment)
            except (RPCError, RuntimeError) as error:
                log.warning("run %s waits for Temporal: %s", enrolment.id, away(error))

    async def route(self, event: StoredEvent) -> Routed:
        """Enrol whom the event enrols and wake the runs that await it. Where Temporal does not answer, the event
        stays unrouted, and the sweep takes it up again."""
        routed = Routed(event)
        async with self._database.begin() as db:
            routed.woken = await enrolments.concerned(db, event.customer_id, event.name)
        async with self._database.begin() as db:
            for program, version in await self._triggered(db, event):
                entered = await self._entrance.enter_version(
                    db, program, version, event.customer_id, source="event",
                    now=event.received_at, enrolled_at=event.occurred_at, event_id=event.id,
                )  # fmt: skip
                if isinstance(entered, Enrolment):
                    routed.enrolled.append(entered)
        try:
            for enrolment in routed.enrolled:
                await self.launch(enrolment)
            for enrolment in routed.woken:
                await self.wake(enrolment, Event(str(event.id), event.name, event.occurred_at))
        except (RPCError, RuntimeError) as error:
            routed.away = away(error)
            return routed
        async with self._database.begin() as db:
            await events.mark_routed(db, [event.id], event.received_at)
        return routed

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

    async def launch(self, enrolment: Enrolment) -> None:
        """Start the run's workflow, once: a second start finds the first.

        A run that begins later than the present is started with that delay, on the server's clock.
        """
        async with self._database.connect() as db:
            program = await self._programs.get(db, enrolment.journey, enrolment.version)
        delay = self._calendar.to_server(enrolment.begins_at) - datetime.now(UTC)
        with contextlib.suppress(WorkflowAlreadyStartedError):
            await self._client.start_workflow(
                "CustomerJourney",
                Run(enrolment.id, enrolment.journey, enrolment.version),
                id=enrolment.workflow,
                task_queue=QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_delay=delay if delay > timedelta(seconds=1) else None,
                static_summary=f"{program.journey.title} v{enrolment.version}",
                static_details=f"Customer {enrolment.customer_id}, entry {enrolment.entry}. "
                f"What happened and why: `waymark runs show {enrolment.id}`",
                search_attributes=attributes.at_start(enrolment.journey, enrolment.version, enrolment.id),
            )
        async with self._database.begin() as db:
            await enrolments.mark_launched(db, [enrolment.id], enrolment.begins_at)

    async def wake(self, enrolment: Enrolment, event: Event) -> None:
        """Signal an event to a run. A run that has ended, or has not begun, needs no waking: it reads the records."""
        try:
            await self.handle(enrolment).signal("happened", event)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    def handle(self, enrolment: Enrolment) -> WorkflowHandle[Any, Any]:
        """The run's workflow."""
        return self._client.get_workflow_handle(enrolment.workflow)

    @activity.defn(name="sweep")
    async def sweep(self) -> int:
        """Finish what a crash left half done: start enrolments without a workflow, route events that were stored only,
        and wake runs that have not heard of what they were told to do.

        Returns how many of both it took up. Those younger than a few seconds are left to whoever just wrote them.
        """
        settled = self._calendar.from_server(datetime.now(UTC)) - timedelta(seconds=10)
        taken_up = 0
        for _ in range(PAGES):
            found = await self._sweep_page(settled)
            taken_up += found
            if found < PAGE:
                break
        return taken_up

    async def _sweep_page(self, settled: datetime) -> int:
        async with self._database.connect() as db:
            waiting = [one for one in await enrolments.unlaunched(db, limit=PAGE) if one.begins_at < settled]
            stored = await events.unrouted(db, limit=PAGE, older_than=settled)
        async with self._database.begin() as db:
            await orders.free_strays(db, settled)
            told = await orders.pending_runs(db, limit=PAGE, before=settled)
        for enrolment in waiting:
            await self.launch(enrolment)
        await self.route_all(stored)
        for run in told:
            await self.wake(run, Event(f"order/{run.id}/{settled.timestamp():.0f}", "orders", settled))
        return len(waiting) + len(stored) + len(told)

    async def _triggered(self, db: AsyncConnection, event: StoredEvent) -> list[tuple[Program, int]]:
        """The live journeys that this event enrols its customer in, their conditions met."""
        entered = []
        for journey in await versions.listing(db):
            if journey.status != "live":
                continue
            program = await self._programs.get(db, journey.journey, journey.live_version)
            for way in program.journey.triggers:
                if way.event == event.name and await self._welcome(db, way, event):
                    entered.append((program, journey.live_version))
                    break
        return entered

    async def _welcome(self, db: AsyncConnection, way: Trigger, event: StoredEvent) -> bool:
        """Whether the event and the customer meet the conditions of this way in, at the time of the event."""
        if not await events.meets(db, event.id, way.tests):
            return False
        if way.where is None:
            return True
        seen = await answer(db, event.customer_id, Ask((way.where,)), event.occurred_at)
        return holds(way.where, seen)


class Audience:
    """What the command and the API do with events: store them, then route them."""

    def __init__(
        self,
        database: AsyncEngine,
        router: Router,
        afterwards: Callable[[int, datetime], Awaitable[object]] | None = None,
    ) -> None:
        """`afterwards` hears of the customer and the time, once an event has been routed."""
        self._database = database
        self.router = router
        self._afterwards = afterwards

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
            event = await events.store(
                db, customer_id=customer_id, name=name, occurred_at=occurred_at, received_at=received_at, key=key,
                value=value, properties=dict(properties or {}), touch_id=touch_id,
            )  # fmt: skip
        if event is None:
            return None
        routed = await self.router.route(event)
        if self._afterwards is not None:
            await self._afterwards(customer_id, received_at)
        return routed


def away(error: RPCError | RuntimeError) -> str:
    """What the way to Temporal said. The SDK has a bare RuntimeError for a server that it cannot connect to; another
    one is none of that, and is raised."""
    if isinstance(error, RPCError):
        return error.message
    if not str(error).startswith("Failed client connect"):
        raise error
    return "it cannot be reached"
