"""Who enters, how often, and by what; and the events that end a run wherever it stands."""

from __future__ import annotations

from datetime import timedelta

import pytest

from activities.entering import sweeping
from activities.entering.audience import NotEnrollable
from records.runs import versions
from tests.workflow.stage import Stage

DAY = timedelta(days=1)
NONE = timedelta()

SIGN_UP = """
journey: greets
title: Greets
enter: {on: customer.signed_up, where: {consent: email}}
re_enter: RULE
steps:
  - send: email/welcome
  - wait: 10d
"""


async def test_an_event_enrols_whom_its_condition_welcomes(stage: Stage) -> None:
    await stage.publish(SIGN_UP.replace("RULE", "never"))
    ann, bob = await stage.customer("Ann"), await stage.customer("Bob", consents={"email": False})
    for customer in (ann, bob):
        await stage.event(customer, "customer.signed_up", NONE)
    assert stage.mailbox.to("ann@customers.example") != []
    assert stage.mailbox.to("bob@customers.example") == []
    assert (await stage.run(1)).source == "event"


@pytest.mark.parametrize(
    ("rule", "entered"),
    [
        ("never", [0]),
        ("after_exit", [0, 20, 40]),
        ("{after: 15d}", [0, 20, 40]),
        ("{after: 25d}", [0, 40]),
        ("always", [0, 5, 20, 40]),
    ],
)
async def test_a_customer_enters_again_by_the_rule_of_the_map(stage: Stage, rule: str, entered: list[int]) -> None:
    await stage.publish(SIGN_UP.replace("RULE", rule))
    ann = await stage.customer()
    for day in (0, 5, 20, 40):  # a run is over after ten days
        await stage.event(ann, "customer.signed_up", day * DAY)
    runs = await stage.runs(ann)
    assert [(run.enrolled_at - stage.start).days for run in runs] == entered
    assert [run.entry for run in runs] == list(range(1, len(entered) + 1))


async def test_a_customer_who_is_in_the_journey_is_refused_by_hand_with_the_reason(stage: Stage) -> None:
    await stage.publish(SIGN_UP.replace("RULE", "after_exit"))
    ann = await stage.customer()
    await stage.enrol(ann, "greets")
    with pytest.raises(NotEnrollable, match="is in this journey now"):
        await stage.enrol(ann, "greets")


async def test_an_archived_journey_takes_nobody_in_and_carries_on_whom_it_has(stage: Stage) -> None:
    await stage.publish(SIGN_UP.replace("RULE", "never"))
    ann, bob = await stage.customer("Ann"), await stage.customer("Bob")
    run = await stage.enrol(ann, "greets")
    async with stage.engine.begin() as db:
        await versions.set_status(db, "greets", "archived")
    with pytest.raises(NotEnrollable, match="is archived"):
        await stage.enrol(bob, "greets")
    await stage.event(bob, "customer.signed_up", DAY)
    await stage.pass_time(ann, 10 * DAY)
    assert (await stage.run(run.id)).outcome == "completed"
    assert await stage.runs(bob) == []


async def test_a_run_stays_on_the_version_that_it_entered_with(stage: Stage) -> None:
    await stage.publish(SIGN_UP.replace("RULE", "never") + "  - finish: first\n")
    ann, bob = await stage.customer("Ann"), await stage.customer("Bob")
    await stage.enrol(ann, "greets")
    await stage.publish(SIGN_UP.replace("RULE", "never") + "  - finish: second\n")
    await stage.enrol(bob, "greets")
    for customer in (ann, bob):
        await stage.pass_time(customer, 10 * DAY)
    assert [(run.version, run.outcome) for run in (await stage.run(1), await stage.run(2))] == [
        (1, "first"), (2, "second"),
    ]  # fmt: skip


async def test_the_same_event_told_three_times_enrols_once(stage: Stage) -> None:
    await stage.publish(SIGN_UP.replace("RULE", "always"))
    ann = await stage.customer()
    event = await stage.store(ann, "customer.signed_up", NONE)
    for _ in range(3):
        await stage.parts.audience.router.route(event)
    told = [
        await stage.parts.audience.ingest(
            ann, "customer.signed_up", occurred_at=stage.start, received_at=stage.start, key="twice"
        )
        for _ in range(2)
    ]
    await stage.pass_time(ann, NONE)
    assert told[1] is None
    assert len(await stage.runs(ann)) == 2  # one of each event
    assert len(stage.mailbox.messages) == 2


