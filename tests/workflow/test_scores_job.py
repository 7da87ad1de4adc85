"""Rescoring everybody as a job: killed anywhere it goes on, nothing counts twice, and sales is not flooded."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from activities.figures import scoring as activity
from journeys.figures import Rescored, RescoringOrder
from journeys.instruction import QUEUE
from journeys.scoring import Scoring
from records import tables
from records.audience import rulebooks, scores, scoring
from records.people import upserts
from tests.patience import PATIENCE
from tests.workflow.stage import Stage
from workers import schedules

DAY = timedelta(days=1)
RULES: dict[str, Any] = {
    "half_life": "10d",
    "fit": [{"name": "vip", "when": {"tag": "vip"}, "points": 12}],
    "engagement": [{"name": "ordered", "on": "order.placed", "points": 30, "half_life": "never"},
                   {"name": "opened", "on": "email.opened", "points": 4}],
    "grades": {"fit": {"A": 12, "B": 2, "C": 1}, "activity": {"1": 60, "2": 30, "3": 10}},
}  # fmt: skip

FIRST = "journey: first\ntitle: First\nenter: {on: lifecycle.changed, with: {to: nurture}}\nsteps: [{wait: 9d}]\n"


def order(*, hand_over: bool = False, rules: dict[str, Any] = RULES, digest: str = "d1") -> RescoringOrder:
    return RescoringOrder(rules, digest, "marie", hand_over)


async def rescore(stage: Stage, wanted: RescoringOrder, name: str = "rescoring") -> Rescored:
    done: Rescored = await stage.client.execute_workflow(
        "Rescoring", wanted, id=name, task_queue=QUEUE, result_type=Rescored
    )
    return done


async def people(stage: Stage, count: int, **columns: Any) -> list[int]:
    return [await stage.customer(f"c{n}", **columns) for n in range(count)]


async def score(stage: Stage, who: int) -> tuple[int, int, str | None]:
    c = tables.customers.c
    async with stage.engine.connect() as db:
        row = (await db.execute(select(c.score, c.fit, c.grade).where(c.id == who))).one()
        return row.score, row.fit, row.grade


async def rows(stage: Stage, table: Any) -> int:
    async with stage.engine.connect() as db:
        return int((await db.execute(select(func.count()).select_from(table))).scalar_one())


async def store(stage: Stage, who: int, name: str, times: int = 1, **properties: Any) -> None:
    for _ in range(times):
        await stage.store(who, name, -DAY, **properties)


async def test_everybody_is_rescored_page_by_page_and_once_more_changes_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "PAGE", 2)
    monkeypatch.setattr(activity, "PAGES", 2)
    found = await people(stage, 11, tags=("vip",))
    await store(stage, found[0], "order.placed")
    assert await rescore(stage, order()) == Rescored(found[-1], 11, 11, True)
    assert await score(stage, found[0]) == (42, 12, "A2")
    assert await score(stage, found[10]) == (12, 12, "A4")
    assert (await rescore(stage, order(), "again")).changed == 0
    assert await rows(stage, tables.fits) == 11
    assert await rows(stage, tables.score_entries) == 0
    async with stage.engine.connect() as db:
        book = await rulebooks.find(db, "scoring")
    assert book is not None
    assert (book.published_by, book.digest, book.applied_at is None) == ("marie", "d1", False)


@pytest.mark.parametrize("dies_at", range(1, 6))
async def test_a_page_that_dies_is_done_again_and_counts_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    monkeypatch.setattr(activity, "PAGE", 2)
    found = await people(stage, 7)
    for who in found:
        await store(stage, who, "order.placed")
        async with stage.engine.begin() as db:
            await scores.add(db, who, 5, "asked", stage.start)
    whole, calls = scoring.apply, 0

    async def dying(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == dies_at:
            await whole(*args)
            raise RuntimeError("the machine is gone")
        return await whole(*args)

    monkeypatch.setattr(scoring, "apply", dying)
    done = await rescore(stage, order())
    assert (done.seen >= 7, done.finished) == (True, True)
    assert {await score(stage, who) for who in found} == {(35, 0, "D2")}
    assert await rows(stage, tables.fits) == 7
    assert await rows(stage, tables.score_entries) == 7


async def test_new_rules_alone_hand_nobody_over_and_what_happens_afterwards_does(stage: Stage) -> None:
    above, below = await stage.customer("Ann"), await stage.customer("Bob")
    await store(stage, above, "order.placed", 2)
    await store(stage, below, "order.placed", 1)
    await rescore(stage, order())
    assert await score(stage, above) == (60, 0, "D1")
    assert await stage.tasks() == []
    await stage.event(below, "order.placed", timedelta(hours=1))
    assert [one.customer_id for one in await stage.tasks()] == [below]


async def test_whoever_reaches_the_threshold_by_new_rules_is_handed_over_when_that_is_asked_for(stage: Stage) -> None:
    found = await people(stage, 3)
    await store(stage, found[1], "order.placed", 2)
    await rescore(stage, order(hand_over=True))
    assert [one.customer_id for one in await stage.tasks()] == [found[1]]
    await rescore(stage, order(hand_over=True), "again")
    assert len(await stage.tasks()) == 1


async def test_an_event_changes_its_customers_score_at_once(stage: Stage) -> None:
    ann = await stage.customer("Ann")
    await rescore(stage, order())
    await stage.event(ann, "email.opened", timedelta(hours=1))
    assert await score(stage, ann) == (4, 0, "D4")


async def test_without_rules_events_change_no_score(stage: Stage) -> None:
    ann = await stage.customer("Ann", tags=("vip",))
    await stage.event(ann, "order.placed", timedelta(hours=1))
    assert await score(stage, ann) == (0, 0, None)


async def test_scores_fade_by_night_and_a_rise_of_fit_hands_over(stage: Stage) -> None:
    ann, bob = await stage.customer("Ann"), await stage.customer("Bob")
    rules = RULES | {"fit": [{"name": "plan", "when": {"field": {"name": "plan", "is": "office"}}, "points": 60}]}
    await store(stage, bob, "email.opened")
    await rescore(stage, order(rules=rules))
    async with stage.engine.begin() as db:
        await upserts.set_fields(db, ann, {"plan": "office"}, because="test", enrolment_id=None, now=stage.start)
    later = datetime.now(UTC) + 40 * DAY
    done = await stage.parts.scoring.rescore_all(later)
    assert done.changed == 2
    assert await score(stage, ann) == (60, 60, "A4")
    assert await score(stage, bob) == (0, 0, "D4")
    assert [one.customer_id for one in await stage.tasks()] == [ann]


async def test_by_night_values_stages_and_scores_follow_one_another(stage: Stage) -> None:
    ann = await stage.customer("Ann")
    await stage.publish(FIRST)
    async with stage.engine.begin() as db:
        rules = RULES | {"fit": [{"name": "bought", "when": {"lifecycle": "nurture"}, "points": 7}]}
        await rulebooks.publish(db, "scoring", rules, "d1", by="marie", now=stage.start)
    assert await stage.client.execute_workflow("NightlyFigures", id="night", task_queue=QUEUE, result_type=int) == 0
    await store(stage, ann, "order.placed")
    await stage.client.execute_workflow("NightlyFigures", id="night", task_queue=QUEUE, result_type=int)
    assert await score(stage, ann) == (37, 7, "B2")
    assert [run.journey for run in await stage.runs(ann)] == ["first"]


async def test_an_order_moves_its_customer_on_and_journeys_hear_of_it(stage: Stage) -> None:
    await stage.publish(
        "journey: first\ntitle: F\nenter: {on: lifecycle.changed, with: {to: nurture}}\nsteps: [{wait: 9d}]\n"
    )
    await stage.parts.valuing.refresh_all(stage.start)
    ann = await stage.customer("Ann")
    await stage.event(ann, "order.placed", timedelta(hours=1), 20)
    [run] = await stage.runs(ann)
    assert (run.journey, run.enrolled_at) == ("first", stage.start + timedelta(hours=1))


def test_the_rules_of_these_tests_are_rules() -> None:
    assert Scoring.model_validate(RULES).engagement[0].points == 30


async def test_figures_are_worked_out_every_night_where_the_workspace_is(stage: Stage) -> None:
    names = (schedules.SWEEP, schedules.DATES, schedules.SEGMENTS, schedules.SALES, schedules.FIGURES)
    handle = stage.client.get_schedule_handle(schedules.FIGURES)
    try:
        for zone in ("Asia/Shanghai", "Europe/Berlin"):
            await schedules.ensure(stage.client, zone)
            due = (await handle.describe()).info.next_action_times[0]
            assert due.astimezone(ZoneInfo(zone)).strftime("%H:%M") == "04:15"
        await handle.trigger()
        async with asyncio.timeout(PATIENCE):
            while not (recent := (await handle.describe()).info.recent_actions):
                await asyncio.sleep(0.05)
            started: Any = recent[0].action
            assert await stage.client.get_workflow_handle(started.workflow_id).result() == 0
    finally:
        for name in names:
            await stage.client.get_schedule_handle(name).delete()
