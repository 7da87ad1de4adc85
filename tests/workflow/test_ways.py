"""Which way a run takes: waits and events, branches, and what the steps do to the record."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from records.people import tags, upserts
from tests.workflow.stage import Stage

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
NONE = timedelta()

ASKS = """
journey: asks
title: Asks
enter: api
steps:
  - wait_for: {on: [survey.answered, survey.declined], up_to: 3d}
    then: [{tag: spoke}, {finish: answered}]
    else: [{tag: silent}, {finish: silent}]
"""


async def test_an_event_in_time_goes_the_way_of_then(stage: Stage) -> None:
    await stage.publish(ASKS)
    ann = await stage.customer()
    run = await stage.enrol(ann, "asks")
    await stage.event(ann, "survey.declined", DAY)
    assert (await stage.run(run.id)).outcome == "answered"
    assert (await stage.person(ann)).tags == ["spoke"]


async def test_no_event_in_time_goes_the_way_of_else(stage: Stage) -> None:
    await stage.publish(ASKS)
    ann = await stage.customer()
    run = await stage.enrol(ann, "asks")
    await stage.event(ann, "weather.changed", DAY)
    await stage.pass_time(ann, 3 * DAY)
    assert (await stage.run(run.id)).outcome == "silent"
    assert (await stage.person(ann)).tags == ["silent"]


async def test_an_event_at_the_very_limit_counts_and_one_a_microsecond_later_does_not(stage: Stage) -> None:
    await stage.publish(ASKS)
    outcomes = []
    for name, late in (("Ann", NONE), ("Bob", MOMENT)):
        customer = await stage.customer(name)
        run = await stage.enrol(customer, "asks")
        assert run.wakes_at is not None
        at = run.wakes_at + late
        await stage.parts.audience.ingest(customer, "survey.answered", occurred_at=at, received_at=at)
        await stage.pass_time(customer, 4 * DAY)
        outcomes.append((await stage.run(run.id)).outcome)
    assert outcomes == ["answered", "silent"]


async def test_an_event_before_the_wait_does_not_count_when_no_message_is_named(stage: Stage) -> None:
    await stage.publish(ASKS.replace("steps:", "steps:\n  - wait: 1d"))
    ann = await stage.customer()
    run = await stage.enrol(ann, "asks")
    await stage.event(ann, "survey.answered", DAY / 2)
    await stage.pass_time(ann, 5 * DAY)
    assert (await stage.run(run.id)).outcome == "silent"


READS = """
journey: reads
title: Reads
enter: api
steps:
  - send: email/welcome
  - wait: 2d
  - wait_for: {on: email.clicked, message: email/welcome, up_to: 1d}
    then: [{finish: clicked}]
    else: [{finish: silent}]
"""


@pytest.mark.parametrize(
    ("clicked", "message", "outcome"),
    [(DAY, "email/welcome", "clicked"), (DAY, "email/other", "silent"), (-DAY, "email/welcome", "silent")],
)
async def test_a_click_before_the_wait_counts_since_the_message_that_it_names_was_sent(
    stage: Stage, clicked: timedelta, message: str, outcome: str
) -> None:
    await stage.publish(READS)
    ann = await stage.customer()
    if clicked < NONE:
        await stage.store(ann, "email.clicked", clicked, message=message)
    run = await stage.enrol(ann, "reads")
    if clicked > NONE:
        await stage.event(ann, "email.clicked", clicked, message=message)
    await stage.pass_time(ann, 2 * DAY)
    assert (await stage.run(run.id)).outcome == ("clicked" if outcome == "clicked" else None)
    await stage.pass_time(ann, 4 * DAY)
    assert (await stage.run(run.id)).outcome == outcome


async def test_an_event_counts_only_with_the_properties_that_are_asked_for(stage: Stage) -> None:
    await stage.publish(ASKS.replace("up_to: 3d", "up_to: 3d, with: {rating: 5}"))
    ann = await stage.customer()
    run = await stage.enrol(ann, "asks")
    await stage.event(ann, "survey.answered", DAY, rating=4)
    assert (await stage.run(run.id)).status == "active"
    await stage.event(ann, "survey.answered", 2 * DAY, rating=5)
    assert (await stage.run(run.id)).outcome == "answered"


BRANCHES = """
journey: branches
title: Branches
enter: api
steps:
  - wait: 1d
  - branch:
      - when: {score: {at_least: 10}}
        steps: [{finish: scored}]
      - when: {any: [{tag: vip}, {field: {name: plan, is: team}}]}
        steps: [{finish: important}]
      - when: {event: {name: order.placed, at_least: 2, within: 30d}}
        steps: [{finish: buyer}]
      - when: {clicked: email/welcome}
        steps: [{finish: reader}]
      - otherwise: true
        steps: [{finish: nobody}]
