"""A run stays with workers whose workflow has the shape it began with, and goes on with the newest one afresh."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import VersioningBehavior
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentManagerRequest,
)
from temporalio.client import Client

from journeys.workflow import SHAPE
from records.runs.enrolments import Enrolment
from tests.patience import PATIENCE
from tests.temporal import Namespaces, new_namespace
from tests.workflow.stage import Stage
from workers import histories, versioning, worker
from workers.histories import Kept
from workers.server.devserver import DevServer
from workers.versioning import DEPLOYMENT, NotAllowed, Shape

DAY = timedelta(days=1)
NEWER = SHAPE + 1
DAYS = 12
PATIENT = "journey: patient\ntitle: Patient\nenter: api\nsteps:\n" + "  - wait: 1d\n" * DAYS


@pytest.fixture(scope="module")
async def untouched(server: DevServer) -> AsyncIterator[Namespaces]:
    """Namespaces that have never seen a worker."""
    async with Namespaces(server, new_namespace) as made:
        yield made


@pytest.fixture
async def client(server: DevServer, untouched: Namespaces) -> Client:
    """A client of a namespace that has never seen a worker."""
    return await Client.connect(server.address, namespace=await untouched.next())


async def shape_of(stage: Stage, run: Enrolment) -> str:
    """The shape that a run is pinned to: one that starts afresh is to none until a worker has taken it up."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = (await stage.handle(run).describe()).raw_description.workflow_execution_info.versioning_info
            if found.behavior == VersioningBehavior.VERSIONING_BEHAVIOR_PINNED:
                return found.deployment_version.build_id
            await asyncio.sleep(0.02)


async def current(stage: Stage) -> str:
    """The shape that new runs begin with."""
    answer = await stage.client.workflow_service.describe_worker_deployment(
        DescribeWorkerDeploymentRequest(namespace=stage.client.namespace, deployment_name=DEPLOYMENT)
    )
    return answer.worker_deployment_info.routing_config.current_deployment_version.build_id


async def enter(stage: Stage, name: str) -> Enrolment:
    return await stage.enrol(await stage.customer(name), "patient")


async def test_a_run_is_pinned_to_the_shape_it_began_with_and_a_new_one_begins_with_the_newest(stage: Stage) -> None:
    await stage.publish(PATIENT)
    old = await enter(stage, "Old")
    async with worker.working(stage.parts, shape=NEWER):
        new = await enter(stage, "New")
        assert (await shape_of(stage, old), await shape_of(stage, new)) == ("1", "2")


async def test_a_run_goes_on_with_the_newest_shape_at_a_rest_and_nothing_is_lost(stage: Stage) -> None:
    await stage.publish(PATIENT)
    run = await enter(stage, "Old")
    async with worker.working(stage.parts, shape=NEWER):
        # Servers tell each other of the new shape by and by: the run hears of it at one of its next turns.
        for day in range(1, DAYS - 1):
            await stage.pass_time(run.customer_id, day * DAY)
            if await shape_of(stage, run) == str(NEWER):
                break
        assert await shape_of(stage, run) == str(NEWER)
        await stage.pass_time(run.customer_id, (DAYS + 1) * DAY)
        assert await stage.handle(run).result() == "completed"
    assert [kind for kind, _ in await stage.path(run.id)].count("wait") == DAYS
    assert (await stage.run(run.id)).status == "finished"


async def test_a_worker_of_an_older_release_takes_nothing_back(stage: Stage) -> None:
    async with worker.working(stage.parts, shape=NEWER):
        assert not await versioning.take_over(stage.client, SHAPE)
        assert await current(stage) == str(NEWER)


async def test_any_number_of_workers_may_take_over_at_once(stage: Stage) -> None:
    async with worker.working(stage.parts, shape=NEWER):
        took = await asyncio.gather(*(versioning.take_over(stage.client, shape) for shape in (NEWER, SHAPE) * 5))
    assert took == [True, False] * 5
    assert await current(stage) == str(NEWER)


