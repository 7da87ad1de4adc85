"""One worker process: `python -m workers.worker`, or `waymark worker` for as many as the machine has cores.

It polls three task queues: `waymark` (workflows and the turns of runs), `waymark-email` and `waymark-sms`
(deliveries), so that each channel has its own rate and can be stopped by itself.
"""

import asyncio
import logging
import pkgutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

import journeys
from journeys.errors import WaymarkError
from journeys.instruction import QUEUE, channel_queue
from journeys.workflow import SHAPE
from workers import schedules, temporal, versioning
from workers.child import announce, until_told_to_stop
from workers.composition import Composition, compose
from workers.leaving import leave
from workers.settings import Settings, load_settings

GRACE = timedelta(seconds=20)
"""How long a delivery that has begun may go on after the worker was told to stop."""

log = logging.getLogger(__name__)

WORKFLOW_MODULES = ("journeys.workflow", "journeys.salestask")
"""The modules of `journeys` that the sandbox runs anew for each workflow."""


def sandbox() -> SandboxedWorkflowRunner:
    """Runs workflow code without time, chance or I/O.

    All that is ours but the workflow itself is imported once only: a second import of the models for every
    replayed run would cost three times the replay.
    """
    pure = [f"journeys.{module.name}" for module in pkgutil.iter_modules(journeys.__path__)]
    passed = [name for name in pure if name not in WORKFLOW_MODULES]
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(
            *passed, "activities", "records", "pydantic", "pydantic_core", "sqlalchemy", "ruamel"
        )
    )


def build(parts: Composition, *, shape: int = SHAPE, **limits: Any) -> list[Worker]:
    """The workers of one process, not yet running, for runs of one shape of the workflow.

    `limits` are the SDK's, such as `max_concurrent_activities`.
    """
    rates = {
        channel_queue("email"): parts.settings.email_per_second,
        channel_queue("sms"): parts.settings.sms_per_second,
    }
    return [
        Worker(
            parts.client,
            task_queue=queue,
            workflows=parts.workflows if queue == QUEUE else [],
            activities=activities,
            **_version(queue, shape),
            workflow_runner=sandbox(),
            graceful_shutdown_timeout=GRACE,
            max_task_queue_activities_per_second=rates.get(queue),
            **limits,
        )
        for queue, activities in parts.activities.items()
    ]


def _version(queue: str, shape: int) -> dict[str, Any]:
    """Only who runs workflows has a shape; deliveries may be made by a worker of any release."""
    if queue == QUEUE:
        return {"deployment_config": versioning.deployment(shape)}
    # Without it the SDK reads and hashes every loaded module to find one: seconds at every start.
    return {"build_id": f"waymark-{version('waymark')}"}


@asynccontextmanager
async def working(parts: Composition, *, shape: int = SHAPE, **limits: Any) -> AsyncIterator[None]:
    """The workers of one process for the length of the block, taking new runs from its beginning on."""
    async with AsyncExitStack() as running:
        for one in build(parts, shape=shape, **limits):
            await running.enter_async_context(one)
        await versioning.take_over(parts.client, shape)
        yield


async def run(
    parts: Composition, stop: Callable[[], Awaitable[None]], *, ready: Callable[[], None] = lambda: None
) -> None:
    """Work until `stop` returns; then take nothing new and finish what has begun.

    A server that goes away is waited for. Raises what a worker itself raises when it cannot go on.
    """
    workers = build(parts)
    runs = [asyncio.create_task(worker.run()) for worker in workers]
    stopping = asyncio.ensure_future(stop())
    starting = asyncio.create_task(_start(workers, parts.client))
    try:
        await asyncio.wait([*runs, stopping, starting], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            ready()
            await asyncio.wait([*runs, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        starting.cancel()
        await asyncio.gather(*(worker.shutdown() for worker in workers if worker.is_running))
        await asyncio.gather(*runs)


async def _start(workers: list[Worker], client: Client) -> None:
    """Return once all of them poll and new runs come to them, where that is theirs to decide."""
    while not all(worker.is_running for worker in workers):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        if not await versioning.take_over(client):
            log.warning("workers of a newer release are at work; this one serves only runs that began before it")
    except WaymarkError as error:
        log.warning("%s %s", error.message, error.hint)


async def main(settings: Settings) -> None:
    """One worker process from start to end."""
    async with compose(settings, patient=True) as parts:
        try:
            await temporal.ensure_search_attributes(parts.client)
        except WaymarkError as error:
            log.warning("%s %s", error.message, error.hint)
        await schedules.ensure(parts.client, parts.settings.workspace_time_zone)
        await run(parts, until_told_to_stop, ready=announce)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(main(load_settings()))
    except WaymarkError as error:
        sys.stderr.write(f"{error.message}\n")
        leave(1)
    except Exception:
        logging.exception("the worker cannot go on")
        leave(70)
    leave(0)
