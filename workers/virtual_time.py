"""Letting virtual time pass over real runs: each is carried to its next moment instead of being waited for.

Every run has a clock of its own on a Temporal server that can skip time. What happens to one customer happens in one
consistent order here: before an event at T, all of the customer's runs are brought to T.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper

from journeys.identity import workflow_id
from records import enrolments
from records.enrolments import OPEN, Enrolment

MARGIN = timedelta(seconds=1)
"""A run is carried a little past its moment, so that a timer at that very moment has surely fired."""


@dataclass
class VirtualTime:
    """Carries runs through time on a server started with time skipping."""

    database: AsyncEngine
    client: Client
    _clocks: dict[int, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._skipper = TimeSkipper(self.client)

    async def open_runs(self, customer_id: int) -> list[Enrolment]:
        """The customer's runs that have not ended."""
        async with self.database.connect() as db:
            runs = await enrolments.listing(db, customer_id=customer_id)
        return [run for run in runs if run.status in OPEN]

    async def carry(self, run: Enrolment, to: datetime) -> None:
        """Let time pass for one run until `to` (UTC), timers firing and messages leaving on the way; returns when
        the run is at rest. A run that is further already is left alone; one that ends on the way is fine."""
        handle = self.client.get_workflow_handle(workflow_id(run.journey, run.customer_id, run.entry))
        try:
            now = await self._skipper.get_current_time(handle)
            await self._skipper.fast_forward(handle, max(to - now, timedelta()) + MARGIN)
        except RPCError as error:
            # It ended meanwhile: there is no clock left to move.
            if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
                raise

    async def carry_all(self, customer_id: int, to: datetime) -> None:
        """Bring a customer's runs to `to`, in the order of the moments at which they wake."""
        while True:
            due = [run for run in await self.open_runs(customer_id) if _next(run) is not None and _next(run) <= to]  # type: ignore[operator]
            if not due:
                break
            run = min(due, key=lambda one: _next(one) or to)
            moment = _next(run) or to
            await self.carry(run, moment)
            if await self._stuck(run, moment):
                raise RuntimeError(f"run {run.id} was carried to {moment} and did not move: is a worker running?")

    async def _stuck(self, run: Enrolment, moment: datetime) -> bool:
        async with self.database.connect() as db:
            after = await enrolments.get(db, run.id)
        return after.turn == run.turn and after.status in OPEN

    async def meet(self, customer_id: int, at: datetime) -> None:
        """Bring all open runs of a customer to `at`, also those that sleep beyond it, so that an event can happen."""
        await self.carry_all(customer_id, at)
        await asyncio.gather(*(self.carry(run, at) for run in await self.open_runs(customer_id)))

    async def settle(self, customer_id: int) -> None:
        """Return when all of the customer's runs rest again after an event."""
        await asyncio.gather(*(self.carry(run, run.begins_at) for run in await self.open_runs(customer_id)))


def _next(run: Enrolment) -> datetime | None:
    """When a run does something by itself: it begins, or it wakes."""
    return run.begins_at if run.turn == 0 else run.wakes_at
