"""Pausing holds: nobody is ejected, nothing is sent; resuming says what becomes of what is overdue."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from activities.entering.audience import NotEnrollable
from activities.operating.holding import Holding, Told
from activities.operating.scopes import NotHeld, Preview, Scope, Way, preview
from records.runs import holds, orders, versions
from records.runs.enrolments import Enrolment
from records.runs.holds import EVERYTHING, Kind
from tests.workflow.stage import Stage

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
NONE = timedelta()

SLOW = """
journey: slow
title: Slow
enter: api
exit: [{on: customer.left, as: gone}]
goal: {on: order.placed}
steps:
  - wait: 2d
  - send: email/welcome
  - wait_for: {on: email.clicked, message: email/welcome, up_to: 3d}
    then: [{tag: keen}]
    else: [{tag: cool}]
  - wait: 40d
"""
BRISK = """
journey: brisk
title: Brisk
enter: api
steps:
  - send: email/welcome
  - wait: 1d
"""


class Switch:
    """Pauses and resumes on a stage, in its virtual time."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.holding = Holding(stage.engine, stage.parts.audience.router)

    async def pause(self, kind: Kind, name: str, after: timedelta, **values: Any) -> None:
        async with self.stage.engine.begin() as db:
            now = self.stage.start + after
            assert await holds.hold(db, kind, name, by="mei", because=None, now=now, **values)

    async def resume(
        self, kind: Kind, name: str, after: timedelta, way: Way, *runs: Enrolment, over: timedelta = HOUR
    ) -> tuple[Preview, Told]:
        """Resume, the runs being brought to that moment; returns once they have dealt with it."""
        before = [await self.stage.run(run.id) for run in runs]
        for run in before:
            await self.stage.time.bring(run, self.stage.start + after)
        found, told = await self.holding.resume(
            Scope(kind, name, name), way, over=over, by="mei", now=self.stage.start + after
        )
        await self.stage.time.moved(before)
        return found, told

    async def stop(self, kind: Kind, name: str, after: timedelta) -> Told:
        return await self.holding.stop(Scope(kind, name, name), by="mei", because="over", now=self.stage.start + after)


@pytest.fixture
def switch(stage: Stage) -> Switch:
    return Switch(stage)


async def entered(stage: Stage, *names: str, journey: str = "slow", text: str = SLOW) -> list[Enrolment]:
    await stage.publish(text)
    return [await stage.enrol(await stage.customer(name), journey) for name in names]


def state(run: Enrolment) -> str:
    return str((run.instruction or {}).get("status"))


def close(moment: datetime | None, expected: datetime) -> bool:
    """Whether a moment is the expected one; the clocks of a stage run on by themselves, by seconds."""
    return moment is not None and abs(moment - expected) < timedelta(minutes=2)


# Standing still


@pytest.mark.parametrize("kind", ["all", "journey", "customer"])
async def test_a_paused_run_stands_still_when_its_wait_is_over_and_goes_on_from_there(
    stage: Stage, switch: Switch, kind: Kind
) -> None:
    [run] = await entered(stage, "Ann")
    name = {"all": EVERYTHING, "journey": "slow", "customer": str(run.customer_id)}[kind]
    await switch.pause(kind, name, DAY)
    await stage.pass_time(run.customer_id, 20 * DAY)
    held = await stage.run(run.id)
    assert (state(held), held.step, held.wakes_at, held.outcome) == ("paused", "wait-2d", None, None)
    assert "paused" in (held.because or "")
    assert await stage.touches(run.customer_id) == []
    found, _ = await switch.resume(kind, name, 20 * DAY, "spread", run, over=NONE)
    assert (found.overdue, found.waits, found.messages) == (1, 1, 0)
    assert [touch.status for touch in await stage.touches(run.customer_id)] == ["sent"]
    assert (await stage.run(run.id)).step == "wait-for-email-clicked"