async def test_whoever_manages_the_deployment_decides(stage: Stage) -> None:
    await stage.client.workflow_service.set_worker_deployment_manager(
        SetWorkerDeploymentManagerRequest(
            namespace=stage.client.namespace, deployment_name=DEPLOYMENT, manager_identity="the platform team",
            identity="the platform team",
        )
    )  # fmt: skip
    with pytest.raises(NotAllowed, match="the platform team") as refused:
        await versioning.take_over(stage.client, NEWER)
    assert refused.value.hint is not None
    assert f"--build-id {NEWER}" in refused.value.hint


async def test_a_sweep_is_run_by_the_workers_of_the_newest_shape(stage: Stage) -> None:
    async with worker.working(stage.parts, shape=NEWER):
        assert await stage.client.execute_workflow("Sweep", id="sweep", task_queue="waymark") == 0
        history = Kept("sweep", await stage.client.get_workflow_handle("sweep").fetch_history())
    assert history.shape == str(NEWER)


async def test_who_works_on_each_shape_and_how_many_runs_need_them_can_be_told(stage: Stage) -> None:
    await stage.publish(PATIENT)
    for name in ("Ada", "Bob"):
        await enter(stage, name)
    assert await told(stage, 2) == [Shape("1", runs=2, workers=1, current=True)]
    await stage.client.workflow_service.set_worker_deployment_current_version(
        SetWorkerDeploymentCurrentVersionRequest(
            namespace=stage.client.namespace, deployment_name=DEPLOYMENT, build_id="9", allow_no_pollers=True,
            ignore_missing_task_queues=True,
        )
    )  # fmt: skip
    first, last = await told(stage, 2)
    assert (first, last) == (Shape("1", 2, 1, False), Shape("9", 0, 0, True))
    assert (first.stranded, last.stranded) == (False, True)


async def told(stage: Stage, runs: int) -> list[Shape]:
    """The shapes, once the server's listing has caught up with so many runs."""
    async with asyncio.timeout(PATIENCE):
        found: list[Shape] = []
        while sum(one.runs for one in found) < runs:
            found = await versioning.shapes(stage.client)
    return found


@pytest.mark.parametrize(("runs", "workers", "is_current", "stranded"), [
    (3, 0, False, True), (0, 0, True, True), (0, 0, False, False), (3, 1, False, False), (0, 1, True, False),
])  # fmt: skip
def test_a_shape_without_workers_is_stranded_while_it_is_needed(
    runs: int, workers: int, is_current: bool, stranded: bool
) -> None:
    assert Shape("1", runs, workers, is_current).stranded is stranded


async def test_before_the_first_worker_no_shape_is_known(client: Client) -> None:
    assert await versioning.shapes(client) == []


async def test_a_sample_of_open_runs_is_spread_over_journeys_and_versions_and_replays(stage: Stage) -> None:
    await stage.publish(PATIENT.replace("patient", "one"))
    await stage.publish(PATIENT.replace("patient", "two"))
    for number in range(4):
        await stage.enrol(await stage.customer(f"One{number}"), "one")
    await stage.enrol(await stage.customer("Two"), "two")
    await stage.publish(PATIENT.replace("patient", "two").replace("1d", "2d"))
    await stage.enrol(await stage.customer("Three"), "two")
    await told(stage, 6)

    runs = await histories.sample(stage.client, 3)
    maps = [tuple(run.search_attributes[name][0] for name in ("WaymarkJourney", "WaymarkVersion")) for run in runs]
    assert sorted(maps) == [("one", 1), ("two", 1), ("two", 2)]
    assert len(await histories.sample(stage.client, 5)) == 5
    everybody = await histories.sample(stage.client, 50)
    assert len({run.id for run in everybody}) == len(everybody) == 6
    replayed = [result async for result in histories.replay(histories.fetch(stage.client, everybody))]
    assert [result.because for result in replayed] == [None] * 6
    assert {result.name for result in replayed} == {run.id for run in everybody}


async def test_runs_of_another_shape_are_left_to_their_workers(stage: Stage) -> None:
    await stage.publish(PATIENT)
    async with worker.working(stage.parts, shape=NEWER):
        run = await enter(stage, "New")
        kept = Kept("new", await stage.handle(run).fetch_history())
        assert (kept.shape, kept.ours) == (str(NEWER), False)
        await told(stage, 1)
        assert await histories.sample(stage.client, 50) == []
