"""Letting virtual time pass over real runs: each is carried to its next moment instead of being waited for.

Every run has a clock of its own on a Temporal server that can skip time. What happens to one customer happens in one
consistent order here: what comes first in virtual time comes first; at the same instant an event comes before the
runs that wake then, and those in the order of their numbers.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.common.v1 import FastForwardConfig, TimeSkippingConfig, WorkflowExecution
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionResponse,
    UpdateWorkflowExecutionOptionsRequest,
)
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from records.runs import enrolments
from records.runs.enrolments import OPEN, Enrolment
from workers.rests import Lookout, Rests

LOOK = 0.01
"""Seconds between looks at a run that is about to move, where its workers are other processes."""
PATIENCE = 60.0
"""Seconds of real time in which a run must have moved: the server fires a timer by its own queue, and on a busy
machine, or with a database away, a turn takes its time."""


class Stuck(RuntimeError):
    """A run that should have moved did not: no worker polls its queue, or its turns fail (see the Temporal UI)."""


@dataclass
class VirtualTime:
    """Carries runs through time on a server started with time skipping.

    `rests` tells when a run has come to rest: `Rests` where the workers are in this process, else a `Lookout`.
    `ahead` is how far the server's clock is before the time that the records keep, as the worker's calendar has it.
    """

    database: AsyncEngine
    client: Client
    rests: Rests | Lookout
    ahead: timedelta = timedelta()

    def __post_init__(self) -> None:
        # One statement is a transaction of its own: nothing has to begin and end around it.
        self._records = self.database.execution_options(isolation_level="AUTOCOMMIT")

    async def open_runs(self, customer_id: int) -> list[Enrolment]:
        """The customer's runs that have not ended."""
        async with self._records.connect() as db:
            runs = await enrolments.listing(db, customer_id=customer_id)
        return [run for run in runs if run.status in OPEN]

    async def carry_all(self, customer_id: int, to: datetime) -> list[Enrolment]:
        """Bring a customer's runs to `to` (UTC), in the order of the moments at which they wake; returns those that
        have not ended then.

        Raises:
            Stuck: one of them does not wake.
        """
        while True:
            runs = await self.open_runs(customer_id)
            due = self.earliest(runs)
            if due is None or due[0] > to:
                return runs
            await self.wake(due[1])

    @staticmethod
    def earliest(runs: Iterable[Enrolment]) -> tuple[datetime, Enrolment] | None:
        """The earliest moment at which one of these runs begins or wakes by itself, and that run."""
        due = [(moment, run) for run in runs if (moment := _next(run))]
        return min(due, key=lambda one: (one[0], one[1].id), default=None)

    async def wake(self, run: Enrolment) -> None:
        """Let a run begin, or its timer elapse; returns when it rests again.

        Raises:
            Stuck: it does not wake.
        """
        # One skip, which ends at the run's own timer, exactly, or at its beginning. It is done at once when the run
        # is at rest, else as soon as it is.
        once = TimeSkippingConfig(enabled=True, max_session_skip_count=1)
        async with self._patience(run):
            # Its row is committed a moment before its workflow is started.
            while not await self._skip(run, once) and await self._is_to_begin(run):  # noqa: ASYNC110 (another process starts it)
                await asyncio.sleep(LOOK)
        await self.moved([run])

    async def meet(self, customer_id: int, at: datetime, event: str) -> list[Enrolment]:
        """Let everything come to pass until `at`, and bring the runs that await the event there; returns those runs.

        A run that does not await it keeps its own clock: nothing that it does depends on the event's time.
        """
        awaiting = [run for run in await self.carry_all(customer_id, at) if event in run.awaiting and run.turn]
        await asyncio.gather(*(self.bring(run, at) for run in awaiting))
        return awaiting

    async def bring(self, run: Enrolment, at: datetime) -> None:
        """Set a resting run's clock to `at`, or to its own timer when that is due first.

        One that is further already, or has ended, is left alone.
        """
        described = await self.quiet(run)
        if described is None:
            return
        shown = described.workflow_extended_info.time_skipping_info
        # A clock that never skipped is the machine's.
        now = shown.current_time.ToDatetime(UTC) if shown.HasField("current_time") else datetime.now(UTC)
        ahead = at + self.ahead - now
        if ahead > timedelta():
            forward = FastForwardConfig(id=str(uuid.uuid4()))
            forward.duration.FromTimedelta(ahead)
            await self._skip(
                run, TimeSkippingConfig(enabled=True, fast_forward_config=forward, max_session_skip_count=1)
            )

    async def moved(self, runs: Iterable[Enrolment]) -> None:
        """Return when each of the runs has taken a turn since it was read, and rests again.

        Raises:
            Stuck: one has not, for a minute.
        """
        for run in runs:
            async with self._patience(run):
                await self.rests.after(run.id, run.turn)

    async def quiet(self, run: Enrolment) -> DescribeWorkflowExecutionResponse | None:
        """Return when nothing is under way in a run, no task and no activity: how it stands, or None when it has ended.

        The records are written a moment before. And a run that was signalled about when its timer elapsed takes one
        turn or two: skipped in between, it would go on to the timer after.
        """
        while True:
            found = await self._describe(run)
            if found is None or not (found.HasField("pending_workflow_task") or found.pending_activities):
                return found
            await asyncio.sleep(LOOK)

    async def _describe(self, run: Enrolment) -> DescribeWorkflowExecutionResponse | None:
        """How a run stands with the server; None when it has ended or never was."""
        try:
            described = await self.client.get_workflow_handle(run.workflow).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        return described.raw_description if described.status is WorkflowExecutionStatus.RUNNING else None

    @asynccontextmanager
    async def _patience(self, run: Enrolment) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(PATIENCE):
                yield
        except TimeoutError:
            raise Stuck(f"run {run.id} was woken at step {run.step} and did not move: is a worker running?") from None

    async def _is_to_begin(self, run: Enrolment) -> bool:
        async with self._records.connect() as db:
            now = await enrolments.get(db, run.id)
        return now.status in OPEN and now.turn == 0

    async def _skip(self, run: Enrolment, config: TimeSkippingConfig) -> bool:
        """Change how a run's clock goes; False when it has no workflow that is under way, which is left alone."""
        request = UpdateWorkflowExecutionOptionsRequest(
            namespace=self.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=run.workflow),
            workflow_execution_options=WorkflowExecutionOptions(time_skipping_config=config),
            update_mask=FieldMask(paths=["time_skipping_config"]),
            identity=self.client.identity,
        )
        try:
            await self.client.workflow_service.update_workflow_execution_options(request, retry=True)
        except RPCError as error:
            if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
                raise
            return False
        return True


def _next(run: Enrolment) -> datetime | None:
    """When a run does something by itself: it begins, or it wakes."""
    return run.begins_at if run.turn == 0 else run.wakes_at
