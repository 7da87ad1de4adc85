"""Telling one run what to do: it takes the order in a turn of its own, or says why not, and both are on record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.channels.email import EmailChannel
from activities.deliveries.settling import settle_by_hand
from activities.operating.explaining import explain
from activities.operating.holding import Holding
from activities.operating.scopes import Scope
from activities.operating.steering import Kind, OrderRefused, Steered, Steering
from records.runs import holds, orders
from records.runs.enrolments import Enrolment, UnknownRun
from records.runs.orders import Order
from records.tables import customers
from tests.relay import KEEP_AND_CLOSE, ScriptedRelay, relay
from tests.workflow.stage import Stage, staged
from workers.worker import working

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
NONE = timedelta()

MAP = """
journey: winding
title: Winding
enter: api
exit: [{on: customer.left, as: gone}]
steps:
  - wait: 2d
  - send: email/welcome
  - wait_for: {on: email.clicked, message: email/welcome, up_to: 3d}
    then: [{tag: keen}]
    else: [{tag: cool}]
  - branch:
      - when: {score: {at_least: 60}}
        steps: [{tag: hot}]
      - when: {all: [{tag: cool}, {country: DE}]}
        steps: [{tag: german}]
  - wait: 40d
  - finish: over
"""


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedRelay]:
    async with relay() as one:
        yield one


@pytest.fixture
async def stage(engine: AsyncEngine, client: Client, tmp_path: Path, scripted: ScriptedRelay) -> AsyncIterator[Stage]:
    email = EmailChannel(scripted.url, "Waymark <hello@waymark.example>")
    async with staged(engine, client, tmp_path, channels={"email": email}) as one:
        yield one
    await email.close()


async def entered(stage: Stage, **columns: Any) -> Enrolment:
    await stage.publish(MAP)
    return await stage.enrol(await stage.customer("Ann", **columns), "winding")


async def order(stage: Stage, run: Enrolment, kind: Kind, because: str | None = None, **args: Any) -> Steered:
    steering = Steering(stage.engine, stage.parts.audience.router)
    before = await stage.run(run.id)
    steered = await steering.order(run.id, kind, args, by="mei", because=because, now=stage.start)
    await stage.time.moved([before])
    await stage.settled(run.customer_id)
    return steered


async def refusal(stage: Stage, run: Enrolment, kind: Kind, **args: Any) -> OrderRefused:
    """What a run says to an order that makes no sense; it stands where it stood."""
    before = await stage.run(run.id)
    with pytest.raises(OrderRefused) as caught:
        await Steering(stage.engine, stage.parts.audience.router).order(run.id, kind, args, by="mei", now=stage.start)
    after = await stage.run(run.id)
    assert (after.step, after.status, after.wakes_at) == (before.step, before.status, before.wakes_at)
    last = (await given(stage, run))[-1]
    assert (last.kind, last.by, last.refusal) == (kind, "mei", caught.value.message)
    assert last.taken_at is not None
    return caught.value


async def given(stage: Stage, run: Enrolment) -> list[Order]:
    async with stage.engine.connect() as db:
        return await orders.of_run(db, run.id)


# Skip


async def test_a_wait_that_is_skipped_ends_as_if_its_time_were_over(stage: Stage) -> None:
    run = await entered(stage)
    steered = await order(stage, run, "skip", "she asked on the phone")
    assert steered.waiting is None
    assert [touch.status for touch in await stage.touches(run.customer_id)] == ["sent"]
    assert (await stage.run(run.id)).step == "wait-for-email-clicked"
    [wait, *_] = await stage.lines(run.id)
    assert (wait.kind, wait.step) == ("wait", "wait-2d")
    assert "skipped by mei: she asked on the phone" in wait.detail["because"]


async def test_an_event_that_is_no_longer_waited_for_did_not_come(stage: Stage) -> None:
    run = await entered(stage)
    await stage.pass_time(run.customer_id, 2 * DAY)
    await order(stage, run, "skip")
    assert (await stage.person(run.customer_id)).tags == ["cool"]


async def test_a_message_that_was_put_off_and_is_skipped_is_recorded_as_such(
    stage: Stage, scripted: ScriptedRelay
) -> None:
    scripted.answers = {"rcpt": "451 4.2.2 later"}
    run = await entered(stage)
    await stage.time.wake(await stage.run(run.id))
    assert (await stage.run(run.id)).step == "send-email-welcome"
    await order(stage, run, "skip")
    [touch] = await stage.touches(run.customer_id)
    assert (touch.status, touch.because) == ("skipped", "skipped by mei")
    assert (await stage.run(run.id)).step == "wait-for-email-clicked"


# Move


async def test_a_run_is_moved_to_any_step_of_its_version_and_goes_on_from_there(stage: Stage) -> None:
    run = await entered(stage)
    await order(stage, run, "move", to="wait-40d")
    moved = await stage.run(run.id)
    assert (moved.step, (moved.instruction or {}).get("status")) == ("wait-40d", "waiting")
    assert await stage.touches(run.customer_id) == []
    assert ("move", "wait-2d") in await stage.path(run.id)
    await stage.pass_time(run.customer_id, 41 * DAY)
    assert (await stage.run(run.id)).outcome == await stage.handle(run).result() == "over"


async def test_a_run_that_is_moved_back_visits_the_step_again_and_sends_again(stage: Stage) -> None:
    run = await entered(stage)
    await stage.pass_time(run.customer_id, 2 * DAY)
    await order(stage, run, "move", to="send-email-welcome")
    assert [(touch.step, touch.visit, touch.status) for touch in await stage.touches(run.customer_id)] == [
        ("send-email-welcome", 1, "sent"), ("send-email-welcome", 2, "sent"),
    ]  # fmt: skip


async def test_an_unknown_step_is_refused_with_the_nearest_word(stage: Stage) -> None:
    run = await entered(stage)
    said = await refusal(stage, run, "move", to="send-email-welcom")
    assert "'send-email-welcom' is no step of winding; did you mean 'send-email-welcome'?" in said.message
    assert said.hint is not None
    assert "version 1" in said.hint


async def test_a_step_of_a_newer_version_is_none_of_this_run(stage: Stage) -> None:
    run = await entered(stage)
    await stage.publish(MAP.replace("  - finish: over", "  - {id: extra, tag: late}"))
    assert "'extra' is no step" in (await refusal(stage, run, "move", to="extra")).message


# Exit


async def test_a_run_is_ended_by_hand_with_an_outcome(stage: Stage) -> None:
    run = await entered(stage)
    steered = await order(stage, run, "exit", "double entry", outcome="duplicate")
    assert steered.run.outcome == await stage.handle(run).result() == "duplicate"
    assert (await stage.run(run.id)).status == "exited"
    [line] = await stage.lines(run.id)
    assert (line.kind, line.detail["because"]) == ("exit", "ended by mei: double entry")


async def test_an_outcome_is_one_small_word(stage: Stage) -> None:
    run = await entered(stage)
    with pytest.raises(Exception, match="is no outcome"):
        await order(stage, run, "exit", outcome="Not This!")


# Retry


async def test_a_message_that_was_put_off_is_tried_again_at_once(stage: Stage, scripted: ScriptedRelay) -> None:
    scripted.answers = {"rcpt": "451 4.2.2 later"}
    run = await entered(stage)
    await stage.time.wake(await stage.run(run.id))
    assert ((await stage.run(run.id)).instruction or {})["status"] == "retrying"
    scripted.answers = {}
    await order(stage, run, "retry")
    assert [touch.status for touch in await stage.touches(run.customer_id)] == ["sent"]
    assert (await stage.run(run.id)).step == "wait-for-email-clicked"


async def test_retry_is_refused_where_nothing_is_put_off(stage: Stage) -> None:
    run = await entered(stage)
    assert (await refusal(stage, run, "retry")).message == (
        f"run {run.id} has nothing that was put off: it is waiting at wait-2d"
    )


# What makes no sense


@pytest.mark.parametrize("kind", ["skip", "move", "exit", "retry"])
async def test_a_run_that_has_ended_takes_no_orders(stage: Stage, kind: Kind) -> None:
    run = await entered(stage)
    await stage.event(run.customer_id, "customer.left", DAY)
    said = await refusal(stage, run, kind, outcome="x", to="wait-40d")
    assert f"run {run.id} has ended on" in said.message
    assert "with the outcome gone" in said.message


async def test_there_are_no_orders_to_a_run_that_there_is_not(stage: Stage) -> None:
    with pytest.raises(UnknownRun):
        await Steering(stage.engine, stage.parts.audience.router).order(404, "skip", by="mei", now=stage.start)


async def test_an_uncertain_message_is_settled_before_anything_else(stage: Stage, scripted: ScriptedRelay) -> None:
    scripted.answers = {"dot": KEEP_AND_CLOSE}
    run = await entered(stage)
    await stage.time.wake(await stage.run(run.id))
    assert ((await stage.run(run.id)).instruction or {})["status"] == "held"
    for kind in ("skip", "move", "retry"):
        said = await refusal(stage, run, kind, to="wait-40d")
        assert "may or may not have gone" in said.message
        assert f"waymark runs resolve {run.id}" in (said.hint or "")
    held = await stage.run(run.id)
    await settle_by_hand(stage.engine, stage.parts.audience.router, run.id, "sent", now=stage.start)
    await stage.time.moved([held])
    await order(stage, run, "skip")


async def test_a_message_that_was_settled_during_a_pause_is_neither_skipped_nor_sent_again(
    stage: Stage, scripted: ScriptedRelay
) -> None:
    scripted.answers = {"dot": KEEP_AND_CLOSE}
    run = await entered(stage)
    await stage.time.wake(await stage.run(run.id))
    async with stage.engine.begin() as db:
        await holds.hold(db, "journey", "winding", by="mei", because=None, now=stage.start)
    held = await stage.run(run.id)
    await settle_by_hand(stage.engine, stage.parts.audience.router, run.id, "sent", now=stage.start)
    await stage.time.moved([held])
    paused = await stage.run(run.id)
    assert ((paused.instruction or {})["status"], paused.step) == ("paused", "send-email-welcome")
    assert "settled already" in (await refusal(stage, run, "skip")).message
    paused = await stage.run(run.id)
    holding = Holding(stage.engine, stage.parts.audience.router)
    await holding.resume(Scope("journey", "winding", "winding"), "skip", by="mei", now=stage.start + 3 * DAY)
    await stage.time.moved([paused])
    assert (await stage.run(run.id)).step == "wait-for-email-clicked"
    assert [touch.status for touch in await stage.touches(run.customer_id)] == ["sent"]


@pytest.mark.parametrize("kind", ["skip", "move"])
async def test_a_message_that_is_leaving_can_be_neither_skipped_nor_passed_by(
    engine: AsyncEngine, client: Client, tmp_path: Path, kind: Kind
) -> None:
    async with staged(engine, client, tmp_path) as stage:
        run = await entered(stage)
        steering = Steering(engine, stage.parts.audience.router)
        said: list[str] = []

        async def meddle() -> None:
            try:
                await steering.order(run.id, kind, {"to": "wait-40d"}, by="mei", now=stage.start)
            except OrderRefused as refused:
                said.append(refused.message)

        stage.mailbox.meanwhile = meddle
        await stage.time.wake(await stage.run(run.id))
        assert said == [f"run {run.id} is sending email/welcome at this moment"]
        assert [touch.status for touch in await stage.touches(run.customer_id)] == ["sent"]


async def test_an_order_to_a_workflow_that_was_terminated_says_so(stage: Stage) -> None:
    run = await entered(stage)
    await stage.handle(run).terminate()
    said = await refusal(stage, run, "exit", outcome="x")
    assert "was terminated or deleted" in said.message
    assert "Reset the workflow" in (said.hint or "")


async def test_a_run_that_is_moved_under_a_pause_sends_nothing_until_it_is_lifted(stage: Stage) -> None:
    run = await entered(stage)
    async with stage.engine.begin() as db:
        await holds.hold(db, "journey", "winding", by="mei", because=None, now=stage.start)
    await order(stage, run, "move", to="send-email-welcome")
    moved = await stage.run(run.id)
    assert (moved.step, (moved.instruction or {}).get("status")) == ("send-email-welcome", "paused")
    assert await stage.touches(run.customer_id) == []


async def test_without_a_worker_the_order_stays_with_the_run_and_is_taken_when_one_is_back(
    engine: AsyncEngine, client: Client, tmp_path: Path
) -> None:
    async with staged(engine, client, tmp_path, workers=0) as stage:
        async with working(stage.parts):
            run = await entered(stage)
        steering = Steering(engine, stage.parts.audience.router)
        steered = await steering.order(
            run.id, "exit", {"outcome": "duplicate"}, by="mei", now=stage.start - DAY, patience=0.5
        )
        assert steered.waiting == "no worker has taken it yet"
        async with working(stage.parts):
            await stage.parts.sweeping.sweep()
            assert await stage.handle(run).result() == "duplicate"


async def test_orders_to_an_erased_customer_go_with_the_customer(stage: Stage) -> None:
    run = await entered(stage)
    async with stage.engine.begin() as db:
        await db.execute(delete(customers))
    with pytest.raises(UnknownRun):
        await Steering(stage.engine, stage.parts.audience.router).order(run.id, "skip", by="mei", now=stage.start)


# Explain


async def test_a_run_is_explained_with_every_step_what_was_seen_and_why(stage: Stage) -> None:
    run = await entered(stage, country="DE", time_zone="Asia/Tokyo")
    await stage.pass_time(run.customer_id, 6 * DAY)
    async with stage.engine.connect() as db:
        found = await explain(db, run.id, zone="UTC")
    assert (found.title, found.live_version, found.zone.key) == ("Winding", 1, "Asia/Tokyo")
    assert [(one.kind, one.step, one.visit) for one in found.passages] == [
        ("wait", "wait-2d", 1), ("send", "send-email-welcome", 1), ("wait_for", "wait-for-email-clicked", 1),
        ("tag", "tag-2", 1), ("branch", "branch", 1), ("tag", "tag-4", 1),
    ]  # fmt: skip
    branch = found.passages[4]
    assert branch.because == "tagged cool and country is DE"
    assert branch.seen == {"score at least 60": False, "tagged cool": True, "country is DE": True}
    sent = found.passages[1].touch
    assert sent is not None
    assert (sent.message, sent.status) == ("email/welcome", "sent")
    assert found.standing.state == "waiting"
    assert "wait 40 days" in found.standing.words
    assert found.standing.leaves_on == ["customer.left (gone)"]
    assert found.workflow == stage.handle(run).id


async def test_the_reason_behind_a_stand_is_said_in_plain_words(stage: Stage, scripted: ScriptedRelay) -> None:
    scripted.answers = {"rcpt": "451 4.2.2 mailbox busy"}
    run = await entered(stage)
    await stage.time.wake(await stage.run(run.id))
    async with stage.engine.connect() as db:
        words = (await explain(db, run.id, zone="UTC")).standing.words
    assert words.startswith("email/welcome was put off once, the last time because: ")
    assert "mailbox busy" in words
    async with stage.engine.begin() as db:
        await holds.hold(db, "channel", "email", by="mei", because="a broken relay", now=stage.start)
    await stage.time.wake(await stage.run(run.id))
    async with stage.engine.connect() as db:
        found = await explain(db, run.id, zone="UTC")
    assert found.standing.words == (
        "It would have gone on, but the channel email is paused by mei (a broken relay). "
        "It goes on when that is resumed."
    )
    assert [(one.kind, one.name) for one in found.holds] == [("channel", "email")]


async def test_an_explanation_lists_every_order_refused_ones_too(stage: Stage) -> None:
    run = await entered(stage)
    await refusal(stage, run, "retry")
    await order(stage, run, "skip", "she asked")
    async with stage.engine.connect() as db:
        found = await explain(db, run.id, zone="UTC")
    assert [(one.kind, one.because, bool(one.refusal)) for one in found.orders] == [
        ("retry", None, True), ("skip", "she asked", False),
    ]  # fmt: skip
