"""The sweep: finishes what crashes left half done, and carries what was stored in bulk to its journeys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.calendar import Calendar
from activities.discretion import discreet
from activities.entering.audience import Router
from activities.pulse import Pulse
from journeys.instruction import Event
from records import events
from records.people import merging
from records.runs import enrolments, orders

PAGE = 200
"""How many enrolments and orders are taken up at a time."""
EVENTS = 2000
"""How many events are looked at in one transaction."""
SETTLED = timedelta(seconds=10)
"""What is younger is left to whoever just wrote it."""


class Sweeping:
    """Starts enrolments and `broadcasts` without a workflow, routes events that were stored only, and wakes runs that
    have not heard of what they were told to do."""

    def __init__(
        self,
        database: AsyncEngine,
        router: Router,
        calendar: Calendar,
        broadcasts: Callable[[datetime], Awaitable[int]],
    ) -> None:
        self._database = database
        self._broadcasts = broadcasts
        self._router = router
        self._calendar = calendar

    @activity.defn(name="sweep")
    async def sweep(self) -> int:
        """Go through all that is left, page by page; returns how much was taken up.

        One at a time does it, of all workers; a second one finds nothing to do. What cannot be done now is left to
        the next sweep.
        """
        with discreet("sweep"), Pulse() as pulse:
            async with self._database.connect() as alone:
                if not await events.alone(alone, "sweep"):
                    return 0
                # An import that is under way carries its events itself.
                routes = await events.alone(alone, "routing")
                async with self._database.begin() as db:
                    await orders.free_strays(db, self._settled())
                taken_up, launched, routed, told = await self._broadcasts(self._settled()), 0, 0, 0
                taken_up += await self._merged()
                while True:
                    settled = self._settled()
                    runs, launched = await self._launch(settled, launched)
                    stored, routed = await self._route(settled, routed) if routes else (0, 0)
                    ordered, told = await self._tell(settled, told)
                    taken_up += runs + stored + ordered
                    pulse.at(taken_up)
                    if runs < PAGE and stored < EVENTS and ordered < PAGE:
                        return taken_up

    def _settled(self) -> datetime:
        return self._calendar.from_server(datetime.now(UTC)) - SETTLED

    async def _launch(self, settled: datetime, after: int) -> tuple[int, int]:
        async with self._database.connect() as db:
            waiting = await enrolments.unlaunched(db, limit=PAGE, after=after, before=settled)
        await self._router.follow_up([], waiting)
        return len(waiting), waiting[-1].id if waiting else after

    async def _route(self, settled: datetime, after: int) -> tuple[int, int]:
        async with self._database.connect() as db:
            stored = await events.unrouted(db, limit=EVENTS, older_than=settled, after=after)
        if stored:
            await self._router.route_page(stored, settled)
        return len(stored), stored[-1].id if stored else after

    async def _merged(self) -> int:
        """Let runs look again whose customer turned out to be somebody else, too: what happened to both is theirs."""
        settled, after, done = self._settled(), 0, 0
        while True:
            async with self._database.connect() as db:
                merges = await merging.untold(db, limit=PAGE, before=settled, after=after)
                runs = await enrolments.of_customers(db, {one.kept_id for one in merges})
            if not merges:
                return done
            for run in runs:
                await self._router.wake(run, Event(f"merged/{merges[-1].id}/{run.id}", "merge", settled))
            async with self._database.begin() as db:
                await merging.mark_told(db, [one.id for one in merges], settled)
            after, done = merges[-1].id, done + len(merges)

    async def _tell(self, settled: datetime, after: int) -> tuple[int, int]:
        async with self._database.connect() as db:
            told = await orders.pending_runs(db, limit=PAGE, after=after, before=settled)
        for run in told:
            await self._router.wake(run, Event(f"order/{run.id}/{settled.timestamp():.0f}", "orders", settled))
        return len(told), told[-1].id if told else after
