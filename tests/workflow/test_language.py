"""The steps of the language on the real engine: loops, splits, several events, other journeys, consents, calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.channels.channel import Message, Receipt
from journeys.spreading import pick
from records.people import consents
from records.tables import customers, goals
from tests.workflow.stage import Stage, staged

DAY = timedelta(days=1)
MONDAY = datetime(2026, 3, 23, 6, 0, tzinfo=UTC)


class Recorder:
    """A channel at whose other end nobody is: it keeps what it is given."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: list[Message] = []

    async def send(self, message: Message) -> Receipt:
        self.messages.append(message)
        return Receipt(None, "kept")

    async def check(self) -> str:
        return "kept"

    async def close(self) -> None:
        pass


@pytest.fixture
async def calls() -> Recorder:
    return Recorder("webhook")


@pytest.fixture
async def stage(engine: AsyncEngine, client: Client, tmp_path: Path, calls: Recorder) -> AsyncIterator[Stage]:
    channels: dict[str, Any] = {"email": Recorder("email"), "webhook": calls}
    async with staged(engine, client, tmp_path, channels=channels, start=MONDAY) as one:
        yield one


def journey(steps: str, name: str = "told", head: str = "enter: api") -> str:
    return f"journey: {name}\ntitle: Told\n{head}\nsteps:\n{steps}"


async def sent(stage: Stage, customer: int) -> list[str]:
    return [f"{one.claimed_at:%a %H:%M} {one.message}" for one in await stage.touches(customer)]


async def test_a_loop_goes_back_so_often_at_most_and_leaves_when_its_condition_no_longer_holds(stage: Stage) -> None:
    await stage.publish(
        journey("""
  - {id: again, send: email/brew_guide}
  - wait: 1d
  - loop: {to: again, at_most: 2, when: {not: {tag: satisfied}}}
  - finish: over
""")
    )
    ann, bob = await stage.customer("Ann"), await stage.customer("Bob", tags=["satisfied"])
    runs = [await stage.enrol(who, "told") for who in (ann, bob)]
    for who in (ann, bob):
        await stage.pass_time(who, 5 * DAY)
    assert await sent(stage, ann) == [f"{day} 06:00 email/brew_guide" for day in ("Mon", "Tue", "Wed")]
    assert await sent(stage, bob) == ["Mon 06:00 email/brew_guide"]
    assert [(await stage.run(run.id)).outcome for run in runs] == ["over", "over"]


async def test_a_split_sends_each_contact_one_way_and_writes_down_which(stage: Stage) -> None:
    await stage.publish(
        journey("""
  - id: parts
    split: {a: 50, b: 30, c: 20}
    a: [{tag: went_a}]
    b: [{tag: went_b}]
""")
    )
    for name in ("Ann", "Bob", "Cid", "Dee", "Eve"):
        who = await stage.customer(name, external_id=f"x-{name}")
        run = await stage.enrol(who, "told")
        arm = pick({"a": 50, "b": 30, "c": 20}, "told", "parts", f"x-{name}")
        assert (await stage.person(who)).tags == ([] if arm == "c" else [f"went_{arm}"])
        [line] = [line for line in await stage.lines(run.id) if line.kind == "split"]
        assert line.detail["seen"] == {"arm": arm}


ANY = """
  - wait_for:
      any:
        - {on: order.placed, with: {cart: {same_as: event.cart}, value: {at_least: 50}}, then: [{finish: bought}]}
        - {on: cart.emptied, then: [{finish: emptied}]}
        - {on: email.clicked}
      up_to: 3d
    then: [{finish: clicked}]
    else: [{finish: silent}]
"""