async def test_a_run_that_is_not_overdue_waits_on_as_if_nothing_had_been(stage: Stage, switch: Switch) -> None:
    [run] = await entered(stage, "Ann")
    await switch.pause("journey", "slow", DAY)
    found, told = await switch.resume("journey", "slow", DAY + HOUR, "spread")
    assert (found.overdue, found.open, told.ordered) == (0, 1, 0)
    assert await stage.run(run.id) == run
    await stage.pass_time(run.customer_id, 2 * DAY)
    assert [touch.status for touch in await stage.touches(run.customer_id)] == ["sent"]


async def test_exits_act_during_a_pause_and_goals_are_noted(stage: Stage, switch: Switch) -> None:
    ann, bob = await entered(stage, "Ann", "Bob")
    await switch.pause("all", EVERYTHING, DAY)
    for run in (ann, bob):
        await stage.pass_time(run.customer_id, 3 * DAY)
    await stage.event(ann.customer_id, "customer.left", 4 * DAY)
    await stage.event(bob.customer_id, "order.placed", 4 * DAY)
    assert (await stage.run(ann.id)).outcome == "gone"
    assert state(await stage.run(bob.id)) == "paused"
    assert ("goal", "wait-2d") in await stage.path(bob.id)


async def test_who_enters_during_a_pause_stands_at_the_entry_and_begins_when_it_is_lifted(
    stage: Stage, switch: Switch
) -> None:
    await stage.publish(BRISK)
    await switch.pause("journey", "brisk", NONE)
    ann = await stage.customer()
    run = await stage.enrol(ann, "brisk")
    assert (state(run), run.step) == ("paused", "entry")
    found, _ = await switch.resume("journey", "brisk", DAY, "skip", run)
    assert found.entries == 1
    assert [touch.status for touch in await stage.touches(ann)] == ["sent"]
    assert (await stage.run(run.id)).step == "wait-1d"


async def test_who_leaves_before_the_pause_is_lifted_never_begins(stage: Stage, switch: Switch) -> None:
    await stage.publish(SLOW)
    await switch.pause("journey", "slow", NONE)
    ann = await stage.customer()
    run = await stage.enrol(ann, "slow")
    await stage.event(ann, "customer.left", DAY)
    assert (await stage.run(run.id)).outcome == "gone"


async def test_on_a_paused_channel_a_message_waits_and_everything_else_goes_on(stage: Stage, switch: Switch) -> None:
    await switch.pause("channel", "email", NONE)
    [run] = await entered(stage, "Ann")
    await stage.pass_time(run.customer_id, 5 * DAY)
    held = await stage.run(run.id)
    assert (state(held), held.step) == ("paused", "send-email-welcome")
    assert await stage.touches(run.customer_id) == []
    found, _ = await switch.resume("channel", "email", 5 * DAY, "spread", run, over=NONE)
    assert found.messages == 1
    assert [touch.status for touch in await stage.touches(run.customer_id)] == ["sent"]


async def test_while_sms_is_paused_mails_leave(stage: Stage, switch: Switch) -> None:
    await switch.pause("channel", "sms", NONE)
    [run] = await entered(stage, "Ann", journey="brisk", text=BRISK)
    assert [touch.status for touch in await stage.touches(run.customer_id)] == ["sent"]


async def test_an_event_that_comes_in_time_counts_although_the_run_was_held(stage: Stage, switch: Switch) -> None:
    ann, bob, cid = await entered(stage, "Ann", "Bob", "Cid")
    for run in (ann, bob, cid):
        await stage.pass_time(run.customer_id, 2 * DAY + HOUR)
    await switch.pause("journey", "slow", 3 * DAY)
    await stage.event(ann.customer_id, "email.clicked", 4 * DAY, message="email/welcome")
    await stage.pass_time(bob.customer_id, 7 * DAY)
    await stage.event(bob.customer_id, "email.clicked", 8 * DAY, message="email/welcome")
    assert [state(await stage.run(run.id)) for run in (ann, bob)] == ["paused", "paused"]
    await stage.pass_time(cid.customer_id, 9 * DAY)
    await switch.resume("journey", "slow", 9 * DAY, "skip", ann, bob, cid)
    tags = [(await stage.person(run.customer_id)).tags for run in (ann, bob, cid)]
    assert tags == [["keen"], ["cool"], ["cool"]]  # Bob's came after the time limit


