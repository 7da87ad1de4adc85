"""From an enrolment to its workflow: starting it, finding it, telling it to look."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.calendar import Calendar
from activities.turns.programs import Programs
from journeys import attributes
from journeys.instruction import QUEUE, Event, Run
from records.runs import enrolments
from records.runs.enrolments import Enrolment


class Launcher:
    """Starts and wakes the workflows of runs."""

    def __init__(self, database: AsyncEngine, client: Client, programs: Programs, calendar: Calendar) -> None:
        self._database = database
        self._client = client
        self._programs = programs
        self._calendar = calendar

    async def launch(self, enrolment: Enrolment) -> None:
        """Start the run's workflow, once: a second start finds the first."""
        await self.start(enrolment)
        async with self._database.begin() as db:
            await enrolments.mark_launched(db, [enrolment.id], enrolment.begins_at)

    async def start(self, enrolment: Enrolment) -> None:
        """Start the workflow only. A run that begins later than the present is started with that delay, on the server's
        clock."""
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