@pytest.mark.parametrize(
    ("event", "value", "properties", "outcome"),
    [
        ("order.placed", 50, {"cart": "c-1"}, "bought"),
        ("order.placed", 49.99, {"cart": "c-1"}, "silent"),
        ("order.placed", 80, {"cart": "c-2"}, "silent"),
        ("cart.emptied", None, {}, "emptied"),
        ("email.clicked", None, {}, "clicked"),
    ],
)
async def test_the_first_of_several_events_that_meets_its_tests_goes_its_own_way(
    stage: Stage, event: str, value: float | None, properties: dict[str, Any], outcome: str
) -> None:
    await stage.publish(journey(ANY, head="enter: {on: cart.updated, with: {amount: {at_least: 20}}}"))
    ann = await stage.customer()
    await stage.event(ann, "cart.updated", timedelta(), amount=10, cart="c-0")
    await stage.event(ann, "cart.updated", timedelta(hours=1), amount=80, cart="c-1")
    await stage.event(ann, event, DAY, value, **properties)
    await stage.pass_time(ann, 5 * DAY)
    assert [run.outcome for run in await stage.runs(ann)] == [outcome]


async def test_a_journey_starts_another_by_its_own_rule_and_says_when_it_may_not(stage: Stage) -> None:
    await stage.publish(journey("  - wait: 1d\n", "second"))
    await stage.publish(journey("  - start: second\n  - start: nowhere\n  - tag: went_on\n"))
    ann = await stage.customer()
    first = await stage.enrol(ann, "told")
    await stage.pass_time(ann, 2 * DAY)
    assert [(run.journey, run.source, run.outcome) for run in await stage.runs(ann)] == [
        ("told", "api", "completed"), ("second", "journey", "completed"),
    ]  # fmt: skip
    results = [line.detail["seen"].get("result") for line in await stage.lines(first.id) if line.kind == "start"]
    assert results == ["run 2", "not started: there is no published journey 'nowhere'"]


async def test_a_consent_that_a_journey_writes_down_counts_at_the_next_send(stage: Stage) -> None:
    await stage.publish(
        journey("""
  - consent: {channel: email, granted: true, because: asked at the counter}
  - send: email/welcome
  - consent: {channel: email, granted: false, because: did not answer}
  - send: email/brew_guide
""")
    )
    ann = await stage.customer("Ann", consents={})
    await stage.enrol(ann, "told")
    assert [(one.message, one.status, one.because) for one in await stage.touches(ann)] == [
        ("email/welcome", "sent", None),
        ("email/brew_guide", "skipped", "consent to email was withdrawn"),
    ]
    async with stage.engine.connect() as db:
        kept = [(one.granted, one.source) for one in await consents.history(db, ann)]
    assert sorted(kept) == [
        (False, "did not answer (told: consent-email-withdrawn)"),
        (True, "asked at the counter (told: consent-email-granted)"),
    ]


async def test_a_yes_that_is_given_again_is_kept_and_so_is_a_no_where_nobody_asked(stage: Stage) -> None:
    await stage.publish(
        journey("""
  - consent: {channel: email, granted: true, because: said yes again}
  - consent: {channel: sms, granted: false, because: never wanted}
  - consent: {channel: sms, granted: false, because: as we know}
""")
    )
    ann = await stage.customer("Ann", consents={"email": True})
    await stage.enrol(ann, "told")
    async with stage.engine.connect() as db:
        kept = [(one.channel, one.granted) for one in await consents.history(db, ann)]
    assert kept == [("email", True), ("email", True), ("sms", False)]


async def test_a_webhook_is_a_touch_that_needs_no_address_and_no_consent(stage: Stage, calls: Recorder) -> None:
    await stage.publish(
        journey(
            """
  - id: tell
    webhook: {url: "https://hooks.example.com/x", fields: [first_name], body: {cart: "{{ event.cart }}"}}
  - tag: told
""",
            head="enter: {on: cart.updated}",
        )
    )
    ann = await stage.customer("Ann", consents={})
    await stage.event(ann, "cart.updated", timedelta(), cart=7)
    [touch] = await stage.touches(ann)
    assert (touch.channel, touch.message, touch.status) == ("webhook", "webhook/hooks.example.com", "sent")
    [call] = calls.messages
    assert call.key == touch.key
    assert '"cart":7' in call.text
    assert '"first_name":"Ann"' in call.text
    assert (await stage.person(ann)).tags == ["told"]


