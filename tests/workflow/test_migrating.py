"""Runs go over from one version to another: where they are told to, with nothing sent twice, or not at all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from activities.operating.holding import Holding
from activities.operating.migrating import Migrating
from activities.operating.plans import Plan, StepsGone, plan
from activities.operating.scopes import Scope
from journeys.errors import WaymarkError
from records.runs import holds, orders, versions
from records.runs.enrolments import Enrolment
from records.runs.versions import UnknownJourney
from tests.workflow.stage import Stage

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def text(*steps: str) -> str:
    return "\n".join(["journey: slow", "title: Slow", "enter: api", "exit: [{on: customer.left, as: gone}]", "steps:",
                      *(f"  - {step}" for step in steps)])  # fmt: skip


HELLO, WAIT, GUIDE = "send: email/welcome", "wait: 2d", "send: email/brew_guide"
FIRST = text(HELLO, WAIT, GUIDE, "wait: 40d")


async def entered(stage: Stage, *names: str) -> list[Enrolment]:
    """Runs that stand at the first wait of the first version."""
    await stage.publish(FIRST)
    return [await stage.enrol(await stage.customer(name), "slow") for name in names]


async def preview(stage: Stage, **mapping: str) -> Plan:
    async with stage.engine.connect() as db:
        return await plan(db, "slow", 1, 2, {old.replace("_", "-"): new for old, new in mapping.items()})


async def move(stage: Stage, after: timedelta, *runs: Enrolment, mapping: dict[str, str] | None = None) -> int:
    """Move all runs of the first version to the second, these being brought to that moment; how many were told."""
    before = [await stage.run(run.id) for run in runs]
    for run in before:
        await stage.time.bring(run, stage.start + after)
    migrating = Migrating(stage.engine, stage.parts.audience.router)
    _, told = await migrating.migrate("slow", 1, 2, mapping or {}, by="mei", now=stage.start + after)
    await stage.time.moved(before)
    return told.ordered


async def sent(stage: Stage, run: Enrolment) -> list[str]:
    return [touch.message for touch in await stage.touches(run.customer_id) if touch.status == "sent"]


async def test_a_wait_that_became_longer_is_reckoned_from_when_it_began(stage: Stage) -> None:
    (ann,) = await entered(stage, "Ann")
    await stage.publish(text(HELLO, "wait: 3d", GUIDE))
    assert await move(stage, DAY, ann) == 1
    moved = await stage.run(ann.id)
    assert (moved.version, moved.step) == (2, "wait-3d")
    assert moved.wakes_at is not None
    assert ann.wakes_at is not None
    assert moved.wakes_at - ann.wakes_at == DAY
    await stage.pass_time(ann.customer_id, 4 * DAY)
    assert await sent(stage, ann) == ["email/welcome", "email/brew_guide"]
    assert (await stage.run(ann.id)).outcome == "completed"


async def test_those_whose_step_stayed_as_it_is_wait_on_until_the_same_time(stage: Stage) -> None:
    (ann,) = await entered(stage, "Ann")
    await stage.publish(text("tag: new", HELLO, WAIT, "send: email/first_order", "wait: 40d"))
    assert await move(stage, DAY, ann) == 1
    moved = await stage.run(ann.id)
    assert (moved.version, moved.step, moved.wakes_at) == (2, "wait-2d", ann.wakes_at)
    await stage.pass_time(ann.customer_id, 3 * DAY)
    assert await sent(stage, ann) == ["email/welcome", "email/first_order"]
    assert (await stage.person(ann.customer_id)).tags == []


async def test_nobody_is_moved_while_somebody_stands_at_a_step_that_is_gone(stage: Stage) -> None:
    runs = await entered(stage, "Ann", "Bob")
    await stage.publish(text(HELLO, GUIDE))
    with pytest.raises(
        StepsGone, match=r"lacks steps at which runs stand: wait-2d \(2 runs\)\. Nothing is moved"
    ) as no:
        await move(stage, DAY)
    assert "--map wait-2d=STEP" in (no.value.hint or "")
    async with stage.engine.connect() as db:
        assert [await orders.of_run(db, run.id) for run in runs] == [[], []]


async def test_those_at_a_step_that_is_gone_go_where_they_are_sent(stage: Stage) -> None:
    (ann,) = await entered(stage, "Ann")
    await stage.publish(text(HELLO, GUIDE, "wait: 9d"))
    (there,) = (await preview(stage, wait_2d="send-email-brew-guide")).moves
    assert (there.step, there.runs, there.to, there.fate) == ("wait-2d", 1, "send-email-brew-guide", "at_once")
    assert await move(stage, DAY, ann, mapping={"wait-2d": "send-email-brew-guide"}) == 1
    await stage.pass_time(ann.customer_id, DAY + HOUR)
    assert await sent(stage, ann) == ["email/welcome", "email/brew_guide"]
    assert (await stage.run(ann.id)).step == "wait-9d"
    lines = [line for line in await stage.lines(ann.id) if line.kind == "migrate"]
    assert [line.detail["because"] for line in lines] == ["moved from version 1 to 2 by mei"]


async def test_a_second_time_there_is_nobody_left_to_move(stage: Stage) -> None:
    (ann,) = await entered(stage, "Ann")
    await stage.publish(text(HELLO, "wait: 3d", GUIDE))
    assert await move(stage, DAY, ann) == 1
    assert await move(stage, DAY) == 0
    assert (await preview(stage)).runs == 0


async def test_a_run_that_moved_still_leaves_by_the_exits_of_its_new_version(stage: Stage) -> None:
    (ann,) = await entered(stage, "Ann")
    await stage.publish(text(HELLO, "wait: 3d").replace("customer.left, as: gone", "order.placed, as: bought"))
    await move(stage, DAY, ann)
    await stage.event(ann.customer_id, "order.placed", DAY + HOUR)
    assert (await stage.run(ann.id)).outcome == "bought"


async def test_a_preview_says_how_many_go_where_and_who_might_get_a_message_again(stage: Stage) -> None:
    await entered(stage, "Ann", "Bob")
    await stage.publish(text("wait: 1d", WAIT, HELLO, GUIDE))
    made = await preview(stage, wait_2d="wait-1d")
    (there,) = made.moves
    assert (there.step, there.runs, there.to, there.fate) == ("wait-2d", 2, "wait-1d", "recomputed")
    assert there.again == {"email/welcome": 2}
    assert (made.runs, made.gone) == (2, [])


async def test_a_plan_names_only_versions_and_steps_that_there_are(stage: Stage) -> None:
    await entered(stage, "Ann")
    with pytest.raises(UnknownJourney, match="no version 2"):
        await preview(stage)
    await stage.publish(text(HELLO, "wait: 3d", GUIDE))
    with pytest.raises(WaymarkError, match="did you mean 'wait-2d'"):
        await preview(stage, wait_2="wait-3d")
    with pytest.raises(WaymarkError, match="no step of the new version; did you mean 'wait-3d'"):
        await preview(stage, wait_2d="wait-4d")


async def test_an_archived_journey_lets_its_runs_finish_and_greets_nobody_twice(
    stage: Stage,
) -> None:
    signing_up = FIRST.replace("enter: api", "enter: {on: customer.signed_up}").replace("40d", "1d")
    await stage.publish(signing_up)
    ann = await stage.customer("Ann")
    await stage.event(ann, "customer.signed_up", 0 * DAY)
    async with stage.engine.begin() as db:
        await versions.archive(db, "slow")
    await stage.event(await stage.customer("Bob"), "customer.signed_up", HOUR)
    await stage.pass_time(ann, 4 * DAY)
    assert [run.outcome for run in await stage.runs(ann)] == ["completed"]
    await stage.publish(signing_up.replace("2d", "3d"))
    await stage.event(ann, "customer.signed_up", 5 * DAY)
    assert [run.version for run in await stage.runs(ann)] == [1]
    assert stage.mailbox.to("ann@customers.example").count(stage.mailbox.to("ann@customers.example")[0]) == 1
    assert stage.mailbox.to("bob@customers.example") == []


async def test_a_wait_that_changed_during_a_pause_is_reckoned_anew_when_the_run_is_let_go(stage: Stage) -> None:
    (ann,) = await entered(stage, "Ann")
    async with stage.engine.begin() as db:
        await holds.hold(db, "journey", "slow", by="mei", because=None, now=stage.start + DAY)
    await stage.pass_time(ann.customer_id, 3 * DAY)
    assert (await stage.run(ann.id)).wakes_at is None
    await stage.publish(text(HELLO, "wait: 5d", GUIDE))
    assert await move(stage, 3 * DAY, ann) == 1
    paused = await stage.run(ann.id)
    assert (paused.version, paused.step, paused.because) == (2, "wait-5d", "paused: journey slow")
    holding = Holding(stage.engine, stage.parts.audience.router)
    scope = Scope("journey", "slow", "slow")
    await holding.resume(scope, "spread", by="mei", now=stage.start + 3 * DAY + HOUR)
    await stage.time.moved([paused])
    assert ann.wakes_at is not None
    assert (await stage.run(ann.id)).wakes_at == ann.wakes_at + 3 * DAY
    await stage.pass_time(ann.customer_id, 6 * DAY)
    assert await sent(stage, ann) == ["email/welcome", "email/brew_guide"]