# Resuming


async def test_what_is_overdue_goes_on_at_moments_spread_over_the_window(stage: Stage, switch: Switch) -> None:
    runs = await entered(stage, *(f"P{number}" for number in range(6)))
    await switch.pause("journey", "slow", DAY)
    for run in runs:
        await stage.pass_time(run.customer_id, 4 * DAY)
    found, told = await switch.resume("journey", "slow", 5 * DAY, "spread", *runs, over=4 * HOUR)
    assert (found.overdue, told.ordered, told.told, told.away) == (6, 6, 6, None)
    moments = [(await stage.run(run.id)).wakes_at for run in runs]
    at = stage.start + 5 * DAY
    assert all(moment is not None and at <= moment < at + 4 * HOUR for moment in moments)
    assert len(set(moments)) == 6
    for run in runs:
        await stage.pass_time(run.customer_id, 5 * DAY + 4 * HOUR)
    sent = [(await stage.touches(run.customer_id))[0] for run in runs]
    assert [touch.status for touch in sent] == ["sent"] * 6
    assert [close(touch.claimed_at, moment) for touch, moment in zip(sent, moments, strict=True) if moment] == [
        True
    ] * 6


async def test_shift_moves_everything_by_the_length_of_the_pause_overdue_or_not(stage: Stage, switch: Switch) -> None:
    late, early = await entered(stage, "Ann", "Bob")
    await stage.pass_time(late.customer_id, NONE)
    await switch.pause("journey", "slow", 36 * HOUR)
    await stage.pass_time(late.customer_id, 3 * DAY)
    await switch.resume("journey", "slow", 36 * HOUR + DAY, "shift", late, early)
    for run in (late, early):
        await stage.time.carry_all(run.customer_id, stage.start + 36 * HOUR + DAY)
        moved = await stage.run(run.id)
        assert close(moved.wakes_at, stage.start + 3 * DAY), moved
    for run in (late, early):
        await stage.pass_time(run.customer_id, 3 * DAY + HOUR)
        [touch] = await stage.touches(run.customer_id)
        assert (touch.status, close(touch.claimed_at, stage.start + 3 * DAY)) == ("sent", True)


async def test_skip_leaves_out_overdue_messages_and_ends_overdue_waits(stage: Stage, switch: Switch) -> None:
    at_message, at_wait = await entered(stage, "Ann", "Bob")
    await switch.pause("channel", "email", NONE)
    await stage.pass_time(at_message.customer_id, 3 * DAY)
    await switch.pause("journey", "slow", DAY)
    await stage.pass_time(at_wait.customer_id, 3 * DAY)
    await switch.resume("channel", "email", 4 * DAY, "skip")  # the journey still holds both
    await switch.resume("journey", "slow", 4 * DAY, "skip", at_message, at_wait)
    [skipped] = await stage.touches(at_message.customer_id)
    assert (skipped.status, skipped.because) == ("skipped", "paused")
    [sent] = await stage.touches(at_wait.customer_id)
    assert sent.status == "sent"
    assert [(await stage.run(run.id)).step for run in (at_message, at_wait)] == ["wait-for-email-clicked"] * 2


async def test_what_two_pauses_hold_goes_on_when_the_last_is_lifted(stage: Stage, switch: Switch) -> None:
    [run] = await entered(stage, "Ann")
    await switch.pause("all", EVERYTHING, DAY)
    await switch.pause("customer", str(run.customer_id), DAY)
    await stage.pass_time(run.customer_id, 3 * DAY)
    found, told = await switch.resume("all", EVERYTHING, 3 * DAY, "spread", over=NONE)
    assert (found.overdue, found.still_held, told.ordered) == (0, 1, 0)
    assert state(await stage.run(run.id)) == "paused"
    await switch.resume("customer", str(run.customer_id), 4 * DAY, "spread", run, over=NONE)
    assert [touch.status for touch in await stage.touches(run.customer_id)] == ["sent"]


