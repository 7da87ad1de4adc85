"""From the records to the journeys: many events at once, late ones, those in the wrong order, and those that cross."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.entering import sweeping
from records import events
from records.events import StoredEvent
from records.people import timeline
from records.runs import enrolments, standings
from tests.patience import PATIENCE
from tests.workflow.stage import Stage

HOUR, DAY, NONE = timedelta(hours=1), timedelta(days=1), timedelta()

THANKS = """
journey: thanks
title: Thanks
enter: {on: order.placed, with: {value: {at_least: 50}}, where: {tag: keen}}
re_enter: never
steps:
  - wait: 10d
"""
WAITS = """
journey: waits
title: Waits
enter: api
exit: [{on: customer.left, as: gone}]
goal: {on: order.placed, with: {kind: box}}
steps:
  - wait_for: {on: survey.answered, up_to: 2d}
    then: [{finish: answered}]
  - tag: went_on
  - wait_for: {on: survey.answered, up_to: 2d}
    then: [{finish: answered_later}]
"""


async def late(stage: Stage, customer: int, name: str, happened: timedelta, arrives: timedelta, **given: Any) -> None:
    """Let an event arrive later than it happened, everything before its arrival having come to pass."""
    await stage.time.meet(customer, stage.start + arrives, name)
    routed = await stage.parts.audience.ingest(
        customer, name, occurred_at=stage.start + happened, received_at=stage.start + arrives, properties=given
    )
    assert routed is not None
    await stage.time.moved(run for run in routed.woken if run.turn)
    await stage.settled(customer)


async def unrouted(stage: Stage) -> list[StoredEvent]:
    async with stage.engine.connect() as db:
        return await events.unrouted(db, limit=1000, older_than=stage.start + 100 * DAY)


async def waiting_for_a_lock(engine: AsyncEngine) -> None:
    """Return once some session of this database waits for another one."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(PATIENCE):
        while True:
            async with engine.connect() as db:
                if (await db.execute(text(query))).scalar_one():
                    return


# Many at once


async def test_of_many_events_those_that_concern_nobody_are_only_marked(stage: Stage) -> None:
    await stage.publish(THANKS)
    await stage.publish(WAITS)
    ann, bob = await stage.customer("Ann", tags=["keen"]), await stage.customer("Bob")
    run = await stage.enrol(bob, "waits")
    for customer in (ann, bob):
        for name, given in (("page.seen", {}), ("order.placed", {"value": 49}), ("survey.answered", {})):
            await stage.store(customer, name, HOUR, **given)
    wanted = await stage.store(ann, "order.placed", HOUR, value=50)
    await stage.store(bob, "order.placed", HOUR, value=50)
    routed = await stage.parts.audience.router.route_page(await unrouted(stage), stage.start)
    assert sorted(one.event.customer_id for one in routed) == [ann, bob, bob, bob]
    assert [one.event.name for one in routed if one.woken] == ["order.placed", "survey.answered", "order.placed"]
    assert [(one.event.id, run.journey) for one in routed for run in one.enrolled] == [(wanted.id, "thanks")]
    assert await unrouted(stage) == []
    assert await stage.handle(run).result() == "answered"


async def test_a_page_that_is_routed_again_enrols_and_wakes_nobody_twice(stage: Stage) -> None:
    await stage.publish(THANKS.replace("never", "always"))
    people = [await stage.customer(f"c{n}", tags=["keen"]) for n in range(5)]
    for customer in people:
        for _ in range(2):
            await stage.store(customer, "order.placed", -HOUR, value=60)
    page = await unrouted(stage)
    router = stage.parts.audience.router
    both = await asyncio.gather(*(router.route_page(page, stage.start) for _ in range(3)))
    assert any(both)
    assert [len(await stage.runs(one)) for one in people] == [2] * 5
    assert await router.route_page(page, stage.start) == []


async def test_the_events_of_one_customer_are_taken_in_the_order_in_which_they_occurred(stage: Stage) -> None:
    await stage.publish(THANKS)
    ann = await stage.customer("Ann", tags=["keen"])
    await stage.store(ann, "order.placed", -HOUR, value=90)
    earlier = await stage.store(ann, "order.placed", -2 * HOUR, value=80)
    await stage.parts.audience.router.route_page(await unrouted(stage), stage.start)
    [run] = await stage.runs(ann)
    assert (run.event_id, run.enrolled_at) == (earlier.id, stage.start - 2 * HOUR)


