"""Rescoring everybody from outside: starting the job, and seeing it through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from journeys.figures import RESCORING, Rescored, RescoringOrder
from journeys.instruction import QUEUE
from journeys.scoring import LoadedScoring

POLL = 0.5
"""Seconds between two looks at how far the job has come."""


class Rescorer:
    """Has new rules of scores brought into force."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def carry_out(
        self,
        loaded: LoadedScoring,
        *,
        by: str,
        hand_over: bool,
        customers: int,
        tell: Callable[[Rescored | None], None],
    ) -> Rescored:
        """Start the job and see it through. One that is under way by older rules is ended: this one does its work too.

        `tell` hears how far it has come; None while no worker answers. Cancelled, the job goes on.
        """
        order = RescoringOrder(loaded.definition, loaded.digest, by, hand_over, customers)
        job: WorkflowHandle[Any, Rescored] = await self._client.start_workflow(
            "Rescoring", order, id=RESCORING, task_queue=QUEUE, result_type=Rescored,
            id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING, static_summary="Rescore everybody",
        )  # fmt: skip
        watching = asyncio.create_task(_watch(job, tell))
        try:
            return await job.result()
        finally:
            watching.cancel()


async def _watch(job: WorkflowHandle[Any, Rescored], tell: Callable[[Rescored | None], None]) -> None:
    while True:
        try:
            tell(await job.query("progress", result_type=Rescored, rpc_timeout=None))
        except RPCError:
            tell(None)
        await asyncio.sleep(POLL)
