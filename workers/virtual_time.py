"""Letting virtual time pass over real runs: each is carried to its next moment instead of being waited for.

Every run has a clock of its own on a Temporal server that can skip time. What happens to one customer happens in one
consistent order here: before an event at T, all of the customer's runs are brought to T.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper

from journeys.identity import workflow_id
from records import enrolments
from records.enrolments import OPEN, Enrolment

LEAD = timedelta(milliseconds=30)
"""A clock is set this long before the moment at which its run wakes; the rest passes by itself. Set to the moment, its
skip would end while the run is at work, and the server (1.32) then skips on to the timer that the run sets next.
"""
LOOK = 0.01
"""Seconds between looks at a run that is about to move."""
PATIENCE = 60.0
"""Seconds of real time in which a run must have moved: the server fires a timer by its own queue, and on a busy
machine, or with a database away, a turn takes its time."""


class Stuck(RuntimeError):
    """A run that should have moved did not: no worker polls its queue, or its turns fail (see the Temporal UI)."""


@dataclass
class VirtualTime:
    """Carries runs through time on a server started with time skipping."""

    database: AsyncEngine
    client: Client

    def __post_init__(self) -> None:
        self._skipper = TimeSkipper(self.client)

    async def open_runs(self, customer_id: int) -> list[Enrolment]:
        """The customer's runs that have not ended."""
        async with self.database.connect() as db:
            runs = await enrolments.listing(db, customer_id=customer_id)
        return [run for run in runs if run.status in OPEN]

    async def carry_all(self, customer_id: int, to: datetime) -> None:
        """Bring a customer's runs to `to` (UTC), in the order of the moments at which they wake.

        Raises:
            Stuck: one of them does not wake.
        """
        while True:
            due = [
                (moment, run) for run in await self.open_runs(customer_id) if (moment := _next(run)) and moment <= to
            ]
            if not due:
                return
            moment, run = min(due, key=lambda one: (one[0], one[1].id))
            await self._set_clock(run, moment - LEAD)
            await self.moved([run])

    async def meet(self, customer_id: int, at: datetime, event: str) -> list[Enrolment]:
        """Let everything come to pass until `at`, and bring the runs that await the event there; returns those runs.

        A run that does not await it keeps its own clock: nothing that it does depends on the event's time.
        """
        await self.carry_all(customer_id, at)
        awaiting = [run for run in await self.open_runs(customer_id) if event in run.awaiting and run.turn]
        await asyncio.gather(*(self._set_clock(run, at) for run in awaiting))
        return awaiting

    async def moved(self, runs: Iterable[Enrolment]) -> None:
        """Return when each of the runs has taken a turn since it was read, and rests again.

        Raises:
            Stuck: one has not, for a minute.
        """
        loop = asyncio.get_running_loop()
        for run in runs:
            deadline = loop.time() + PATIENCE
            while not await self._rests_anew(run):
                if loop.time() > deadline:
                    raise Stuck(f"run {run.id} was woken at step {run.step} and did not move: is a worker running?")
                await asyncio.sleep(LOOK)

    async def _rests_anew(self, run: Enrolment) -> bool:
        async with self.database.connect() as db:
            now = await enrolments.get(db, run.id)
        return now.status not in OPEN or (now.turn > run.turn and (now.instruction or {}).get("act") == "wait")

    async def _set_clock(self, run: Enrolment, to: datetime) -> None:
        """Skip to `to` on one run's clock. One that is further already, or has ended, is left alone."""
        handle = self.client.get_workflow_handle(workflow_id(run.journey, run.customer_id, run.entry))
        try:
            now = await self._skipper.get_current_time(handle)
            if to > now:
                await self._skipper.fast_forward(handle, to - now)
        except RPCError as error:
            if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
                raise


def _next(run: Enrolment) -> datetime | None:
    """When a run does something by itself: it begins, or it wakes."""
    return run.begins_at if run.turn == 0 else run.wakes_at
