"""Broadcasts on the real engine: waves, trials, gates, pauses; each recipient gets one message or a reason."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from temporalio.testing import TimeSkipper

from activities.broadcasts.broadcast_report import report
from activities.broadcasts.studio import BroadcastEnded
from activities.deliveries.receipts import Receipts
from journeys.broadcast_files import parse
from journeys.sending import SendingRules
from records.messages import outcomes
from records.people import suppressions
from records.people.timeline import timeline
from records.runs import holds
from tests.workflow.broadcasting import SPRING, ended, outcome, readers, start, start_skipping, touches_of, until
from tests.workflow.stage import Stage

TRIAL = """
broadcast: spring
title: Spring
where: {tag: reader}
send: email/whats_new
ab:
  share: 50%
  subjects: {a: A warm spring, b: "{{ customer.first_name }}, a warm spring"}
  winner: clicks
  after: 4h
"""


async def test_everybody_who_is_meant_gets_one_message_and_the_ledger_says_so(stage: Stage) -> None:
    people = await readers(stage, "Ann", "Bob", "Zoe")
    await stage.customer("Other")
    row, handle = await start(stage, SPRING)
    assert await outcome(handle) == "finished"
    assert sorted(str(mail["To"]) for mail in stage.mailbox.messages) == [
        "Ann <ann@customers.example>", "Bob <bob@customers.example>", "Zoe <zoe@customers.example>",
    ]  # fmt: skip
    ledger = await touches_of(stage, *people)
    assert {(one.status, one.broadcast_id, one.message) for one in ledger} == {("sent", row.id, "email/whats_new")}
    assert {one.provider_id for one in ledger} == {str(mail["Message-ID"]) for mail in stage.mailbox.messages}
    assert (await ended(stage, row)).finished_at is not None


async def test_who_may_not_be_written_to_is_left_out_with_the_reason(stage: Stage) -> None:
    await readers(stage, "Ann")
    [no] = await readers(stage, "No", consents={})
    [dead] = await readers(stage, "Dead")
    [paused] = await readers(stage, "Paused")
    [nowhere] = await readers(stage, "Nowhere", email=None, phone="+4930901820")
    async with stage.engine.begin() as db:
        await suppressions.add(db, "email", "dead@customers.example", "bounced", source="550", at=stage.start)
        await holds.hold(db, "customer", str(paused), by="marie", because=None, now=stage.start)
    _, handle = await start(stage, SPRING)
    assert await outcome(handle) == "finished"
    assert [str(mail["To"]) for mail in stage.mailbox.messages] == ["Ann <ann@customers.example>"]
    ledger = await touches_of(stage, no, dead, paused, nowhere)
    assert [(one.status, one.because) for one in ledger] == [
        ("skipped", "no consent to email"), ("skipped", "the address is suppressed: bounced"),
        ("skipped", "the customer is paused"), ("skipped", "no e-mail address"),
    ]  # fmt: skip


async def test_each_gets_it_when_it_is_that_time_where_it_lives(stage: Stage) -> None:
    day = (datetime.now(UTC) + timedelta(days=2)).date()
    [berlin] = await readers(stage, "Ann", time_zone="Europe/Berlin")
    [tokyo] = await readers(stage, "Bob", time_zone="Asia/Tokyo")
    [nowhere] = await readers(stage, "Cem")
    _, handle = await start_skipping(stage, f'{SPRING}start: {{local: "09:00", on: {day}}}')
    assert await outcome(handle) == "finished"
    claimed = {one.customer_id: one.claimed_at for one in await touches_of(stage, berlin, tokyo, nowhere)}
    for one, zone in ((berlin, "Europe/Berlin"), (tokyo, "Asia/Tokyo"), (nowhere, "UTC")):
        local = claimed[one].astimezone(ZoneInfo(zone))
        assert (local.date(), local.hour, local.minute) == (day, 9, 0)


async def test_the_rest_get_the_arm_that_was_clicked_more(stage: Stage) -> None:
    people = await readers(stage, *(f"P{number}" for number in range(12)))
    of = parse(TRIAL).broadcast
    tried = [one for one in people if of.in_trial(one)]
    row, handle = await start(stage, TRIAL)
    await until(stage, handle, "the trial is out")
    ledger = await touches_of(stage, *people)
    assert {one.customer_id: one.variant for one in ledger} == {one: of.arm(one) for one in tried}
    liked = next(one for one in ledger if one.variant == "b")
    await stage.parts.audience.ingest(
        liked.customer_id, "email.clicked", occurred_at=datetime.now(UTC), received_at=datetime.now(UTC),
        key=f"click/{liked.key}", properties={"message": liked.message}, touch_id=liked.id,
    )  # fmt: skip
    await TimeSkipper(stage.client).fast_forward(handle, timedelta(hours=4, minutes=1))
    assert await outcome(handle) == "finished"
    ledger = await touches_of(stage, *people)
    assert {one.variant for one in ledger if one.customer_id not in tried} == {"b"}
    assert len(stage.mailbox.messages) == 12
    after = await ended(stage, row)
    assert after.winner == "b"
    assert after.progress["decision"]["because"].startswith("clicks: a 0 of")
    async with stage.engine.connect() as db:
        seen = await report(db, "spring", datetime.now(UTC) + timedelta(hours=5))
    assert sum(one.sent for one in seen.arms) == len(tried)
    assert seen.rest is not None
    assert (seen.rest.arm, seen.rest.sent) == ("b", 12 - len(tried))


async def test_of_equal_arms_the_first_by_name_wins_and_says_so(stage: Stage) -> None:
    await readers(stage, *(f"P{number}" for number in range(6)))
    row, handle = await start_skipping(stage, TRIAL)
    assert await outcome(handle) == "finished"
    after = await ended(stage, row)
    assert after.winner == "a"
    assert "a and b are equal" in after.progress["decision"]["because"]


async def test_who_has_quiet_hours_gets_it_when_they_are_over(stage: Stage) -> None:
    zone = ZoneInfo("Asia/Tokyo")
    begins = datetime.now(zone) - timedelta(hours=1)
    ends = begins + timedelta(hours=3)
    quiet = {"from": f"{begins:%H:%M}", "to": f"{ends:%H:%M}"}
    rules = SendingRules.model_validate({"channels": {"email": {"quiet_hours": quiet}}})
    stage.parts.proofs._admission.gates.rules = rules
    [bob] = await readers(stage, "Bob", time_zone="Asia/Tokyo")
    [ann] = await readers(stage, "Ann", time_zone="America/New_York")
    _, handle = await start_skipping(stage, SPRING)
    assert await outcome(handle) == "finished"
    [awake], [asleep] = await stage.touches(ann), await stage.touches(bob)
    assert (awake.status, asleep.status) == ("sent", "sent")
    assert f"{asleep.claimed_at.astimezone(zone):%H:%M}" == f"{ends:%H:%M}"


async def test_a_pause_stops_it_where_it_stands_and_a_resume_goes_on_from_there(stage: Stage) -> None:
    people = await readers(stage, *(f"P{number}" for number in range(6)))
    studio = stage.parts.studio
    taken = 0

    async def pause() -> None:
        nonlocal taken
        taken += 1
        if taken == 2:
            await studio.steer("spring", "pause", datetime.now(UTC))

    stage.mailbox.meanwhile = pause
    _, handle = await start(stage, f"{SPRING}throttle: 3600 per hour")
    await until(stage, handle, "**paused**")
    assert Counter(one.status for one in await touches_of(stage, *people)) == {"sent": 2}
    await studio.steer("spring", "resume", datetime.now(UTC))
    assert await outcome(handle) == "finished"
    assert Counter(str(mail["To"]) for mail in stage.mailbox.messages).most_common(1)[0][1] == 1
    assert len(stage.mailbox.messages) == 6


async def test_what_is_cancelled_sends_nothing_more_and_claims_nothing(stage: Stage) -> None:
    people = await readers(stage, *(f"P{number}" for number in range(4)))

    async def cancel() -> None:
        if len(stage.mailbox.messages) == 1:
            await stage.parts.studio.steer("spring", "cancel", datetime.now(UTC))

    stage.mailbox.meanwhile = cancel
    _, handle = await start(stage, f"{SPRING}throttle: 3600 per hour")
    assert await outcome(handle) == "cancelled"
    assert [one.status for one in await touches_of(stage, *people)] == ["sent"]
    with pytest.raises(BroadcastEnded):
        await stage.parts.studio.steer("spring", "resume", datetime.now(UTC))


async def test_a_channel_that_is_paused_holds_it_and_nobody_is_passed_over(stage: Stage) -> None:
    await readers(stage, "Ann", "Bob")
    async with stage.engine.begin() as db:
        await holds.hold(db, "channel", "email", by="marie", because="wrong price", now=stage.start)
    _, handle = await start(stage, SPRING)
    await until(stage, handle, "paused by marie: wrong price")
    assert stage.mailbox.messages == []
    async with stage.engine.begin() as db:
        await holds.release(db, "channel", "email")
    await handle.signal("look")
    assert await outcome(handle) == "finished"
    assert len(stage.mailbox.messages) == 2


async def test_a_broadcast_goes_once(stage: Stage) -> None:
    await readers(stage, "Ann")
    _, handle = await start(stage, SPRING)
    assert await outcome(handle) == "finished"
    with pytest.raises(BroadcastEnded, match="was started already"):
        await start(stage, SPRING)


async def test_opens_clicks_and_unsubscriptions_of_a_broadcast_stand_on_the_timeline(stage: Stage) -> None:
    [ann] = await readers(stage, "Ann")
    row, handle = await start(stage, SPRING)
    assert await outcome(handle) == "finished"
    [mail] = stage.mailbox.messages
    receipts, links = Receipts(stage.engine, stage.parts.audience), stage.parts.links
    page = mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    click = links.read_click(re.search(r"/c/([^\"]+)", page)[1])  # type: ignore[index]
    now = datetime.now(UTC)
    await receipts.opened(links.read_pixel(re.search(r"/o/([^\"]+)\.gif", page)[1]), now)  # type: ignore[index]
    await receipts.clicked(click, now)
    await receipts.unsubscribed(
        links.read_unsubscribe(str(mail["List-Unsubscribe"]).strip("<>").rsplit("/", 1)[1]), now
    )
    assert click.url == "https://kettlewick.example/new"
    async with stage.engine.connect() as db:
        story = [(one.kind, one.title) for one in await timeline(db, ann)]
        [all_] = await outcomes.results(db, row.id)
    assert ("touch", "email/whats_new sent") in story
    assert {"email.opened", "email.clicked", "email.unsubscribed"} <= {title for _, title in story}
    assert (all_.sent, all_.opened, all_.clicked) == (1, 1, 1)
