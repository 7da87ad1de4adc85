"""What becomes of a message that cannot go, or not now; and that the journey goes on all the same."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.channels.email import EmailChannel
from journeys.instruction import Event
from records.messages import ledger
from records.messages.ledger import Slot
from records.people import suppressions
from tests.relay import KEEP_AND_CLOSE, ScriptedRelay, relay
from tests.workflow.stage import ROOT, Stage, staged

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
NONE = timedelta()

WRITES = """
journey: writes
title: Writes
enter: api
exit: [{on: customer.left, as: gone}]
steps:
  - send: email/welcome
  - tag: went_on
  - wait: 1d
"""


@asynccontextmanager
async def over(
    engine: AsyncEngine, client: Client, home: Path, answers: dict[str, str]
) -> AsyncIterator[tuple[Stage, ScriptedRelay]]:
    """A stage whose mail goes to a relay that says what it is told to say."""
    async with relay(answers) as scripted:
        email = EmailChannel(scripted.url, "Waymark <hello@waymark.example>")
        try:
            async with staged(engine, client, home, channels={"email": email}) as stage:
                await stage.publish(WRITES)
                yield stage, scripted
        finally:
            await email.close()


async def went_on(stage: Stage, customer: int) -> bool:
    return "went_on" in (await stage.person(customer)).tags


@pytest.mark.parametrize(
    ("columns", "because"),
    [
        ({"consents": {}}, "no consent to email"),
        ({"consents": {"email": False}}, "consent to email was withdrawn"),
        ({"email": None, "phone": "+4930901820"}, "no e-mail address"),
    ],
)
async def test_a_contact_who_may_not_be_written_to_is_skipped_with_the_reason_and_goes_on(
    stage: Stage, columns: dict[str, Any], because: str
) -> None:
    await stage.publish(WRITES)
    ann = await stage.customer(**columns)
    await stage.enrol(ann, "writes")
    (touch,) = await stage.touches(ann)
    assert (touch.status, touch.because) == ("skipped", because)
    assert await went_on(stage, ann)
    assert stage.mailbox.messages == []


async def test_an_address_that_is_suppressed_is_skipped_with_the_reason_and_goes_on(stage: Stage) -> None:
    await stage.publish(WRITES)
    ann = await stage.customer()
    async with stage.engine.begin() as db:
        await suppressions.add(
            db, "email", "ann@customers.example", reason="complained", source="test", at=stage.start
        )  # fmt: skip
    await stage.enrol(ann, "writes")
    (touch,) = await stage.touches(ann)
    assert (touch.status, touch.because) == ("skipped", "the address is suppressed: complained")
    assert await went_on(stage, ann)


async def test_a_hard_bounce_suppresses_the_address_and_the_journey_goes_on(
    engine: AsyncEngine, client: Client, tmp_path: Path
) -> None:
    async with over(engine, client, tmp_path, {"rcpt": "550 5.1.1 no such user"}) as (stage, _):
        ann = await stage.customer()
        await stage.enrol(ann, "writes")
        (touch,) = await stage.touches(ann)
        assert touch.status == "failed"
        assert await went_on(stage, ann)
        async with stage.engine.connect() as db:
            found = await suppressions.find(db, "email", "ann@customers.example")
        assert found is not None
        assert found.reason == "bounced"


async def test_a_bounce_is_an_event_that_other_journeys_hear(
    engine: AsyncEngine, client: Client, tmp_path: Path
) -> None:
    async with over(engine, client, tmp_path, {"rcpt": "550 5.1.1 no such user"}) as (stage, _):
        await stage.publish("journey: mends\ntitle: M\nenter: {on: email.bounced}\nsteps: [{tag: mend_address}]\n")
        ann = await stage.customer()
        run = await stage.enrol(ann, "writes")
        # The turn is written first and the bounce told to others then; after both the workflow knows of the turn.
        while (await stage.handle(run).query("state"))["act"] != "wait":
            pass
        (mends,) = [one for one in await stage.runs(ann) if one.journey == "mends"]
        await stage.time.carry_all(ann, mends.begins_at)
        assert "mend_address" in (await stage.person(ann)).tags


async def test_a_message_refused_for_now_goes_later_with_the_same_message_id(
    engine: AsyncEngine, client: Client, tmp_path: Path
) -> None:
    async with over(engine, client, tmp_path, {"dot": "451 4.7.1 greylisted"}) as (stage, scripted):
        ann = await stage.customer()
        run = await stage.enrol(ann, "writes")
        assert (run.step, run.awaiting) == ("send-email-welcome", ["customer.left"])
        assert run.because is not None
        assert "greylisted" in run.because
        assert await stage.touches(ann) == []
        await stage.pass_time(ann, HOUR)
        assert not await went_on(stage, ann)
        tried = scripted.commands.count("DATA")
        assert tried > 2
        scripted.answers = {}
        await stage.pass_time(ann, 8 * HOUR)
        (touch,) = await stage.touches(ann)
        assert (touch.status, touch.attempts) == ("sent", tried + 1)
        (mail,) = scripted.received
        assert touch.key in message_from_bytes(mail)["Message-ID"]
        assert await went_on(stage, ann)


async def test_every_message_has_an_id_of_its_own_that_its_touch_keeps(
    engine: AsyncEngine, client: Client, tmp_path: Path
) -> None:
    async with over(engine, client, tmp_path, {"dot": KEEP_AND_CLOSE}) as (stage, scripted):
        await stage.publish(WRITES.replace("send: email/welcome", "send: email/welcome\n    if_uncertain: go_on"))
        ann, bob = await stage.customer("Ann"), await stage.customer("Bob")
        for customer in (ann, bob):
            await stage.enrol(customer, "writes")
        ids = [message_from_bytes(mail)["Message-ID"] for mail in scripted.received]
        touches = [(await stage.touches(customer))[0] for customer in (ann, bob)]
        assert [touch.status for touch in touches] == ["uncertain", "uncertain"]
        assert len(set(ids)) == len(ids) == 2
        assert all(touch.key in one for touch, one in zip(touches, ids, strict=True))


async def test_a_run_whose_message_is_put_off_can_still_leave(
    engine: AsyncEngine, client: Client, tmp_path: Path
) -> None:
    async with over(engine, client, tmp_path, {"mail": "421 4.3.2 not now"}) as (stage, _):
        ann = await stage.customer()
        run = await stage.enrol(ann, "writes")
        await stage.event(ann, "customer.left", HOUR)
        assert (await stage.run(run.id)).outcome == "gone"


async def test_a_relay_that_says_not_now_for_three_days_is_given_up_and_the_journey_goes_on(
    engine: AsyncEngine, client: Client, tmp_path: Path
) -> None:
    async with over(engine, client, tmp_path, {"rcpt": "450 4.2.1 mailbox busy"}) as (stage, _):
        ann = await stage.customer()
        await stage.enrol(ann, "writes")
        await stage.pass_time(ann, 2.9 * DAY)
        assert not await went_on(stage, ann)
        await stage.pass_time(ann, 3.5 * DAY)
        (touch,) = await stage.touches(ann)
        assert touch.status == "failed"
        assert touch.because is not None
        assert touch.because.startswith("gave up after 3 days: ")
        assert await went_on(stage, ann)


async def test_a_fault_in_our_own_settings_is_never_given_up(
    engine: AsyncEngine, client: Client, tmp_path: Path
) -> None:
    async with over(engine, client, tmp_path, {"mail": "530 5.7.0 authentication required"}) as (stage, scripted):
        ann = await stage.customer()
        await stage.enrol(ann, "writes")
        await stage.pass_time(ann, 3.1 * DAY)
        assert await stage.touches(ann) == []
        # Time in which nothing could go is not held against a relay that is busy afterwards.
        scripted.answers = {"rcpt": "450 4.2.1 mailbox busy"}
        await stage.pass_time(ann, 3.6 * DAY)
        assert await stage.touches(ann) == []
        scripted.answers = {}
        await stage.pass_time(ann, 4 * DAY)
        assert [touch.status for touch in await stage.touches(ann)] == ["sent"]


async def test_a_template_that_breaks_puts_the_message_off_until_it_is_mended(
    engine: AsyncEngine, client: Client, tmp_path: Path
) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(ROOT / "templates", templates)
    body = templates / "email/welcome/en/body.txt"
    good = body.read_text()
    body.write_text("Hello {{ customer.nobody_has_this }}")
    async with staged(engine, client, tmp_path / "home", templates=templates) as stage:
        await stage.publish(WRITES)
        ann = await stage.customer()
        run = await stage.enrol(ann, "writes")
        assert run.because is not None
        assert "email/welcome/en/body.txt:1" in run.because
        await stage.pass_time(ann, HOUR)
        assert await stage.touches(ann) == []
        body.write_text(good)
        await stage.pass_time(ann, 3 * HOUR)
        assert [touch.status for touch in await stage.touches(ann)] == ["sent"]
        assert len(stage.mailbox.messages) == 1


@pytest.mark.parametrize(("policy", "sent"), [("hold", 1), ("go_on", 1), ("resend", 2)])
async def test_a_message_that_may_have_gone_follows_the_policy_of_its_step(
    engine: AsyncEngine, client: Client, tmp_path: Path, policy: str, sent: int
) -> None:
    async with over(engine, client, tmp_path, {"dot": KEEP_AND_CLOSE}) as (stage, scripted):
        await stage.publish(WRITES.replace("send: email/welcome", f"send: email/welcome\n    if_uncertain: {policy}"))
        ann = await stage.customer()
        run = await stage.enrol(ann, "writes")
        scripted.answers = {}
        await stage.pass_time(ann, HOUR)
        assert len(scripted.received) == sent
        assert [touch.status for touch in await stage.touches(ann)] == ["sent" if policy == "resend" else "uncertain"]
        assert len({message_from_bytes(mail)["Message-ID"] for mail in scripted.received}) == 1
        state = (await stage.run(run.id)).instruction or {}
        assert (state["status"] == "held") is (policy == "hold")
        assert await went_on(stage, ann) is (policy != "hold")


@pytest.mark.parametrize(("decision", "sent", "goes_on"), [(None, 1, False), ("sent", 1, True), ("again", 2, True)])
async def test_a_message_on_hold_stays_there_until_somebody_decides(
    engine: AsyncEngine, client: Client, tmp_path: Path, decision: str | None, sent: int, goes_on: bool
) -> None:
    async with over(engine, client, tmp_path, {"dot": KEEP_AND_CLOSE}) as (stage, scripted):
        ann = await stage.customer()
        run = await stage.enrol(ann, "writes")
        scripted.answers = {}
        slot = Slot(run.id, "send-email-welcome", 1)
        async with stage.engine.begin() as db:
            if decision == "again":
                await ledger.release(db, slot)
            elif decision is not None:
                await ledger.settle(db, slot, "sent", at=stage.start)
        waiting = await stage.run(run.id)
        await stage.parts.audience.router.wake(waiting, Event("decided", "touch.settled", stage.start))
        await stage.time.moved([waiting])
        assert len(scripted.received) == sent
        assert await went_on(stage, ann) is goes_on