async def test_what_is_paused_again_before_its_moment_stays_where_it_is(stage: Stage, switch: Switch) -> None:
    [run] = await entered(stage, "Ann")
    await switch.pause("journey", "slow", DAY)
    await stage.pass_time(run.customer_id, 3 * DAY)
    await switch.resume("journey", "slow", 4 * DAY, "spread", run, over=4 * HOUR)
    assert state(await stage.run(run.id)) == "waiting"
    await switch.pause("journey", "slow", 4 * DAY)
    await stage.pass_time(run.customer_id, 5 * DAY)
    assert state(await stage.run(run.id)) == "paused"
    assert await stage.touches(run.customer_id) == []


async def test_there_is_nothing_to_resume_where_nothing_is_held(stage: Stage, switch: Switch) -> None:
    with pytest.raises(NotHeld, match="nothing to resume"):
        await switch.resume("all", EVERYTHING, NONE, "spread")
    async with stage.engine.connect() as db:
        with pytest.raises(NotHeld):
            await preview(db, Scope.everything())


async def test_a_preview_counts_and_changes_nothing(stage: Stage, switch: Switch) -> None:
    [run] = await entered(stage, "Ann")
    await switch.pause("journey", "slow", DAY)
    await stage.pass_time(run.customer_id, 3 * DAY)
    async with stage.engine.connect() as db:
        found = await preview(db, Scope("journey", "slow", "the journey slow"))
        assert (found.overdue, found.waits, found.still_held, found.open) == (1, 1, 0, 1)
        assert await holds.find(db, "journey", "slow") == found.hold
    assert state(await stage.run(run.id)) == "paused"


async def test_an_event_that_came_during_the_pause_is_moved_by_its_length_too(stage: Stage, switch: Switch) -> None:
    [run] = await entered(stage, "Ann")
    await stage.pass_time(run.customer_id, 2 * DAY + HOUR)
    await switch.pause("journey", "slow", 3 * DAY)
    await stage.event(run.customer_id, "email.clicked", 4 * DAY, message="email/welcome")
    await switch.resume("journey", "slow", 6 * DAY, "shift", run)
    assert close((await stage.run(run.id)).wakes_at, stage.start + 7 * DAY)
    await stage.pass_time(run.customer_id, 7 * DAY)
    assert (await stage.person(run.customer_id)).tags == ["keen"]


async def test_who_stood_at_the_entry_begins_within_the_window(stage: Stage, switch: Switch) -> None:
    await stage.publish(BRISK)
    await switch.pause("all", EVERYTHING, NONE)
    runs = [await stage.enrol(await stage.customer(name), "brisk") for name in ("Ann", "Bob")]
    await switch.resume("all", EVERYTHING, DAY, "spread", *runs, over=4 * HOUR)
    at = stage.start + DAY
    begins = [(await stage.run(run.id)).wakes_at for run in runs]
    assert all(moment is not None and at <= moment < at + 4 * HOUR for moment in begins)
    for run in runs:
        await stage.pass_time(run.customer_id, DAY + 4 * HOUR)
        assert [touch.status for touch in await stage.touches(run.customer_id)] == ["sent"]


# Crashes


async def test_orders_that_nobody_told_the_runs_of_are_told_by_the_sweep(stage: Stage, switch: Switch) -> None:
    runs = await entered(stage, "Ann", "Bob")
    async with stage.engine.begin() as db:  # and then the command died
        await orders.give_many(
            db, holds.covers("journey", "slow"), "exit", {"outcome": "stopped"}, by="mei",
            now=stage.start - DAY,
        )  # fmt: skip
    await stage.parts.sweeping.sweep()
    await stage.time.moved(runs)
    assert [(await stage.run(run.id)).outcome for run in runs] == ["stopped", "stopped"]


async def test_a_run_whose_turn_crossed_with_the_release_is_let_go_by_the_sweep(stage: Stage, switch: Switch) -> None:
    [run] = await entered(stage, "Ann")
    await switch.pause("journey", "slow", DAY)
    await stage.pass_time(run.customer_id, 3 * DAY)
    async with stage.engine.begin() as db:  # the hold is gone, and no order came of it
        await holds.release(db, "journey", "slow")
    held = await stage.run(run.id)
    await stage.parts.sweeping.sweep()
    await stage.time.moved([held])
    assert [touch.status for touch in await stage.touches(run.customer_id)] == ["sent"]