"""


async def test_a_branch_reads_score_tags_fields_events_and_clicks_as_they_stand_when_it_is_reached(
    stage: Stage,
) -> None:
    await stage.publish(BRANCHES)
    people = {name: await stage.customer(name) for name in ("Tag", "Field", "Buyer", "Once", "Reader", "Nobody")}
    for customer in people.values():
        await stage.enrol(customer, "branches")
    async with stage.engine.begin() as db:
        await tags.tag(db, people["Tag"], "vip", because="test", now=stage.start)
        values = {"plan": "team"}
        await upserts.set_fields(db, people["Field"], values, because="test", now=stage.start)
    await stage.store(people["Buyer"], "order.placed", NONE)
    await stage.store(people["Buyer"], "order.placed", DAY / 2)
    await stage.store(people["Once"], "order.placed", DAY / 2)
    await stage.store(people["Reader"], "email.clicked", DAY / 2, message="email/welcome")
    for customer in people.values():
        await stage.pass_time(customer, DAY)
    runs = {name: (await stage.run(number)).outcome for number, name in enumerate(people, 1)}
    assert runs == {
        "Tag": "important", "Field": "important", "Buyer": "buyer", "Once": "nobody", "Reader": "reader",
        "Nobody": "nobody",
    }  # fmt: skip


async def test_a_branch_keeps_what_it_saw(stage: Stage) -> None:
    await stage.publish(BRANCHES)
    ann = await stage.customer()
    run = await stage.enrol(ann, "branches")
    await stage.pass_time(ann, DAY)
    branch = next(line for line in await stage.lines(run.id) if line.kind == "branch")
    assert branch.detail["because"] == "otherwise"
    assert branch.detail["seen"]["score at least 10"] is False


STEPS = """
journey: steps
title: Steps
enter: api
steps:
  - set: {stage: nurturing, plan: team, company: null}
  - tag: [warm, vip]
  - untag: cold
  - task: {queue: sales, title: "Call {{ customer.first_name }}", due: 4h, because: asked for a call}
  - score: {points: 7, because: a reason}
"""


async def test_steps_change_the_record_each_once_and_say_why(stage: Stage) -> None:
    await stage.publish(STEPS)
    ann = await stage.customer(tags=["cold"], properties={"company": "ACME"})
    run = await stage.enrol(ann, "steps")
    person = await stage.person(ann)
    assert (person.stage, person.score, sorted(person.tags)) == ("nurturing", 7, ["vip", "warm"])
    assert person.properties == {"plan": "team"}
    (task,) = await stage.tasks()
    assert (task.title, task.because, task.due_at) == ("Call Ann", "asked for a call", task.created_at + DAY / 6)
    assert [kind for kind, _ in await stage.path(run.id)] == ["set", "tag", "untag", "task", "score"]


async def test_a_title_that_cannot_be_filled_in_stops_nobody(stage: Stage) -> None:
    await stage.publish(STEPS.replace("customer.first_name", "customer.nobody_has_this"))
    run = await stage.enrol(await stage.customer(), "steps")
    assert run.outcome == "completed"
    assert [task.title for task in await stage.tasks()] == ["Call {{ customer.nobody_has_this }}"]


SALES = """
journey: sells
title: Sells
enter: api
steps:
  - score: {points: 40, because: asked}
  - wait: 1d
  - score: {points: 25, because: read}
  - score: {points: 25, because: wrote}
  - wait_for: {on: task.done, with: {queue: sales}, up_to: 14d}
    then:
      - branch:
          - when: {event: {name: task.done, with: {outcome: won}}}
            steps: [{finish: won}]
          - otherwise: true
            steps: [{finish: not_won}]
    else: [{finish: nobody_called}]
"""


@pytest.mark.parametrize(("said", "outcome"), [("won", "won"), ("lost", "not_won"), (None, "nobody_called")])
async def test_a_qualified_lead_becomes_one_task_and_goes_on_by_its_outcome(
    stage: Stage, said: str | None, outcome: str
) -> None:
    await stage.publish(SALES)
    ann = await stage.customer()
    run = await stage.enrol(ann, "sells")
    assert await stage.tasks() == []
    await stage.pass_time(ann, DAY)
    (task,) = await stage.tasks()
    assert (task.queue, task.because) == ("sales", "score 65 reached 60: read")
    assert (await stage.person(ann)).stage == "qualified"
    waiting = await stage.run(run.id)
    if said is not None:
        await stage.time.meet(ann, stage.start + 2 * DAY, "task.done")
        for _ in range(2):
            await stage.parts.desk.finish(
                task.id, "Rae", said, now=stage.start + 2 * DAY,  # type: ignore[arg-type]
                reason="chose another" if said == "lost" else None,
            )  # fmt: skip
        await stage.time.moved([waiting])
    else:
        await stage.pass_time(ann, 20 * DAY)
    assert (await stage.run(run.id)).outcome == outcome
    assert len(await stage.tasks()) == 1


RENEWS = """
journey: renews
title: Renews
enter: api
steps:
  - wait: {until: {date: customer.renewal_date, offset: -30d, at: "09:00"}}
  - finish: due
"""


async def test_a_date_is_waited_for_until_its_wall_time_where_the_contact_lives(stage: Stage) -> None:
    await stage.publish(RENEWS)
    renewal = (stage.start + 100 * DAY).date()
    for name, columns, zone in (
        ("Hana", {"time_zone": "Asia/Tokyo"}, "Asia/Tokyo"),
        ("Sing", {"country": "SG"}, "Asia/Singapore"),
        ("Una", {"country": "US"}, stage.parts.settings.workspace_time_zone),
    ):
        customer = await stage.customer(name, properties={"renewal_date": renewal.isoformat()}, **columns)
        run = await stage.enrol(customer, "renews")
        assert run.wakes_at == _at(renewal - 30 * DAY, zone)
        await stage.pass_time(customer, 71 * DAY)
        assert (await stage.run(run.id)).outcome == "due"


def _at(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(9), ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(("renewal", "why"), [(None, "unknown"), ("soon", "unknown"), ("2020-01-01", "past")])
async def test_a_date_that_is_past_or_unknown_is_not_waited_for(stage: Stage, renewal: str | None, why: str) -> None:
    await stage.publish(RENEWS)
    ann = await stage.customer(properties={"renewal_date": renewal})
    run = await stage.enrol(ann, "renews")
    assert (run.outcome, run.because) == ("due", f"renewal_date is {why}")
