"""The workflows that keep tasks: started once each, and told when somebody has changed a task."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.entering.audience import away
from activities.sales.office import Office
from journeys import attributes
from journeys.instruction import QUEUE
from journeys.salestask import Promise
from records.events import StoredEvent
from records.sales import tasks
from records.sales.tasks import Task

log = logging.getLogger(__name__)
BEGINNINGS = ("score.qualified", "task.created")
"""The events that tell of a new task, by the score or by a map."""


class Keepers:
    """Whoever keeps a task finds out by itself what nobody could tell: at its next look, or by the sweep."""

    def __init__(self, office: Office, client: Client) -> None:
        self._office = office
        self._client = client

    async def launch_for(self, stored: Iterable[StoredEvent]) -> None:
        """Start the workflows of the tasks that these events tell of. What Temporal cannot take now is left to the
        sweep."""
        for event in stored:
            task = event.properties.get("task") if event.name in BEGINNINGS else None
            if isinstance(task, int):
                try:
                    await self.launch(task)
                except (RPCError, RuntimeError) as error:
                    log.warning("task %s waits for Temporal: %s", task, away(error))

    async def launch(self, task: int) -> None:
        """Start the task's workflow, once: a second start finds the first, or that it has ended."""
        try:
            await self._client.start_workflow(
                "SalesTask", Promise(task), id=workflow_id(task), task_queue=QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"Task {task} of sales",
                static_details=f"What it is about and what became of it: `waymark tasks show {task}`",
                search_attributes=attributes.of_task(task),
            )  # fmt: skip
        except WorkflowAlreadyStartedError:
            log.info("the workflow of task %s has been there before", task)
        async with self._office.database.begin() as db:
            await tasks.mark_launched(db, task, self._office.calendar.from_server(datetime.now(UTC)))

    async def wake(self, task: Task) -> None:
        """Tell the task's workflow to look. One that has ended or not begun needs no telling."""
        if task.rule is None:
            return
        try:
            await self._client.get_workflow_handle(workflow_id(task.id)).signal("changed")
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                log.info("task %s is not told: %s", task.id, away(error))
        except RuntimeError as error:
            log.info("task %s is not told: %s", task.id, away(error))


def workflow_id(task: int) -> str:
    """The workflow that keeps a task."""
    return f"task/{task}"
