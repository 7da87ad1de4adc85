"""Which workers a run may be given to: those whose workflow has the shape that the run began with.

The workers of the queue `waymark` are one Temporal worker deployment; a version of it is a shape of the workflow
(`journeys.workflow.SHAPE`), not a build of the program: a release that leaves the shape alone takes over all runs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeWorkerDeploymentRequest,
    DescribeWorkerDeploymentResponse,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import WorkerDeploymentConfig

from journeys.instruction import QUEUE
from journeys.workflow import SHAPE

DEPLOYMENT = "waymark"
LOOK = 0.02
PATIENCE = 60.0
"""Seconds between looks for one's own poller on the server, and in which it must be there."""
RACES = (RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.ABORTED)
"""What the server answers when another process changed the deployment in between."""


@dataclass(frozen=True)
class Stranded:
    """Runs that no worker can go on with: pinned to a shape that nobody polls for."""

    shape: str
    runs: int


def deployment(shape: int = SHAPE) -> WorkerDeploymentConfig:
    """What a worker of this shape tells the server of itself."""
    return WorkerDeploymentConfig(WorkerDeploymentVersion(DEPLOYMENT, str(shape)), use_worker_versioning=True)


async def take_over(client: Client, shape: int = SHAPE) -> bool:
    """Make a shape the one that new runs begin with; its worker polls already, or is about to.

    False where a newer shape is in place: a worker of an older release serves its own runs and changes nothing. Any
    number of workers may call it at once.

    Raises:
        RPCError: the server does not allow it, or no worker of this shape polls for a minute.
    """
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        try:
            found = await _describe(client)
            current = _current(found)
            if current is not None and current >= shape:
                return current == shape
            await client.workflow_service.set_worker_deployment_current_version(
                SetWorkerDeploymentCurrentVersionRequest(
                    namespace=client.namespace,
                    deployment_name=DEPLOYMENT,
                    build_id=str(shape),
                    conflict_token=found.conflict_token,
                    identity=DEPLOYMENT,
                )
            )
        except RPCError as error:
            # The version is not there before its first poll is.
            again = error.status is RPCStatusCode.NOT_FOUND or error.status in RACES
            if not again or asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(LOOK)
        else:
            return True


async def stranded(client: Client) -> list[Stranded]:
    """The shapes that runs are pinned to while no worker of that shape has polled for some minutes."""
    try:
        versions = (await _describe(client)).worker_deployment_info.version_summaries
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return []
        raise
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    polling = {poller.deployment_options.build_id for poller in answer.pollers}
    shapes = sorted({one.deployment_version.build_id for one in versions} - polling)
    counted = [Stranded(shape, await _pinned(client, shape)) for shape in shapes]
    return [one for one in counted if one.runs]


async def _pinned(client: Client, shape: str) -> int:
    query = f"TemporalWorkerDeploymentVersion = '{DEPLOYMENT}:{shape}' AND ExecutionStatus = 'Running'"
    return (await client.count_workflows(f"{query} AND WorkflowType = 'CustomerJourney'")).count


async def _describe(client: Client) -> DescribeWorkerDeploymentResponse:
    return await client.workflow_service.describe_worker_deployment(
        DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=DEPLOYMENT)
    )


def _current(found: DescribeWorkerDeploymentResponse) -> int | None:
    """The shape that new runs begin with; None before any has taken over."""
    build = found.worker_deployment_info.routing_config.current_deployment_version.build_id
    return int(build) if build.isdecimal() else None