LEAVES = """
journey: leaves
title: Leaves
enter: {on: customer.signed_up}
goal: {on: order.placed, within: 30d}
exit:
  - {on: order.placed, with: {kind: box}, as: converted}
  - {on: customer.left, as: gone}
steps:
  - send: email/welcome
  - wait: 2d
  - send: email/brew_guide
  - wait_for: {on: email.clicked, message: email/brew_guide, up_to: 3d}
    then: [{tag: keen}]
  - send: email/first_order
"""


async def test_an_exit_ends_a_run_at_once_in_the_middle_of_a_wait_and_nothing_more_is_sent(stage: Stage) -> None:
    await stage.publish(LEAVES)
    ann = await stage.customer()
    await stage.event(ann, "customer.signed_up", NONE)
    await stage.event(ann, "order.placed", DAY, kind="box")
    run = await stage.run(1)
    assert (run.status, run.outcome, run.because) == ("exited", "converted", "order.placed came")
    assert run.ended_at is not None
    assert run.ended_at - stage.start < DAY + timedelta(hours=1)
    assert await stage.handle(run).result() == "converted"
    assert len(stage.mailbox.messages) == 1
    assert (await stage.path(run.id))[-1] == ("exit", "wait-2d")


async def test_an_event_that_lacks_what_the_exit_asks_for_ends_nothing(stage: Stage) -> None:
    await stage.publish(LEAVES)
    ann = await stage.customer()
    await stage.event(ann, "customer.signed_up", NONE)
    await stage.event(ann, "order.placed", DAY, kind="sample")
    await stage.pass_time(ann, 9 * DAY)
    assert (await stage.run(1)).outcome == "completed"
    assert len(stage.mailbox.messages) == 3


@pytest.mark.parametrize("days", [1, 3])
async def test_an_exit_whose_signal_was_lost_still_stops_the_next_mail(stage: Stage, days: int) -> None:
    await stage.publish(LEAVES)
    ann = await stage.customer()
    await stage.event(ann, "customer.signed_up", NONE)
    await stage.time.meet(ann, stage.start + days * DAY, "customer.left")
    sent = len(stage.mailbox.messages)
    await stage.store(ann, "customer.left", days * DAY)
    await stage.pass_time(ann, 9 * DAY)
    assert (await stage.run(1)).outcome == "gone"
    assert len(stage.mailbox.messages) == sent


async def test_an_event_that_was_stored_only_is_routed_by_the_sweep(stage: Stage) -> None:
    await stage.publish(LEAVES)
    ann = await stage.customer()
    await stage.store(ann, "customer.signed_up", -DAY)
    assert await stage.parts.sweeping.sweep() == 1
    await stage.pass_time(ann, NONE)
    assert len(await stage.runs(ann)) == 1
    assert await stage.parts.sweeping.sweep() == 0


async def test_after_a_long_outage_a_sweep_takes_up_page_after_page(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "EVENTS", 2)
    await stage.publish(LEAVES)
    ann = await stage.customer()
    for day in range(5):
        await stage.store(ann, "weather.changed", -DAY * (day + 1))
    assert await stage.parts.sweeping.sweep() == 5
    assert await stage.parts.sweeping.sweep() == 0


@pytest.mark.parametrize(("kind", "status"), [("sample", "finished"), ("box", "exited")])
async def test_a_goal_that_is_reached_stands_once_on_the_path_whether_or_not_it_ends_the_run(
    stage: Stage, kind: str, status: str
) -> None:
    await stage.publish(LEAVES)
    ann = await stage.customer()
    await stage.event(ann, "customer.signed_up", NONE)
    await stage.event(ann, "order.placed", DAY, kind=kind)
    await stage.pass_time(ann, 9 * DAY)
    run = await stage.run(1)
    assert run.status == status
    assert [one for one, _ in await stage.path(run.id)].count("goal") == 1


async def test_the_same_event_wakes_a_run_once(stage: Stage) -> None:
    await stage.publish(LEAVES)
    ann = await stage.customer()
    await stage.event(ann, "customer.signed_up", NONE)
    routed = await stage.event(ann, "order.placed", DAY, kind="sample")
    before = (await stage.run(1)).turn
    for _ in range(3):
        await stage.parts.audience.router.route(routed.event)
    state = await stage.handle(await stage.run(1)).query("state")
    assert state["turn"] == before == (await stage.run(1)).turn
