"""Leads and tasks where it gets uneven: records that are merged, reps who are away or gone, times that are over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.calendar import Calendar
from activities.entering.audience import Router
from activities.entering.entrance import Entrance
from activities.sales.handoff import Handoff
from activities.sales.keepers import Keepers
from activities.sales.office import Office
from activities.sales.salesday import read_day
from activities.sales.sweeping import SalesSweeping
from activities.turns.programs import Programs
from journeys import sales
from journeys.errors import WaymarkError
from journeys.sales import Sales
from journeys.salestask import Look
from journeys.source import Source
from journeys.steps.effects import TaskDetails
from journeys.team import Rep, Working
from records.people import customers, merging
from records.sales import assignments, notices, pipeline, tasks
from records.sales.taking import TaskFinished
from records.sales.tasks import Task
from tests.integration.test_sales_desk import DAY, HOUR, NOW, all_tasks, earn, lead, office, team

FRIDAY_NIGHT = datetime(2026, 3, 6, 22, tzinfo=UTC)


async def swept(engine: AsyncEngine, rules: Sales, now: datetime) -> list[Task]:
    """The tasks that are there after a sweep; no Temporal server is there to start their workflows."""
    client = await Client.connect("127.0.0.1:9", lazy=True)
    programs = Programs()
    router = Router(engine, client, programs, Entrance(programs, "UTC"), Calendar())
    of = Office(engine, rules, Calendar(), "UTC")
    await SalesSweeping(of, router, Handoff(rules, frozenset(), "UTC"), Keepers(of, client))._hand_over(now)
    return await all_tasks(engine)


async def merge(engine: AsyncEngine, kept: int, gone: int) -> int:
    async with engine.begin() as db:
        return await merging.merge(db, kept, gone, by="somebody", because=None, now=NOW)


async def given(engine: AsyncEngine, rules: Sales, points: Sequence[int]) -> list[int]:
    """Leads with so many points each."""
    people = [await lead(engine, f"c{number}") for number in range(len(points))]
    for one, earned in zip(people, points, strict=True):
        await earn(engine, rules, one, earned)
    return people


async def test_two_records_whose_points_come_to_the_threshold_together_are_one_lead(engine: AsyncEngine) -> None:
    kept, gone = await given(engine, team(), [40, 45])
    await merge(engine, kept, gone)
    for _ in range(2):
        made = await swept(engine, team(), NOW + HOUR)
        assert [(task.customer_id, task.because) for task in made] == [
            (kept, "score 85 reached 60: two records became one")
        ]


@pytest.mark.parametrize("points", [[10, 20], [65, 10], [10, 65]])
async def test_a_merge_makes_no_lead_of_who_was_one_or_is_none(engine: AsyncEngine, points: list[int]) -> None:
    kept, gone = await given(engine, team(), points)
    before = len(await all_tasks(engine))
    await merge(engine, kept, gone)
    assert len(await swept(engine, team(), NOW + HOUR)) == before


async def test_two_leads_that_become_one_keep_both_tasks_and_have_them_back_when_they_are_parted(
    engine: AsyncEngine,
) -> None:
    kept, gone = await given(engine, team(), [65, 65])
    number = await merge(engine, kept, gone)
    assert [task.customer_id for task in await all_tasks(engine)] == [kept, kept]
    assert len(await swept(engine, team(), NOW + HOUR)) == 2
    async with engine.begin() as db:
        await merging.unmerge(db, number, by="somebody", now=NOW + HOUR)
        assert [(await customers.get(db, one)).score for one in (kept, gone)] == [65, 65]
    assert [task.customer_id for task in await all_tasks(engine)] == [kept, gone]


async def test_what_comes_on_friday_night_is_not_for_who_is_away_on_monday(engine: AsyncEngine) -> None:
    away = Rep(name="Mei", email="mei@acme.example", away=["2026-03-09"])
    there = Rep(name="Tom", email="tom@acme.example", away=["2026-03-06"])
    hours = Working.model_validate({"days": "mon-fri", "from": "09:00", "to": "18:00"})
    rules = team().model_copy(update={"reps": (away, there), "working": hours})
    for number in range(2):
        await earn(engine, rules, await lead(engine, f"c{number}"), now=FRIDAY_NIGHT)
    assert [task.assigned_to for task in await all_tasks(engine)] == ["Tom", "Tom"]


async def test_what_a_rep_had_who_sells_no_more_is_given_to_another_who_hears_of_it(engine: AsyncEngine) -> None:
    await earn(engine, team(), await lead(engine, "ann"))
    [task] = await all_tasks(engine)
    assert task.assigned_to == "Mei"
    fewer = team().model_copy(update={"reps": team().reps[1:2]})
    _, promises = await office(engine, fewer)
    for _ in range(2):
        await promises.keep(Look(task.id, NOW + HOUR))
    async with engine.connect() as db:
        steps = [(one.kind, one.rep, one.because) for one in await assignments.history(db, task.id)][1:]
        mails = [(one.kind, one.recipient) for one in await notices.for_task(db, task.id)]
    assert steps == [("reassigned", "Tom", "Mei sells no more")]
    assert mails == [("assigned", "Mei"), ("reassigned", "Tom")]


async def test_who_is_given_a_task_by_hand_gets_a_mail(engine: AsyncEngine) -> None:
    desk, _ = await office(engine, team())
    await earn(engine, team(), await lead(engine, "ann"))
    [task] = await all_tasks(engine)
    await desk.reassign(task.id, "tom", "speaks German", NOW + HOUR)
    async with engine.connect() as db:
        assert [(one.kind, one.recipient, one.status) for one in await notices.for_task(db, task.id)] == [
            ("assigned", "Mei", "pending"), ("reassigned", "Tom", "pending"),
        ]  # fmt: skip


async def test_a_rule_may_say_that_nobody_is_told_of_what_they_are_given(engine: AsyncEngine) -> None:
    desk, _ = await office(engine, team("tell: never"))
    await earn(engine, team("tell: never"), await lead(engine, "ann"))
    [task] = await all_tasks(engine)
    await desk.reassign(task.id, "tom", None, NOW + HOUR)
    async with engine.connect() as db:
        assert await notices.for_task(db, task.id) == []


async def test_a_task_that_rests_past_its_end_expires_so_much_later(engine: AsyncEngine) -> None:
    rules = team("assign: round_robin\ndue: 1h\nexpire_after: 2h\ntell: never")
    desk, promises = await office(engine, rules)
    await earn(engine, rules, await lead(engine, "ann"))
    [task] = await all_tasks(engine)
    rested = await desk.snooze(task.id, "Mei", NOW + 5 * DAY, NOW)
    assert (rested.due_at, rested.expires_at) == (NOW + 5 * DAY + HOUR, NOW + 5 * DAY + 3 * HOUR)
    assert (await promises.keep(Look(task.id, NOW + 4 * HOUR))).ended is None
    assert (await promises.keep(Look(task.id, NOW + 6 * DAY))).ended == "expired"


async def test_of_two_who_record_another_outcome_at_once_one_does(engine: AsyncEngine) -> None:
    desk, _ = await office(engine, team())
    await earn(engine, team(), await lead(engine, "ann"))
    [task] = await all_tasks(engine)
    done = await asyncio.gather(
        desk.finish(task.id, "Mei", "won", now=NOW, amount=Decimal(5)),
        desk.finish(task.id, "Tom", "nurture", now=NOW),
        return_exceptions=True,
    )
    assert [isinstance(one, Task) for one in done].count(True) == 1
    assert [isinstance(one, TaskFinished) for one in done].count(True) == 1
    [finished] = await all_tasks(engine)
    async with engine.connect() as db:
        stage = (await customers.get(db, task.customer_id)).stage
    assert stage == {"won": "customer", "nurture": "nurturing"}[str(finished.outcome)]


async def test_who_goes_back_to_nurture_may_become_a_lead_again(engine: AsyncEngine) -> None:
    rules = sales.parse(Source.parse("threshold: 60\nagain_below: 40\n"))
    desk, _ = await office(engine, rules)
    ann = await lead(engine, "ann")
    await earn(engine, rules, ann, 90)
    [task] = await all_tasks(engine)
    await desk.finish(task.id, "somebody", "nurture", now=NOW)
    async with engine.connect() as db:
        person = await customers.get(db, ann)
    assert (person.score, person.stage, person.qualified_at) == (39, "nurturing", None)
    await earn(engine, rules, ann, 21)
    assert len(await all_tasks(engine)) == 2


async def test_a_bad_lead_that_a_map_asked_to_ring_may_cross_the_threshold_anew(engine: AsyncEngine) -> None:
    rules = sales.parse(Source.parse(
        "rules:\n  - {name: hot, threshold: 60, again_below: 40}\n  - {name: calls}\ntasks: calls\n"
    ))  # fmt: skip
    desk, _ = await office(engine, rules)
    ann = await lead(engine, "ann")
    await earn(engine, rules, ann)
    async with engine.begin() as db:
        step = TaskDetails(queue="sales", title="Ring", due="0h")
        told = await Handoff(rules, frozenset(), "UTC").ask(db, ann, step, (None, "ring", 1), "a map", NOW)  # type: ignore[arg-type]
    asked = (await all_tasks(engine))[-1]
    assert (asked.rule, asked.due_at) == ("calls", NOW + timedelta(minutes=1))
    assert [(one.name, one.properties["task"]) for one in told] == [("task.created", asked.id)]
    await desk.finish(asked.id, "somebody", "bad_lead", reason="a student", now=NOW)
    async with engine.connect() as db:
        assert (await customers.get(db, ann)).qualified_at is None


async def test_a_day_is_that_of_the_rep_whoever_asks_and_one_that_is_over_knows_nothing_of_deals(
    engine: AsyncEngine,
) -> None:
    reps = (Rep(name="Mei", email="mei@acme.example", time_zone="Pacific/Auckland"),)
    rules = team().model_copy(update={"reps": reps})
    late = NOW.replace(hour=23)  # Tuesday morning in Auckland
    desk, _ = await office(engine, rules)
    await earn(engine, rules, await lead(engine, "ann"), now=late)
    [task] = await all_tasks(engine)
    await desk.update(task.id, "mei", {"stage": "offer", "amount": "10"}, late)
    async with engine.connect() as db:
        monday = await read_day(db, rules, "mei", NOW.date(), late, "UTC")
        tuesday = await read_day(db, rules, "mei", NOW.date() + DAY, late + HOUR, "UTC")
        over = await read_day(db, rules, None, NOW.date() + DAY, late + 5 * DAY, "UTC")
        with pytest.raises(WaymarkError, match="'May' is no rep"):
            await read_day(db, rules, "May", NOW.date(), late, "UTC")
        assert await pipeline.forecast(db, {}) != []
    assert (monday.rep, monday.is_empty, tuesday.time_zone) == ("Mei", True, "Pacific/Auckland")
    assert ([one.id for one in tuesday.new], [one.stage for one in tuesday.pipeline]) == ([task.id], ["offer"])
    assert over.whole is not None
    assert (over.pipeline, over.whole.forecast) == ([], [])


async def test_a_forecast_of_nothing_is_empty(engine: AsyncEngine) -> None:
    async with engine.connect() as db:
        assert (await pipeline.forecast(db, {}), await pipeline.by_stage(db, {})) == ([], [])
        assert (await read_day(db, None, None, NOW.date(), NOW, "UTC")).is_empty
        assert await tasks.unlaunched(db, limit=1, before=NOW) == []