async def test_waits_end_at_a_time_on_a_weekday_after_working_days_and_on_anniversaries(stage: Stage) -> None:
    await stage.publish(
        journey("""
  - wait: {until: {time: "09:00"}}
  - send: email/welcome
  - wait: {until: {time: "10:30", weekday: sat-sun}}
  - send: email/brew_guide
  - wait: {working_days: 5, at: "08:00"}
  - send: email/welcome
  - wait: {until: {date: customer.renewal_date, every: year, offset: -1d, at: "12:00"}}
  - send: email/brew_guide
""")
    )
    ann = await stage.customer(
        "Ann", country="DE", time_zone="Europe/Berlin", properties={"renewal_date": "2019-05-02"}
    )
    await stage.enrol(ann, "told")
    await stage.pass_time(ann, 60 * DAY)
    assert [f"{one.claimed_at:%Y-%m-%d %H:%M}" for one in await stage.touches(ann)] == [
        "2026-03-23 08:00",  # Monday 09:00 in winter time
        "2026-03-28 09:30",  # Saturday 10:30, still winter time
        "2026-04-07 06:00",  # 30 March to 2 April, and not before Easter is over; 08:00 in summer time
        "2026-05-01 10:00",
    ]


async def test_a_goal_is_kept_with_its_time_its_value_and_the_touches_before_it(stage: Stage) -> None:
    await stage.publish(
        journey(
            "  - send: email/welcome\n  - wait: 1d\n  - send: email/brew_guide\n"
            "  - wait: 9d\n  - send: email/welcome\n",
            head="enter: api\ngoal: {on: order.placed, with: {value: {at_least: 20}}, within: 30d}",
        )
    )
    ann = await stage.customer()
    run = await stage.enrol(ann, "told")
    await stage.event(ann, "order.placed", 2 * DAY, 5)
    await stage.event(ann, "order.placed", 3 * DAY, 42.5)
    await stage.event(ann, "order.placed", 4 * DAY, 99)
    await stage.pass_time(ann, 20 * DAY)
    touches = await stage.touches(ann)
    async with stage.engine.connect() as db:
        [goal] = (await db.execute(select(goals).where(goals.c.enrolment_id == run.id))).all()
    assert (goal.at, goal.value) == (MONDAY + 3 * DAY, Decimal("42.5"))
    assert goal.touch_ids == [one.id for one in touches[:2]]
    assert (await stage.run(run.id)).outcome == "completed"


async def test_moments_are_those_that_were_due_so_that_waits_in_a_row_do_not_creep(stage: Stage) -> None:
    await stage.publish(journey("".join("  - send: email/welcome\n  - wait: 1d\n" for _ in range(6))))
    ann = await stage.customer()
    run = await stage.enrol(ann, "told")
    await stage.pass_time(ann, 7 * DAY)
    assert [one.claimed_at for one in await stage.touches(ann)] == [MONDAY + day * DAY for day in range(6)]
    assert (await stage.run(run.id)).ended_at == MONDAY + 6 * DAY


async def test_two_triggers_at_the_same_instant_enrol_once(stage: Stage) -> None:
    await stage.publish(journey("  - wait: 5d\n", head="enter: {on: cart.updated}\nre_enter: after_exit"))
    ann = await stage.customer()
    at = MONDAY
    await asyncio.gather(
        *(
            stage.parts.audience.ingest(ann, "cart.updated", occurred_at=at, received_at=at, properties={"n": number})
            for number in range(8)
        )
    )
    assert len(await stage.runs(ann)) == 1


async def test_a_customer_who_is_erased_in_a_loop_takes_the_run_along(stage: Stage) -> None:
    await stage.publish(
        journey("  - {id: again, wait: 1d}\n  - {send: email/welcome}\n  - loop: {to: again, at_most: 50}\n")
    )
    ann = await stage.customer()
    run = await stage.enrol(ann, "told")
    handle = stage.handle(run)
    async with stage.engine.begin() as db:
        await db.execute(delete(customers).where(customers.c.id == ann))
    await stage.time.bring(run, MONDAY + 2 * DAY)
    assert await handle.result() == "erased"
