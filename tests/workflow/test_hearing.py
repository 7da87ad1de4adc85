"""Which events a wait hears: those since the run was last awake, each once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from tests.workflow.stage import Stage
from tests.workflow.test_sending import over

DAY = timedelta(days=1)

ASKS = """
journey: asks
title: Asks
enter: api
steps:
  - wait: 1d
  - send: email/welcome
  - wait_for: {on: task.done, up_to: 5d}
    then: [{finish: heard}]
  - finish: missed
"""

TWICE = """
journey: twice
title: Twice
enter: api
steps:
  - wait_for: {on: order.placed, up_to: 5d}
  - tag: once
  - wait_for: {on: order.placed, up_to: 5d}
    then: [{finish: again}]
  - finish: never_again
"""


async def test_an_event_that_comes_while_the_mail_before_the_wait_is_put_off_is_not_missed(
    engine: AsyncEngine, client: Client, tmp_path: Path
) -> None:
    async with over(engine, client, tmp_path, {"mail": "451 4.3.2 later"}) as (stage, scripted):
        await stage.publish(ASKS)
        ann = await stage.customer()
        run = await stage.enrol(ann, "asks")
        await stage.pass_time(ann, DAY)
        assert "451 4.3.2 later" in str((await stage.run(run.id)).because)
        await stage.store(ann, "task.done", DAY + timedelta(seconds=30))
        scripted.answers = {}
        await stage.pass_time(ann, 2 * DAY)
        assert (await stage.run(run.id)).outcome == "heard"


async def test_an_event_before_the_last_wait_ended_is_not_heard_by_the_next(stage: Stage) -> None:
    await stage.publish(ASKS)
    ann = await stage.customer()
    run = await stage.enrol(ann, "asks")
    await stage.store(ann, "task.done", timedelta(hours=12))
    await stage.pass_time(ann, 8 * DAY)
    assert (await stage.run(run.id)).outcome == "missed"


async def test_an_event_whose_clock_runs_ahead_ends_one_wait_and_not_two(stage: Stage) -> None:
    await stage.publish(TWICE)
    ann = await stage.customer()
    run = await stage.enrol(ann, "twice")
    await stage.time.meet(ann, stage.start + DAY, "order.placed")
    routed = await stage.parts.audience.ingest(
        ann, "order.placed", occurred_at=stage.start + 2 * DAY, received_at=stage.start + DAY
    )
    assert routed is not None
    await stage.time.moved(routed.woken)
    assert "once" in (await stage.person(ann)).tags
    await stage.pass_time(ann, 9 * DAY)
    assert (await stage.run(run.id)).outcome == "never_again"