async def test_an_event_that_cannot_be_routed_keeps_no_other_from_its_way(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.publish(THANKS)
    ann, bob = await stage.customer("Ann", tags=["keen"]), await stage.customer("Bob", tags=["keen"])
    router = stage.parts.audience.router
    start = router.start

    async def refuses(run: enrolments.Enrolment) -> None:
        if run.customer_id == ann:
            raise RuntimeError("no way")
        await start(run)

    for customer in (ann, bob):
        await stage.store(customer, "order.placed", -HOUR, value=60)
    with monkeypatch.context() as patched:
        patched.setattr(router, "start", refuses)
        routed = await router.route_page(await unrouted(stage), stage.start)
    assert {one.event.customer_id: one.away for one in routed} == {ann: "no way", bob: None}
    assert [one.customer_id for one in await unrouted(stage)] == [ann]
    assert await stage.parts.sweeping.sweep() == 2  # the run without a workflow, and the event
    assert await unrouted(stage) == []
    await stage.pass_time(ann, NONE)
    assert [run.turn for run in await stage.runs(ann)] == [1]


async def test_of_two_sweeps_at_once_one_does_the_work(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "EVENTS", 10)
    ann = await stage.customer()
    for _ in range(35):
        await stage.store(ann, "page.seen", -DAY)
    done = await asyncio.gather(*(stage.parts.sweeping.sweep() for _ in range(3)))
    assert sum(done) == 35
    assert await unrouted(stage) == []


async def test_while_an_import_routes_its_events_a_sweep_leaves_them_to_it(stage: Stage) -> None:
    ann = await stage.customer()
    await stage.store(ann, "page.seen", -DAY)
    async with stage.engine.begin() as db:
        assert await events.alone(db, "routing")
        assert await stage.parts.sweeping.sweep() == 0
    assert await stage.parts.sweeping.sweep() == 1


# Crossing


async def test_an_event_that_crosses_with_the_turn_that_comes_to_await_it_wakes_the_run(stage: Stage) -> None:
    await stage.publish(WAITS)
    await stage.publish(THANKS)
    ann = await stage.customer()
    run = await stage.enrol(ann, "waits")
    async with stage.engine.begin() as db:
        # As if the run had not come to its wait yet.
        await db.execute(text("UPDATE enrolments SET awaiting = '{}'"))
    async with stage.engine.connect() as turn:
        await standings.lock(turn, run.id)
        event = await stage.store(ann, "survey.answered", HOUR)
        routing = asyncio.create_task(stage.parts.audience.router.route_page([event], stage.start))
        await waiting_for_a_lock(stage.engine)
        await turn.execute(text("UPDATE enrolments SET awaiting = '{survey.answered}'"))
        await turn.commit()
    [routed] = await routing
    assert [one.id for one in routed.woken] == [run.id]
    assert await stage.handle(run).result() == "answered"


async def test_nobody_publishes_between_the_question_who_hears_of_an_event_and_its_storing(stage: Stage) -> None:
    ann = await stage.customer(tags=["keen"])
    async with stage.engine.begin() as db:
        await events.keep_publications_out(db)
        publishing = asyncio.create_task(stage.publish(THANKS))
        await waiting_for_a_lock(stage.engine)
        assert "order.placed" not in await stage.parts.audience.router.triggers.heard(db)
        await events.store(db, customer_id=ann, name="order.placed", occurred_at=stage.start, received_at=stage.start,
                           value=99, routed=True)  # fmt: skip
    await publishing
    await stage.event(ann, "order.placed", HOUR, value=60)
    assert len(await stage.runs(ann)) == 1


async def test_an_event_that_no_journey_listens_to_is_routed_by_being_stored(stage: Stage) -> None:
    await stage.publish(WAITS)
    ann = await stage.customer()
    for name in ("page.seen", "survey.answered", "customer.left", "order.placed"):
        routed = await stage.parts.audience.ingest(ann, name, occurred_at=stage.start, received_at=stage.start)
        assert routed is not None
        assert (routed.event.routed_at is not None) == (name == "page.seen")
    assert await unrouted(stage) == []


# Late, and in the wrong order


@pytest.mark.parametrize(("happened", "outcome"), [(HOUR, "answered"), (-HOUR, None)])
async def test_an_event_that_arrives_late_counts_by_its_own_time_while_the_run_still_waits(
    stage: Stage, happened: timedelta, outcome: str | None
) -> None:
    await stage.publish(WAITS)
    ann = await stage.customer()
    run = await stage.enrol(ann, "waits")
    await late(stage, ann, "survey.answered", happened, DAY)
    assert (await stage.run(run.id)).outcome == outcome


async def test_an_event_that_arrives_after_the_run_went_on_does_not_count_and_stays_on_the_timeline(
    stage: Stage,
) -> None:
    await stage.publish(WAITS)
    ann = await stage.customer()
    run = await stage.enrol(ann, "waits")
    await stage.pass_time(ann, 2 * DAY)
    assert "went_on" in (await stage.person(ann)).tags
    await late(stage, ann, "survey.answered", DAY, 3 * DAY)
    assert (await stage.run(run.id)).outcome is None
    await late(stage, ann, "survey.answered", 3 * DAY, 3 * DAY + HOUR)
    assert (await stage.run(run.id)).outcome == "answered_later"
    async with stage.engine.connect() as db:
        seen = [one.at for one in await timeline.timeline(db, ann) if "survey.answered" in one.title]
    assert seen == [stage.start + DAY, stage.start + 3 * DAY]


@pytest.mark.parametrize(("ordered", "reached"), [(HOUR, 1), (3 * HOUR, 0)])
async def test_of_a_goal_and_an_exit_that_arrive_together_only_what_came_first_counts(
    stage: Stage, ordered: timedelta, reached: int
) -> None:
    await stage.publish(WAITS)
    ann = await stage.customer()
    run = await stage.enrol(ann, "waits")
    await stage.time.meet(ann, stage.start + 4 * HOUR, "customer.left")
    await stage.store(ann, "customer.left", 2 * HOUR)
    await stage.store(ann, "order.placed", ordered, kind="box")
    await stage.parts.audience.router.route_page(await unrouted(stage), stage.start)
    assert await stage.handle(run).result() == "gone"
    assert await counted(stage) == reached


async def counted(stage: Stage) -> int:
    async with stage.engine.connect() as db:
        return int((await db.execute(text("SELECT count(*) FROM goals"))).scalar_one())
