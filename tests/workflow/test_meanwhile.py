"""What the world does in the middle of a run, and what becomes of the run: the outcomes that decision 19 states."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.testing import TimeSkipper

from activities.channels.channel import Message, Receipt, TryLater
from journeys.instruction import Event
from records import tables
from records.people import consents, suppressions, upserts
from records.runs import holds, versions
from records.runs.enrolments import Enrolment
from tests.workflow.stage import ROOT, Stage, staged

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
NONE = timedelta()
MONDAY = datetime(2026, 3, 23, 6, 0, tzinfo=UTC)

STORY = """
journey: story
title: Story
enter: {on: customer.signed_up}
exit: [{on: customer.left, as: gone}]
goal: {on: order.placed}
steps:
  - send: email/welcome
  - wait: 2d
  - send: email/brew_guide
  - wait_for: {on: survey.answered, up_to: 3d}
    then: [{tag: spoke}]
    else: [{tag: silent}]
  - wait_for: {on: survey.answered, up_to: 3d}
    then: [{finish: twice}]
    else: [{finish: once}]
"""
LIMIT = 5 * DAY
"""When the first of the two waits for an answer ends."""


class Post:
    """A channel that keeps what it is given, unless it is busy."""

    name = "email"

    def __init__(self) -> None:
        self.busy = False
        self.messages: list[Message] = []

    async def send(self, message: Message) -> Receipt:
        if self.busy:
            raise TryLater("busy")
        self.messages.append(message)
        return Receipt(None, "kept")

    async def check(self) -> str:
        return "kept"

    async def close(self) -> None:
        pass

    @property
    def addresses(self) -> list[str]:
        return [message.address for message in self.messages]


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """The messages, to be edited."""
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    return tmp_path / "templates"


@pytest.fixture
async def stage(
    engine: AsyncEngine, client: Client, tmp_path: Path, post: Post, templates: Path
) -> AsyncIterator[Stage]:
    home = tmp_path / "home"
    async with staged(engine, client, home, channels={"email": post}, templates=templates, start=MONDAY) as one:
        yield one


async def signed_up(stage: Stage, name: str = "Ann") -> tuple[int, Enrolment]:
    """Somebody who has signed up and been greeted."""
    customer = await stage.customer(name)
    await stage.event(customer, "customer.signed_up", NONE)
    [run] = await stage.runs(customer)
    return customer, run


async def outcomes(stage: Stage, customer: int) -> list[tuple[str, str, str | None]]:
    return [(touch.message, touch.status, touch.because) for touch in await stage.touches(customer)]


async def withdraw(stage: Stage, customer: int, after: timedelta) -> None:
    async with stage.engine.begin() as db:
        await consents.record(db, customer, "email", False, "said so at the counter", stage.start + after)


async def erase(stage: Stage, customer: int) -> None:
    async with stage.engine.begin() as db:
        await db.execute(delete(tables.customers).where(tables.customers.c.id == customer))


async def tell(stage: Stage, customer: int, name: str, happened: timedelta, told: timedelta) -> None:
    """Tell of an event when it is over already; everything until then has come to pass."""
    await stage.pass_time(customer, told - timedelta(minutes=1))
    at, now = stage.start + happened, stage.start + told
    await stage.parts.audience.ingest(customer, name, occurred_at=at, received_at=now)
    await stage.pass_time(customer, told)


# The contact


@pytest.mark.parametrize("when", ["before the first turn", "while a mail is put off", "while paused"])
async def test_a_contact_who_is_erased_takes_the_run_along_wherever_it_stands(
    stage: Stage, post: Post, when: str
) -> None:
    await stage.publish(STORY.replace("{on: customer.signed_up}", "api"))
    ann = await stage.customer()
    post.busy = when == "while a mail is put off"
    run = await stage.parts.audience.router.enrol(ann, "story", source="api", now=stage.start)
    if when != "before the first turn":
        await stage.pass_time(ann, NONE)
    if when == "while paused":
        async with stage.engine.begin() as db:
            await holds.hold(db, "customer", str(ann), by="mei", because=None, now=stage.start)
        await stage.pass_time(ann, 3 * DAY)
    await erase(stage, ann)
    post.busy, before = False, len(post.messages)
    if when == "while paused":
        await stage.handle(run).signal("happened", Event("1", "customer.left", stage.start))
    else:
        await TimeSkipper(stage.client).fast_forward(stage.handle(run), 3 * DAY)
    assert await stage.handle(run).result() == "erased"
    assert len(post.messages) == before


async def test_a_consent_that_is_withdrawn_during_a_wait_stops_the_next_message_and_not_the_run(stage: Stage) -> None:
    await stage.publish(STORY)
    ann, run = await signed_up(stage)
    await withdraw(stage, ann, DAY)
    await stage.pass_time(ann, 9 * DAY)
    assert await outcomes(stage, ann) == [
        ("email/welcome", "sent", None),
        ("email/brew_guide", "skipped", "consent to email was withdrawn"),
    ]
    assert (await stage.run(run.id)).outcome == "once"


@pytest.mark.parametrize("held", ["put off", "waits for its window"])
async def test_a_consent_that_is_withdrawn_while_a_message_stands_ready_stops_that_message(
    stage: Stage, post: Post, held: str
) -> None:
    post.busy = held == "put off"
    window = "" if post.busy else 'send_window: {from: "09:00", to: "20:00"}\n'
    await stage.publish(STORY.replace("steps:\n", f"{window}steps:\n", 1))
    ann, run = await signed_up(stage)
    assert await stage.touches(ann) == []
    post.busy = False
    await withdraw(stage, ann, timedelta(minutes=1))
    await stage.pass_time(ann, 6 * HOUR)
    assert await outcomes(stage, ann) == [("email/welcome", "skipped", "consent to email was withdrawn")]
    assert (await stage.run(run.id)).step == "wait-2d"
    assert post.messages == []


async def test_an_address_that_another_journey_found_dead_gets_no_further_message(stage: Stage) -> None:
    await stage.publish(STORY)
    ann, run = await signed_up(stage)
    async with stage.engine.begin() as db:
        await suppressions.add(
            db, "email", "ann@customers.example", reason="bounced", source="550", at=stage.start + DAY
        )
    await stage.pass_time(ann, 9 * DAY)
    assert [status for _, status, _ in await outcomes(stage, ann)] == ["sent", "skipped"]
    assert (await stage.run(run.id)).outcome == "once"


async def test_a_contact_with_a_new_address_gets_the_next_message_there(stage: Stage, post: Post) -> None:
    await stage.publish(STORY)
    ann = await stage.customer("Ann", external_id="c-1")
    await stage.event(ann, "customer.signed_up", NONE)
    async with stage.engine.begin() as db:
        moved = {"email": "ann@elsewhere.example"}
        await upserts.set_fields(db, ann, moved, because="she wrote to us", now=stage.start + DAY)
    await stage.pass_time(ann, 3 * DAY)
    assert post.addresses == ["ann@customers.example", "ann@elsewhere.example"]


# The message


async def test_a_message_whose_template_is_deleted_waits_for_it_and_nobody_is_stranded(
    stage: Stage, post: Post, templates: Path
) -> None:
    await stage.publish(STORY)
    (ann, waits), (bob, leaves) = [await signed_up(stage, name) for name in ("Ann", "Bob")]
    (templates / "email/brew_guide").rename(templates / "kept")
    # Hers has been put off for longer than a relay may put a message off.
    for who, run, until in ((ann, waits, 5 * DAY + 5 * HOUR), (bob, leaves, 3 * DAY)):
        await stage.pass_time(who, until)
        stands = await stage.run(run.id)
        assert (stands.step, (stands.instruction or {})["status"]) == ("send-email-brew-guide", "retrying")
        assert "email/brew_guide" in (stands.because or "")
    await stage.event(bob, "customer.left", 3 * DAY + HOUR)
    (templates / "kept").rename(templates / "email/brew_guide")
    await stage.pass_time(ann, 6 * DAY)
    assert [one[:2] for one in await outcomes(stage, ann)] == [("email/welcome", "sent"), ("email/brew_guide", "sent")]
    assert (await stage.run(waits.id)).step == "wait-for-survey-answered"
    assert (await stage.run(leaves.id)).outcome == "gone"
    assert len(post.messages) == 3


async def test_a_message_that_is_edited_goes_out_as_it_is_then_and_nobody_gets_it_again(
    stage: Stage, post: Post, templates: Path
) -> None:
    await stage.publish(STORY)
    ann, _ = await signed_up(stage)
    for message in ("welcome", "brew_guide"):
        (templates / f"email/{message}/en/subject.txt").write_text("A better subject")
    await stage.pass_time(ann, 9 * DAY)
    assert [touch.message for touch in await stage.touches(ann)] == ["email/welcome", "email/brew_guide"]
    assert [message.subject == "A better subject" for message in post.messages] == [False, True]


# The journey


async def test_a_version_that_is_taken_back_carries_on_whom_it_has_and_newcomers_walk_the_one_before(
    stage: Stage,
) -> None:
    await stage.publish(STORY)
    ann, first = await signed_up(stage, "Ann")
    await stage.publish(STORY.replace("finish: once", "finish: second"))
    bob, second = await signed_up(stage, "Bob")
    async with stage.engine.begin() as db:
        await versions.unpublish(db, "story", 2)
    cid, third = await signed_up(stage, "Cid")
    await stage.event(ann, "customer.signed_up", HOUR)  # has been here, in whichever version
    for who in (ann, bob, cid):
        await stage.pass_time(who, 9 * DAY)
    runs = [await stage.run(run.id) for run in (first, second, third)]
    assert [(run.version, run.outcome) for run in runs] == [(1, "once"), (2, "second"), (1, "once")]
    assert len(await stage.runs(ann)) == 1
    assert [touch.message for touch in await stage.touches(ann)] == ["email/welcome", "email/brew_guide"]


async def test_a_journey_that_is_archived_is_not_started_by_another_which_goes_on(stage: Stage) -> None:
    await stage.publish(STORY)
    await stage.publish("journey: leads\ntitle: Leads\nenter: api\nsteps:\n  - wait: 1d\n  - start: story\n")
    ann = await stage.customer()
    run = await stage.enrol(ann, "leads")
    async with stage.engine.begin() as db:
        await versions.archive(db, "story")
    await stage.pass_time(ann, 2 * DAY)
    assert [(one.journey, one.outcome) for one in await stage.runs(ann)] == [("leads", "completed")]
    [line] = [line for line in await stage.lines(run.id) if line.kind == "start"]
    assert line.detail["seen"]["result"] == "not started: the journey story is archived"


# Events


async def test_an_answer_that_is_told_three_times_ends_one_wait_and_one_goal_is_counted(stage: Stage) -> None:
    await stage.publish(STORY)
    ann, run = await signed_up(stage)
    await stage.event(ann, "order.placed", DAY, 20)
    await stage.event(ann, "order.placed", DAY + HOUR, 30)
    at = stage.start + 3 * DAY
    await stage.time.meet(ann, at, "survey.answered")
    told = [
        await stage.parts.audience.ingest(ann, "survey.answered", occurred_at=at, received_at=at, key="answer-1")
        for _ in range(3)
    ]
    assert [one is not None for one in told] == [True, False, False]
    await stage.pass_time(ann, 9 * DAY)
    assert (await stage.run(run.id)).outcome == "once"
    assert (await stage.person(ann)).tags == ["spoke"]
    async with stage.engine.connect() as db:
        assert (await db.execute(select(func.count(), func.sum(tables.goals.c.value)))).one() == (1, 20)


async def test_an_exit_that_is_told_before_the_sign_up_it_followed_ends_the_run_before_its_first_message(
    stage: Stage,
) -> None:
    await stage.publish(STORY)
    ann = await stage.customer()
    await tell(stage, ann, "customer.left", HOUR, HOUR)
    await tell(stage, ann, "customer.signed_up", NONE, 2 * HOUR)
    [run] = await stage.runs(ann)
    assert (run.outcome, run.enrolled_at) == ("gone", stage.start)
    assert await stage.touches(ann) == []


async def test_an_exit_that_is_told_late_and_came_before_the_entry_ends_nothing(stage: Stage) -> None:
    await stage.publish(STORY)
    ann, run = await signed_up(stage)
    await tell(stage, ann, "customer.left", -HOUR, DAY)
    await stage.pass_time(ann, 9 * DAY)
    assert (await stage.run(run.id)).outcome == "once"


async def test_an_answer_a_second_before_the_limit_counts_even_if_nobody_tells_the_run(stage: Stage) -> None:
    await stage.publish(STORY)
    ann, _ = await signed_up(stage)
    await stage.pass_time(ann, 3 * DAY)
    await stage.store(ann, "survey.answered", LIMIT - timedelta(seconds=1))
    await stage.pass_time(ann, LIMIT)
    assert (await stage.person(ann)).tags == ["spoke"]


async def test_an_answer_that_is_told_after_the_limit_undoes_nothing_though_it_came_in_time(stage: Stage) -> None:
    await stage.publish(STORY)
    ann, run = await signed_up(stage)
    await tell(stage, ann, "survey.answered", LIMIT - timedelta(seconds=1), LIMIT + HOUR)
    await stage.pass_time(ann, 9 * DAY)
    assert (await stage.person(ann)).tags == ["silent"]
    assert (await stage.run(run.id)).outcome == "once"


async def test_of_two_answers_that_are_told_in_the_wrong_order_the_older_one_ends_no_second_wait(stage: Stage) -> None:
    await stage.publish(STORY)
    ann, run = await signed_up(stage)
    await stage.event(ann, "survey.answered", 4 * DAY)
    await tell(stage, ann, "survey.answered", 3 * DAY, 4 * DAY + HOUR)
    assert (await stage.run(run.id)).step == "wait-for-survey-answered-2"
    await stage.pass_time(ann, 9 * DAY)
    assert (await stage.run(run.id)).outcome == "once"


async def test_a_goal_that_is_told_after_the_run_has_ended_is_not_counted_for_it(stage: Stage) -> None:
    await stage.publish(STORY)
    ann, run = await signed_up(stage)
    await stage.event(ann, "customer.left", DAY)
    await tell(stage, ann, "order.placed", HOUR, 2 * DAY)
    assert (await stage.run(run.id)).outcome == "gone"
    async with stage.engine.connect() as db:
        assert (await db.execute(select(func.count()).select_from(tables.goals))).scalar() == 0