async def test_told_twice_a_run_does_it_once(stage: Stage, switch: Switch) -> None:
    [run] = await entered(stage, "Ann")
    await switch.pause("journey", "slow", DAY)
    await stage.pass_time(run.customer_id, 3 * DAY)
    await switch.resume("journey", "slow", 4 * DAY, "skip", run)
    await stage.parts.sweeping.sweep()
    await stage.settled(run.customer_id)
    path = await stage.path(run.id)
    assert path.count(("resume", "wait-2d")) == 1
    assert len(await stage.touches(run.customer_id)) == 1


# Stopping


async def test_a_stopped_journey_ends_its_runs_and_takes_nobody_in(stage: Stage, switch: Switch) -> None:
    waiting, paused = await entered(stage, "Ann", "Bob")
    await switch.pause("journey", "slow", DAY)
    await stage.pass_time(paused.customer_id, 3 * DAY)
    before = [await stage.run(run.id) for run in (waiting, paused)]
    told = await switch.stop("journey", "slow", 3 * DAY)
    await stage.time.moved(before)
    assert (told.ordered, told.told) == (2, 2)
    assert [(await stage.run(run.id)).outcome for run in (waiting, paused)] == ["stopped", "stopped"]
    assert [await stage.handle(run).result() for run in (waiting, paused)] == ["stopped", "stopped"]
    async with stage.engine.connect() as db:
        live = await versions.live(db, "slow")
        assert live is not None
        assert live.status == "archived"
        assert await holds.listing(db) == []
    with pytest.raises(NotEnrollable):
        await stage.enrol(await stage.customer("Cid"), "slow")


async def test_a_stopped_customer_leaves_all_journeys_and_others_go_on(stage: Stage, switch: Switch) -> None:
    ann, bob = await entered(stage, "Ann", "Bob")
    await stage.publish(BRISK)
    second = await stage.enrol(ann.customer_id, "brisk")
    before = [await stage.run(run.id) for run in (ann, second)]
    await switch.stop("customer", str(ann.customer_id), HOUR)
    await stage.time.moved(before)
    assert [(await stage.run(run.id)).outcome for run in (ann, second, bob)] == ["stopped", "stopped", None]


async def test_everything_stopped_ends_every_run(stage: Stage, switch: Switch) -> None:
    runs = await entered(stage, "Ann", "Bob")
    assert (await switch.stop("all", EVERYTHING, HOUR)).ordered == 2
    await stage.time.moved(runs)
    assert [(await stage.run(run.id)).outcome for run in runs] == ["stopped", "stopped"]


async def test_on_a_stopped_channel_messages_are_skipped_until_it_is_resumed(stage: Stage, switch: Switch) -> None:
    await switch.stop("channel", "email", NONE)
    [ann] = await entered(stage, "Ann", journey="brisk", text=BRISK)
    [touch] = await stage.touches(ann.customer_id)
    assert (touch.status, touch.because) == ("skipped", "the channel email is stopped")
    found, told = await switch.resume("channel", "email", DAY, "spread")
    assert (found.hold.mode, told.ordered) == ("stop", 0)
    bob = await stage.enrol(await stage.customer("Bob"), "brisk")
    assert [touch.status for touch in await stage.touches(bob.customer_id)] == ["sent"]


async def test_stopping_a_paused_channel_lets_those_who_stood_there_go_on_without_the_message(
    stage: Stage, switch: Switch
) -> None:
    await switch.pause("channel", "email", NONE)
    [run] = await entered(stage, "Ann", journey="brisk", text=BRISK)
    assert state(run) == "paused"
    await switch.stop("channel", "email", DAY)
    await stage.time.moved([run])
    [touch] = await stage.touches(run.customer_id)
    assert touch.status == "skipped"
    assert (await stage.run(run.id)).step == "wait-1d"
