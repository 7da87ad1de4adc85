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

from journeys.errors import WaymarkError
from journeys.instruction import QUEUE
from journeys.workflow import SHAPE

DEPLOYMENT = "waymark"
LOOK = 0.02
LONGEST_LOOK = 2.0
PATIENCE = 60.0
"""Seconds between attempts to take over, which double up to the longest, and in which the server must agree."""
AWAY = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.RESOURCE_EXHAUSTED)
"""A server that is away or busy is waited for."""
NOT_YET = (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.ABORTED)
"""What passes in a moment: no poller is known yet, or another process was quicker."""


class NotAllowed(WaymarkError):
    """The server does not let a worker say with which shape new runs begin. Whoever administers it must."""


@dataclass(frozen=True)
class Shape:
    """One shape that the server knows: how many open runs are pinned to it, and who works on them."""

    name: str
    runs: int
    workers: int
    current: bool
    """New runs begin with it."""

    @property
    def stranded(self) -> bool:
        """Runs stand still, or would: none of its workers has polled for some minutes."""
        return not self.workers and (self.current or self.runs > 0)


def deployment(shape: int) -> WorkerDeploymentConfig:
    """What a worker of this shape tells the server of itself."""
    return WorkerDeploymentConfig(WorkerDeploymentVersion(DEPLOYMENT, str(shape)), use_worker_versioning=True)


async def take_over(client: Client, shape: int = SHAPE) -> bool:
    """Let new runs begin with this shape. Its worker polls already, or is about to: that is waited for.

    False where a newer shape is in place: a worker of an older release serves the runs of its own and changes
    nothing. Any number of workers may call it at once.

    Raises:
        NotAllowed: the server refuses.
    """
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + PATIENCE, LOOK
    while True:
        try:
            found = await _describe(client)
            if (manager := found.worker_deployment_info.manager_identity) not in ("", DEPLOYMENT):
                raise _not_allowed(client, shape, f"{manager} manages the deployment")
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
            late = loop.time() > deadline
            if error.status not in AWAY and (late or error.status not in NOT_YET):
                raise _not_allowed(client, shape, error.message) from None
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_LOOK)
        else:
            return True


async def shapes(client: Client) -> list[Shape]:
    """All shapes that the server knows, oldest first; none before the first worker has ever polled."""
    try:
        found = await _describe(client)
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
    polling = [poller.deployment_options.build_id for poller in answer.pollers]
    current = str(_current(found))
    names = [one.deployment_version.build_id for one in found.worker_deployment_info.version_summaries]
    return [
        Shape(name, await _pinned(client, name), polling.count(name), name == current)
        for name in sorted(names, key=lambda name: (len(name), name))
    ]


def _not_allowed(client: Client, shape: int, because: str) -> NotAllowed:
    return NotAllowed(
        f"New runs cannot be made to begin with shape {shape} of the workflow: {because}.",
        hint=f"Have it done: temporal worker deployment set-current-version --namespace {client.namespace} "
        f"--deployment-name {DEPLOYMENT} --build-id {shape}",
    )


async def _pinned(client: Client, shape: str) -> int:
    query = f"TemporalWorkerDeploymentVersion = '{DEPLOYMENT}:{shape}' AND ExecutionStatus = 'Running'"
    return (await client.count_workflows(f"{query} AND WorkflowType IN ('CustomerJourney', 'SalesTask')")).count


async def _describe(client: Client) -> DescribeWorkerDeploymentResponse:
    return await client.workflow_service.describe_worker_deployment(
        DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=DEPLOYMENT)
    )


def _current(found: DescribeWorkerDeploymentResponse) -> int | None:
    """The shape that new runs begin with; None before any has taken over."""
    build = found.worker_deployment_info.routing_config.current_deployment_version.build_id
    return int(build) if build.isdecimal() else None
