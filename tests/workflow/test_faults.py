"""Databases, workers and histories that go away in the middle: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import ExceptionContext, delete
from sqlalchemy.event import listen
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.testing import TimeSkipper

from journeys.instruction import Event
from records.runs.enrolments import Enrolment
from records.tables import customers
from tests.workflow.stage import Stage, staged
from workers import worker
from workers.server.postgres import EmbeddedPostgres

DAY = timedelta(days=1)
NONE = timedelta()

LONG = """
journey: long
title: Long
enter: api
exit: [{on: customer.left, as: gone}]
steps:
  - send: email/welcome
  - wait: 2d
  - score: {points: 5, because: stayed}
  - send: email/brew_guide
  - wait_for: {on: email.clicked, message: email/brew_guide, up_to: 40d}
    then: [{finish: clicked}]
    else: [{send: email/first_order}]
  - wait: 2d
"""


async def reset(stage: Stage, run: Enrolment) -> None:
    """Reset a workflow to its first task, as an operator does in the Temporal UI."""
    await stage.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=stage.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=stage.handle(run).id),
            reason="a test",
            workflow_task_finish_event_id=await first_task(stage, run),
            request_id="reset",
        )
    )


async def first_task(stage: Stage, run: Enrolment) -> int:
    history = await stage.handle(run).fetch_history()
    return next(
        event.event_id for event in history.events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    )


async def subjects(stage: Stage) -> int:
    return len(stage.mailbox.to("ann@customers.example"))


async def test_a_run_that_is_reset_catches_up_from_the_records_and_sends_nothing_twice(stage: Stage) -> None:
    await stage.publish(LONG)
    ann = await stage.customer()
    run = await stage.enrol(ann, "long")
    await stage.pass_time(ann, 3 * DAY)
    before, path = await stage.run(run.id), await stage.path(run.id)
    await reset(stage, run)
    state = None
    while state is None:  # until the fresh run has asked where it stands
        state = await stage.handle(run).query("state")
    assert (state["turn"], state["step"]) == (before.turn, before.step)
    await stage.event(ann, "email.clicked", 4 * DAY, message="email/brew_guide")
    assert (await stage.run(run.id)).outcome == await stage.handle(run).result() == "clicked"
    assert (await stage.path(run.id))[: len(path)] == path
    assert [touch.message for touch in await stage.touches(ann)] == ["email/welcome", "email/brew_guide"]
    assert await subjects(stage) == 2
    assert (await stage.person(ann)).score == 5


async def test_a_run_that_has_ended_and_is_reset_ends_again_with_the_same_outcome(stage: Stage) -> None:
    await stage.publish(LONG)
    ann = await stage.customer()
    run = await stage.enrol(ann, "long")
    await stage.event(ann, "customer.left", DAY)
    await reset(stage, run)
    assert await stage.handle(run).result() == "gone"
    assert await subjects(stage) == 1


async def test_a_worker_that_is_stopped_in_the_middle_is_followed_by_another(
    engine: AsyncEngine, client: Client, tmp_path: Path
) -> None:
    async with staged(engine, client, tmp_path, workers=0) as stage:
        await stage.publish(LONG)
        ann = await stage.customer()
        async with worker.working(stage.parts):
            run = await stage.enrol(ann, "long")
        at = stage.start + DAY
        await stage.parts.audience.ingest(ann, "weather.changed", occurred_at=at, received_at=at)
        async with worker.working(stage.parts):
            await stage.pass_time(ann, 3 * DAY)
        # An event that comes while no worker runs is there for the next one.
        at = stage.start + 4 * DAY
        properties = {"message": "email/brew_guide"}
        await stage.parts.audience.ingest(ann, "email.clicked", occurred_at=at, received_at=at, properties=properties)
        async with worker.working(stage.parts):
            assert await stage.handle(run).result() == "clicked"
        assert await subjects(stage) == 2


async def test_two_workers_share_the_runs_and_nobody_gets_a_message_twice(
    engine: AsyncEngine, client: Client, tmp_path: Path
) -> None:
    async with staged(engine, client, tmp_path, workers=2) as stage:
        await stage.publish(LONG)
        people = [await stage.customer(f"P{number}") for number in range(6)]
        runs = await asyncio.gather(*(stage.enrol(customer, "long") for customer in people))
        await asyncio.gather(*(stage.pass_time(customer, 3 * DAY) for customer in people))
        assert [(await stage.run(run.id)).step for run in runs] == ["wait-for-email-clicked"] * len(people)
        for number in range(6):
            assert len(stage.mailbox.to(f"p{number}@customers.example")) == 2


class Outage:
    """The database of one test, taken away and given back."""

    def __init__(self, connection: psycopg.Connection, engine: AsyncEngine) -> None:
        self.refused = asyncio.Event()
        self._name = engine.url.database
        self._connection = connection
        listen(engine.sync_engine, "handle_error", self._met)

    def _met(self, problem: ExceptionContext) -> None:
        # A connection that is found dead before its use is merely replaced; only the replacement can be refused.
        if not problem.is_pre_ping:
            self.refused.set()

    async def begin(self) -> None:
        """Cut all connections and take no new ones."""
        self._allow(False)
        self._connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self._name]
        )

    async def end(self) -> None:
        """Come back, but not before somebody has met with a refusal."""
        await self.refused.wait()
        self._allow(True)

    def _allow(self, allowed: bool) -> None:
        statement = "ALTER DATABASE {} ALLOW_CONNECTIONS {}"
        self._connection.execute(sql.SQL(statement).format(sql.Identifier(self._name or ""), sql.SQL(str(allowed))))


@pytest.fixture
def outage(postgres: EmbeddedPostgres, engine: AsyncEngine) -> Iterator[Outage]:
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        yield Outage(connection, engine)


@pytest.mark.parametrize(
    "steps", ["  - wait: 1d\n  - tag: went_on\n", "  - wait: 1d\n  - send: email/welcome\n  - tag: went_on\n"]
)
async def test_a_database_that_is_away_at_a_turn_is_waited_for(stage: Stage, outage: Outage, steps: str) -> None:
    await stage.publish(f"journey: brief\ntitle: Brief\nenter: api\nsteps:\n{steps}")
    ann = await stage.customer()
    run = await stage.enrol(ann, "brief")
    await outage.begin()
    skipping = asyncio.create_task(TimeSkipper(stage.client).fast_forward(stage.handle(run), 2 * DAY))
    await outage.end()
    assert await stage.handle(run).result() == "completed"
    await skipping
    assert (await stage.person(ann)).tags == ["went_on"]
    assert await subjects(stage) == steps.count("send")


async def test_a_message_that_has_gone_is_recorded_as_sent_when_the_database_comes_back(
    stage: Stage, outage: Outage
) -> None:
    await stage.publish(LONG)
    ann = await stage.customer()
    entering = asyncio.create_task(stage.parts.audience.router.enrol(ann, "long", source="api", now=datetime.now(UTC)))

    async def begin() -> None:
        await entering  # which writes down that the run was started, while the run is sending already
        await outage.begin()

    stage.mailbox.meanwhile = begin
    await outage.end()
    await stage.time.moved([replace(await entering, turn=1)])
    assert [touch.status for touch in await stage.touches(ann)] == ["sent"]
    assert await subjects(stage) == 1


async def erase(stage: Stage, customer: int) -> None:
    async with stage.engine.begin() as db:
        await db.execute(delete(customers).where(customers.c.id == customer))


async def test_a_customer_who_is_erased_ends_the_run_at_its_next_turn_and_gets_nothing_more(stage: Stage) -> None:
    await stage.publish(LONG)
    ann, bob = await stage.customer("Ann"), await stage.customer("Bob")
    timed, told = await stage.enrol(ann, "long"), await stage.enrol(bob, "long")
    for customer in (ann, bob):
        await erase(stage, customer)
    await TimeSkipper(stage.client).fast_forward(stage.handle(timed), 3 * DAY)
    await stage.handle(told).signal("happened", Event("1", "customer.left", stage.start))
    assert [await stage.handle(run).result() for run in (timed, told)] == ["erased", "erased"]
    assert len(stage.mailbox.messages) == 2


async def test_a_customer_who_is_erased_while_a_message_leaves_ends_the_run(stage: Stage) -> None:
    await stage.publish(LONG)
    ann = await stage.customer()
    stage.mailbox.meanwhile = lambda: erase(stage, ann)
    run = await stage.parts.audience.router.enrol(ann, "long", source="api", now=datetime.now(UTC))
    assert await stage.handle(run).result() == "erased"
    assert await subjects(stage) == 1


async def test_after_a_month_a_run_starts_afresh_and_forgets_neither_its_place_nor_what_came_meanwhile(
    stage: Stage,
) -> None:
    await stage.publish(LONG)
    ann = await stage.customer()
    run = await stage.enrol(ann, "long")
    await stage.pass_time(ann, 3 * DAY)
    first = await stage.handle(run).describe()
    weather = Event("weather/1", "weather.changed", stage.start)

    async def signal() -> None:
        await stage.handle(run).signal("happened", weather)

    stage.mailbox.meanwhile = signal  # while the third mail leaves, at the end of forty days
    await stage.pass_time(ann, 43 * DAY)
    fresh = await stage.execution_after(run, first.run_id)
    assert "long v1: **wait-2d-2** (waiting)" in await stage.details(run)
    assert {pair.key.name: pair.value for pair in fresh.typed_search_attributes}["WaymarkJourney"] == "long"
    at_rest = await stage.run(run.id)
    assert at_rest.step == "wait-2d-2"
    await stage.time.moved([replace(at_rest, turn=at_rest.turn - 1)])
    woken = (await stage.handle(run).query("state"))["turn"]
    await stage.handle(run).signal("happened", weather)  # again: dropped
    assert (await stage.handle(run).query("state"))["turn"] == woken
    await stage.pass_time(ann, 46 * DAY)
    assert (await stage.run(run.id)).outcome == await stage.handle(run).result() == "completed"
    assert [line.turn for line in await stage.lines(run.id)] == sorted(line.turn for line in await stage.lines(run.id))
    assert await subjects(stage) == 3
