"""Giving out leads and working on them stay right when several do it at once; what is none is refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.calendar import Calendar
from activities.entering.audience import Router
from activities.entering.entrance import Entrance
from activities.sales.deals import read_amount, read_close
from activities.sales.desk import Desk
from activities.sales.handoff import Handoff
from activities.sales.keepers import Keepers
from activities.sales.office import Office
from activities.sales.promises import Promises
from activities.sales.salesday import read_day
from activities.turns.programs import Programs
from journeys import sales
from journeys.errors import WaymarkError
from journeys.sales import Sales
from journeys.salestask import Look
from journeys.source import Source
from records.audience import scores
from records.people import customers, upserts
from records.people.contacts import Contact
from records.people.timeline import timeline
from records.sales import assignments, notices, pipeline, tasks
from records.sales.taking import TaskFinished, TaskTaken
from records.sales.tasks import Task

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TEAM = """
threshold: 60
again_below: 40
when: {country: [CN, DE, FR]}
marketing: stop
ASSIGN
outcomes: {nurture: {stage: nurturing, score: 20}}
reps:
  - {name: Mei, email: mei@acme.example, territories: CN}
  - {name: Tom, email: tom@acme.example, territories: DE}
  - {name: Zoe, email: zoe@acme.example, territories: DE, away: 2026-03-02}
