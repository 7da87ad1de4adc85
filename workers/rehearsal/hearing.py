"""Signals in virtual time: before a run is told of an event, its clock is brought to it."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.client import Interceptor, OutboundInterceptor, SignalWorkflowInput

from journeys.instruction import Event
from records.runs import enrolments
from records.runs.enrolments import OPEN, Enrolment
from workers.virtual_time import VirtualTime

_WORKFLOW = re.compile(r"journey/(?P<journey>[^/]+)/(?P<customer>\d+)/(?P<entry>\d+)")


class Hearing(Interceptor):
    """Sees every signal that a client sends, whoever caused it: a contact, or a step of another run.

    In production all clocks show the same; here each run has its own, and one that hears of an event must not hear of
    it on the day on which it fell asleep.
    """

    def __init__(self, database: AsyncEngine) -> None:
        self.time: VirtualTime | None = None
        self._database = database
        self._told: dict[int, list[Enrolment]] = defaultdict(list)

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 (the SDK's name)
        """Stand between the client and the server."""
        return _Outbound(next, self)

    def told(self, customer_id: int) -> list[Enrolment]:
        """The customer's runs that were told of something since this was asked last, as they stood before."""
        return self._told.pop(customer_id, [])

    async def tell(self, workflow: str, event: Event) -> None:
        """Bring the clock of a run to an event that it is about to hear of."""
        match = _WORKFLOW.fullmatch(workflow)
        if match is None or self.time is None or _myself(workflow):
            return
        async with self._database.connect() as db:
            runs = await enrolments.listing(db, customer_id=int(match["customer"]), journey=match["journey"])
        for run in runs:
            if run.entry == int(match["entry"]) and run.status in OPEN and run.turn:
                self._told[run.customer_id].append(run)
                await self.time.bring(run, event.at)


def _myself(workflow: str) -> bool:
    """Whether a run tells itself, from the turn that it is taking: its clock is right, and it is not at rest."""
    return activity.in_activity() and activity.info().workflow_id == workflow


class _Outbound(OutboundInterceptor):
    def __init__(self, following: OutboundInterceptor, hearing: Hearing) -> None:
        super().__init__(following)
        self._hearing = hearing

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:  # noqa: A002 (the SDK's name)
        event: Any = input.args[0] if input.signal == "happened" and input.args else None
        if isinstance(event, Event):
            await self._hearing.tell(input.id, event)
        await super().signal_workflow(input)