pipeline: [{stage: contacted, chance: 0.1}, {stage: offer, chance: 0.5}]
"""


def team(assign: str = "assign: round_robin") -> Sales:
    return sales.parse(Source.parse(TEAM.replace("ASSIGN", assign)))


async def lead(engine: AsyncEngine, name: str, country: str | None = "CN") -> int:
    async with engine.begin() as db:
        contact = Contact(email=f"{name}@customers.example", first_name=name, country=country)
        return (await upserts.upsert(db, contact, now=NOW)).id


async def earn(engine: AsyncEngine, rules: Sales, customer: int, points: int = 65, now: datetime = NOW) -> list[Any]:
    async with engine.begin() as db:
        change = await scores.add(db, customer, points, "asked for a call", now)
        assert change is not None
        return await Handoff(rules, frozenset(), "UTC").consider(db, customer, change, "asked for a call", now)


async def all_tasks(engine: AsyncEngine) -> list[Task]:
    async with engine.connect() as db:
        return sorted(await tasks.listing(db, limit=1000), key=lambda task: task.id)


async def office(engine: AsyncEngine, rules: Sales) -> tuple[Desk, Promises]:
    """Desk and promises by these rules; the Temporal server is away."""
    client = await Client.connect("127.0.0.1:9", lazy=True)
    programs = Programs()
    router = Router(engine, client, programs, Entrance(programs, "UTC"), Calendar())
    of = Office(engine, rules, Calendar(), "UTC")
    return Desk(of, router, Keepers(of, client)), Promises(of, router)


@pytest.fixture
async def desk(engine: AsyncEngine) -> Desk:
    return (await office(engine, team()))[0]


async def test_leads_of_the_same_moment_are_given_out_in_turn(engine: AsyncEngine) -> None:
    people = [await lead(engine, f"c{number}") for number in range(12)]
    await asyncio.gather(*(earn(engine, team(), one) for one in people))
    assert Counter(task.assigned_to for task in await all_tasks(engine)) == {"Mei": 6, "Tom": 6}


async def test_the_least_loaded_gets_what_comes_in_the_same_moment(engine: AsyncEngine) -> None:
    first = [await lead(engine, f"c{number}", "CN") for number in range(3)]
    for one in first:
        await earn(engine, team("assign: territory"), one)
    later = [await lead(engine, f"d{number}", "DE") for number in range(5)]
    await asyncio.gather(*(earn(engine, team("assign: least_loaded"), one) for one in later))
    assert Counter(task.assigned_to for task in await all_tasks(engine)) == {"Mei": 4, "Tom": 4}


async def test_points_that_come_at_once_hand_a_lead_over_once(engine: AsyncEngine) -> None:
    ann = await lead(engine, "ann")
    told = await asyncio.gather(*(earn(engine, team(), ann, 10) for _ in range(12)))
    assert len([event for events in told for event in events]) == 1
    [task] = await all_tasks(engine)
    assert task.because == "score 60 reached 60: asked for a call"


@pytest.mark.parametrize(("country", "made"), [("CN", 1), ("SG", 0), (None, 0)])
async def test_only_whom_the_conditions_mean_is_handed_over(
    engine: AsyncEngine, country: str | None, made: int
) -> None:
    await earn(engine, team(), await lead(engine, "ann", country))
    assert len(await all_tasks(engine)) == made


async def test_where_nobody_is_there_the_task_waits_with_the_reason(engine: AsyncEngine) -> None:
    await earn(engine, team("assign: territory"), await lead(engine, "ann", "FR"))
    [task] = await all_tasks(engine)
    assert task.assigned_to is None
    async with engine.connect() as db:
        [step] = await assignments.history(db, task.id)
        assert (step.kind, step.because) == ("unassigned", "nobody has the territory FR")
        day = await read_day(db, team(), None, NOW.date(), NOW + HOUR, "UTC")
    assert day.whole is not None
    assert [(one.id, day.whole.reasons[one.id]) for one in day.whole.unassigned] == [(task.id, step.because)]


async def test_the_owner_keeps_the_customer(engine: AsyncEngine, desk: Desk) -> None:
    ann = await lead(engine, "ann", "DE")
    rules = team("assign: owner")
    await earn(engine, rules, ann)
    [task] = await all_tasks(engine)
    await desk.claim(task.id, "Tom", NOW)
    await desk.finish(task.id, "Tom", "nurture", now=NOW + HOUR)
    async with engine.connect() as db:
        person = await customers.get(db, ann)
    assert (person.owner, person.score, person.stage, person.qualified_at) == ("Tom", 20, "nurturing", None)
    await earn(engine, rules, ann, 50, NOW + DAY)
    assert [one.assigned_to for one in await all_tasks(engine)] == ["Mei", "Tom"]


async def test_an_outcome_changes_the_customer_once_and_says_why(engine: AsyncEngine, desk: Desk) -> None:
    ann = await lead(engine, "ann")
    await earn(engine, team(), ann)
    [task] = await all_tasks(engine)
    for _ in range(2):
        await desk.finish(task.id, "Mei", "bad_lead", reason="a student", now=NOW + HOUR)
    async with engine.connect() as db:
        person = await customers.get(db, ann)
        told = [(one.kind, one.title, one.detail.get("because")) for one in await timeline(db, ann)]
    assert (person.score, person.stage, person.tags) == (0, "disqualified", ["bad_lead"])
    assert told.count(("score", "-65 points", "sales: bad_lead: a student")) == 1
    assert ("stage", "stage: new → disqualified", "sales: bad_lead: a student") in told
    assert sum(title == "task.done" for _, title, _ in told) == 1


async def test_the_forecast_weighs_what_is_under_way_by_its_stage(engine: AsyncEngine, desk: Desk) -> None:
    for number, (stage, amount, close) in enumerate(
        [("offer", "1000", "2026-03-31"), ("contacted", "500.50", "2026-03-02"), ("offer", "300", "2026-04-01"),
         ("contacted", "80", None), ("offer", "9999", "2026-03-05")]
    ):  # fmt: skip
        await earn(engine, team(), await lead(engine, f"c{number}"))
        task = (await all_tasks(engine))[-1]
        await desk.update(task.id, "Mei", {"stage": stage, "amount": amount, "close": close}, NOW)
    await desk.finish(task.id, "Mei", "lost", reason="too dear", now=NOW)
    async with engine.connect() as db:
        chances = {one.stage: one.chance for one in team().pipeline}
        months = await pipeline.forecast(db, chances)
        stages = await pipeline.by_stage(db, chances)
    assert [(one.month, one.count, one.amount, one.weighted) for one in months] == [
        ("2026-03", 2, Decimal("1500.5"), Decimal("550.05")),
        ("2026-04", 1, Decimal(300), Decimal(150)),
        (None, 1, Decimal(80), Decimal(8)),
    ]
    assert [(one.stage, one.count) for one in stages] == [("contacted", 2), ("offer", 2)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"amount": "-1"}, "'-1' is no amount"), ({"amount": "NaN"}, "'NaN' is no amount"),
        ({"amount": "Infinity"}, "is no amount"), ({"amount": "1e15"}, "'1e15' is no amount"),
        ({"amount": "much"}, "'much' is no amount"), ({"amount": True}, "'True' is no amount"),
        ({"close": "2026-03-01"}, "2026-03-01 is past"), ({"close": "2300-01-01"}, "more than ten years away"),
        ({"close": "soon"}, "'soon' is no day"), ({"stage": "offered"}, "'offered' is no stage of the pipeline"),
        ({}, "Nothing is given to update"),
    ],
)  # fmt: skip
async def test_a_deal_that_cannot_be_is_refused_and_nothing_is_written(
    engine: AsyncEngine, desk: Desk, given: dict[str, Any], said: str
) -> None:
    await earn(engine, team(), await lead(engine, "ann"))
    [before] = await all_tasks(engine)
    with pytest.raises(WaymarkError) as refused:
        await desk.update(before.id, "Mei", {"stage": "offer", **given} if given else {}, NOW)
    assert said in refused.value.message
    assert await all_tasks(engine) == [before]


async def test_reps_that_are_none_reasons_that_lack_and_times_that_are_past_are_refused(
    engine: AsyncEngine, desk: Desk
) -> None:
    await earn(engine, team(), await lead(engine, "ann"))
    [task] = await all_tasks(engine)
    attempts: tuple[tuple[str, Callable[[], Awaitable[Task]]], ...] = (
        ("'May' is no rep; allowed: Mei, Tom, Zoe", lambda: desk.claim(task.id, "May", NOW)),
        ("'nobody' is no rep", lambda: desk.reassign(task.id, "nobody", None, NOW)),
        ("lost needs a reason", lambda: desk.finish(task.id, "Mei", "lost", now=NOW)),
        ("bad_lead needs a reason", lambda: desk.finish(task.id, "Mei", "bad_lead", reason="  ", now=NOW)),
        ("nurture has no amount", lambda: desk.finish(task.id, "Mei", "nurture", amount=Decimal(5), now=NOW)),
        ("is past", lambda: desk.snooze(task.id, "Mei", NOW, NOW)),
        ("for a year at most", lambda: desk.snooze(task.id, "Mei", NOW + 400 * DAY, NOW)),
    )
    for said, attempt in attempts:
        with pytest.raises(WaymarkError) as refused:
            await attempt()
        assert said in refused.value.message
    assert await all_tasks(engine) == [task]
    assert read_amount(" 12.345 ") == Decimal("12.34")
    assert read_close("2026-03-02", date(2026, 3, 2)) == date(2026, 3, 2)


async def test_what_is_anothers_or_done_is_left_alone(engine: AsyncEngine, desk: Desk) -> None:
    await earn(engine, team(), await lead(engine, "ann"))
    [task] = await all_tasks(engine)
    assert (await desk.claim(task.id, "mei", NOW)).claimed_by == "Mei"
    with pytest.raises(TaskTaken, match="Mei"):
        await desk.snooze(task.id, "Tom", NOW + DAY, NOW)
    handed_on = await desk.reassign(task.id, "Tom", "speaks German", NOW + HOUR)
    assert (handed_on.status, handed_on.assigned_to, handed_on.claimed_by) == ("open", "Tom", None)
    await desk.finish(task.id, "Tom", "won", amount=Decimal(900), now=NOW + HOUR)
    for attempt in (desk.snooze(task.id, "Tom", NOW + DAY, NOW), desk.reassign(task.id, "Mei", None, NOW)):
        with pytest.raises(TaskFinished, match="Tom recorded won"):
            await attempt
    async with engine.connect() as db:
        assert not await tasks.holding(db, task.customer_id)
        day = await read_day(db, team(), "Tom", NOW.date(), NOW + 2 * HOUR, "UTC")
    assert [(one.outcome, one.amount) for one in day.done] == [("won", Decimal(900))]


KEPT = """assign: round_robin
due: 4 working hours
remind: 1h before due
reassign_after: 1 working hour
expire_after: 1 working day
"""


async def test_a_look_that_is_repeated_or_taken_by_two_at_once_does_everything_once(engine: AsyncEngine) -> None:
    rules = team(KEPT)
    _, promises = await office(engine, rules)
    await earn(engine, rules, await lead(engine, "ann"))
    [task] = await all_tasks(engine)
    for after in (3 * HOUR, 3 * HOUR, 5 * HOUR, 5 * HOUR):
        seen = await asyncio.gather(*(promises.keep(Look(task.id, NOW + after)) for _ in range(3)))
        assert len(set(seen)) == 1
    async with engine.connect() as db:
        steps = [(one.kind, one.rep, one.at - NOW) for one in await assignments.history(db, task.id)]
        mails = [(one.kind, one.recipient) for one in await notices.for_task(db, task.id)]
    assert steps == [
        ("assigned", "Mei", timedelta()), ("reminded", "Mei", 3 * HOUR), ("reassigned", "Tom", 5 * HOUR),
    ]  # fmt: skip
    assert mails == [("assigned", "Mei"), ("reminder", "Mei"), ("reassigned", "Tom")]


async def test_after_a_long_standstill_a_task_expires_and_nobody_is_told_of_what_is_over(engine: AsyncEngine) -> None:
    rules = team(f"{KEPT}tell: never\n")
    _, promises = await office(engine, rules)
    await earn(engine, rules, await lead(engine, "ann"))
    [task] = await all_tasks(engine)
    outlook = await promises.keep(Look(task.id, NOW + 30 * DAY))
    assert (outlook.status, outlook.ended) == ("expired", "expired")
    async with engine.connect() as db:
        assert await notices.for_task(db, task.id) == []
        assert not await tasks.holding(db, task.customer_id)


async def test_who_is_back_gets_what_nobody_could_be_given(engine: AsyncEngine) -> None:
    rules = team("assign: territory").model_copy(update={"reps": team().reps[2:]})  # Zoe, who is away today
    _, promises = await office(engine, rules)
    await earn(engine, rules, await lead(engine, "ann", "DE"))
    [task] = await all_tasks(engine)
    waiting = await promises.keep(Look(task.id, NOW))
    assert (task.assigned_to, waiting.next, waiting.until) == (None, "assign", NOW + 4 * HOUR)
    await promises.keep(Look(task.id, NOW + DAY))
    assert [one.assigned_to for one in await all_tasks(engine)] == ["Zoe"]


async def test_the_end_of_a_task_whose_customer_was_erased_is_told(engine: AsyncEngine) -> None:
    _, promises = await office(engine, team())
    assert (await promises.keep(Look(404, NOW))).ended == "erased"
