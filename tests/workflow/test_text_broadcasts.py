"""Broadcasts of text messages, through a provider that speaks Twilio's API."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.testing import TimeSkipper

from activities.broadcasts import pace
from activities.channels.segments import Segments
from activities.channels.sms import SmsChannel
from journeys.broadcast_files import parse
from journeys.sending import SendingRules
from records.people import suppressions
from records.people.timeline import timeline
from tests.catchers import SmsCatcher, sms_catcher, texts
from tests.workflow.broadcasting import ended, outcome, readers, start, start_skipping, touches_of, until
from tests.workflow.stage import Stage, staged
from workers.catchers.sms import ACCOUNT, TOKEN

__all__ = ["sms_catcher", "texts"]
NEWS = "broadcast: spring\ntitle: Spring\nwhere: {tag: reader}\nsend: sms/news\n"
ANN, BOB, CEM, DAN = (f"+493090182{number}" for number in range(4))
Phone = Callable[..., AbstractAsyncContextManager[Stage]]


@pytest.fixture
def phone(engine: AsyncEngine, client: Client, tmp_path: Path, texts: SmsCatcher) -> Phone:
    """A stage whose texts go to the catcher; `wording` is what they say."""

    @asynccontextmanager
    async def at_work(
        wording: str = "Hi {{ customer.first_name }}, spring is here", **more: Any
    ) -> AsyncIterator[Stage]:
        folder = tmp_path / "templates/sms/news"
        folder.mkdir(parents=True)
        (folder / "en.txt").write_text(wording)
        channel = SmsChannel(ACCOUNT, TOKEN, "+15005550006", base_url=texts.url)
        given = {"channels": {"sms": channel}, "templates": tmp_path / "templates", **more}
        try:
            async with staged(engine, client, tmp_path / "home", **given) as stage:
                yield stage
        finally:
            await channel.close()

    return at_work


def bodies(texts: SmsCatcher, to: str) -> list[str]:
    return [one["body"] for one in texts.messages(to=to)]


async def test_each_gets_one_text_or_a_reason(phone: Phone, texts: SmsCatcher) -> None:
    async with phone() as stage:
        people = [
            *await readers(stage, "Ann", phone=ANN),
            *await readers(stage, "Bob", phone=BOB, consents={"email": True}),
            *await readers(stage, "Cem"),
            *await readers(stage, "Dan", phone=DAN),
        ]
        async with stage.engine.begin() as db:
            await suppressions.add(db, "sms", DAN, "unsubscribed", source="STOP", at=stage.start)
        row, handle = await start(stage, NEWS)
        assert await outcome(handle) == "finished"
        ledger = await touches_of(stage, *people)
    assert [(one.status, one.because) for one in ledger] == [
        ("sent", None), ("skipped", "no consent to sms"), ("skipped", "no phone number"),
        ("skipped", "the address is suppressed: unsubscribed"),
    ]  # fmt: skip
    [text] = texts.messages()
    assert (text["to"], text["body"]) == (ANN, "Hi Ann, spring is here")
    assert (ledger[0].provider_id, ledger[0].broadcast_id, ledger[0].subject) == (text["sid"], row.id, None)


async def test_a_text_of_which_nobody_knows_whether_it_went_is_not_sent_again(phone: Phone, texts: SmsCatcher) -> None:
    texts.misbehave(send={"pattern": BOB[1:], "status": 504, "taken": True, "times": 1})
    async with phone() as stage:
        people = await readers(stage, "Ann", phone=ANN)
        people += await readers(stage, "Bob", phone=BOB)
        _, handle = await start(stage, NEWS)
        assert await outcome(handle) == "finished"
        assert [one.status for one in await touches_of(stage, *people)] == ["sent", "uncertain"]
    assert len(bodies(texts, BOB)) == 1


async def test_a_number_that_is_no_more_is_written_to_no_more(phone: Phone, texts: SmsCatcher) -> None:
    texts.misbehave(send={"pattern": BOB[1:], "status": 400, "code": 21614, "message": "not a mobile number"})
    async with phone() as stage:
        people = await readers(stage, "Ann", phone=ANN)
        people += await readers(stage, "Bob", phone=BOB)
        _, handle = await start(stage, NEWS)
        assert await outcome(handle) == "finished"
        ann, bob = await touches_of(stage, *people)
        assert (ann.status, bob.status) == ("sent", "failed")
        assert "21614" in (bob.because or "")
        async with stage.engine.connect() as db:
            assert ("event", "sms.failed") in [(one.kind, one.title) for one in await timeline(db, people[1])]
        _, again = await start(stage, NEWS.replace("spring", "summer"))
        assert await outcome(again) == "finished"
        later = (await touches_of(stage, people[1]))[-1]
    assert (later.status, later.because) == ("skipped", "the address is suppressed: bounced")


async def test_a_provider_that_takes_nothing_now_is_asked_later_and_nobody_is_passed_over(
    phone: Phone, texts: SmsCatcher
) -> None:
    texts.misbehave(send={"status": 429, "code": 20429, "message": "too many requests"})
    async with phone() as stage:
        people = [one for name, number in zip("ABCD", (ANN, BOB, CEM, DAN), strict=True)
                  for one in await readers(stage, name, phone=number)]  # fmt: skip
        _, handle = await start(stage, NEWS)
        await until(stage, handle, "**away**")
        assert await touches_of(stage, *people) == []
        texts.misbehave()
        await TimeSkipper(stage.client).fast_forward(handle, timedelta(minutes=2))
        assert await outcome(handle) == "finished"
        assert [one.status for one in await touches_of(stage, *people)] == ["sent"] * 4
    assert sorted(one["to"] for one in texts.messages()) == sorted((ANN, BOB, CEM, DAN))


async def test_another_outage_is_not_the_same_one(
    phone: Phone, texts: SmsCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "BUNDLE", 1)
    async with phone() as stage:
        for name, number in (("Ann", ANN), ("Bob", BOB), ("Cem", CEM)):
            await readers(stage, name, phone=number)

        async def pause() -> timedelta:
            told = (await ended(stage, row)).progress["shard 0"]
            return datetime.fromisoformat(told["again"]) - datetime.fromisoformat(told["ended"])

        texts.misbehave(send={"pattern": BOB[1:], "status": 503})
        row, handle = await start(stage, NEWS)
        await until(stage, handle, "1 sent")
        first = await pause()
        texts.misbehave(send={"pattern": CEM[1:], "status": 503})
        # A minute brings the next try; two would bring the one after it, too, where we were slow to come here.
        await TimeSkipper(stage.client).fast_forward(handle, timedelta(seconds=90))
        await until(stage, handle, "2 sent")
        assert [round(one / timedelta(minutes=1)) for one in (first, await pause())] == [1, 1]
        texts.misbehave()
        assert (await stage.parts.studio.steer("spring", "resume", datetime.now(UTC))).status == "running"
        assert await outcome(handle) == "finished"
    assert Counter(one["to"] for one in texts.messages()) == {ANN: 1, BOB: 1, CEM: 1}


async def test_whoever_has_quiet_hours_gets_its_text_when_they_are_over(phone: Phone) -> None:
    zone = ZoneInfo("Asia/Tokyo")
    begins = datetime.now(zone) - timedelta(hours=1)
    ends = begins + timedelta(hours=3)
    quiet = {"from": f"{begins:%H:%M}", "to": f"{ends:%H:%M}"}
    rules = SendingRules.model_validate({"channels": {"sms": {"quiet_hours": quiet}}})
    async with phone(rules=rules) as stage:
        [bob] = await readers(stage, "Bob", phone=BOB, time_zone="Asia/Tokyo")
        _, handle = await start_skipping(stage, NEWS)
        assert await outcome(handle) == "finished"
        [touch] = await stage.touches(bob)
    assert touch.status == "sent"
    assert f"{touch.claimed_at.astimezone(zone):%H:%M}" == f"{ends:%H:%M}"


async def test_how_many_segments_a_long_text_takes_is_seen_before_it_is_sent(phone: Phone, texts: SmsCatcher) -> None:
    async with phone("您好 " + "春" * 100) as stage:
        await readers(stage, "Ann", phone=ANN)
        of = parse(NEWS).broadcast
        seen = await stage.parts.proofs.preview(of, datetime.now(UTC))
        assert [one.segments for one in seen.wordings] == [Segments("UCS-2", 103, 2)]
        _, handle = await start(stage, NEWS)
        assert await outcome(handle) == "finished"
    [text] = texts.messages()
    assert text["segments"] == 2


async def test_a_text_that_no_provider_takes_is_told_before_it_is_sent_and_pauses_it(
    phone: Phone, texts: SmsCatcher
) -> None:
    async with phone("spring " * 300) as stage:
        [ann] = await readers(stage, "Ann", phone=ANN)
        seen = await stage.parts.proofs.preview(parse(NEWS).broadcast, datetime.now(UTC))
        assert "2,099 characters" in (seen.wordings[0].warning or "")
        _, handle = await start(stage, NEWS)
        await until(stage, handle, "**paused**: it paused by itself")
        [touch] = await stage.touches(ann)
        await stage.parts.studio.steer("spring", "cancel", datetime.now(UTC))
        assert await outcome(handle) == "cancelled"
    assert (touch.status, texts.messages()) == ("failed", [])


async def test_the_winner_of_two_texts_is_the_one_after_which_more_did_what_was_wanted(phone: Phone) -> None:
    trial = NEWS.replace("send: sms/news\n", "") + (
        "ab: {share: 60%, arms: {a: sms/news, b: sms/more}, winner: {conversion: order.placed}, after: 1h}\n"
    )
    async with phone() as stage:
        other = stage.parts.templates.folder / "sms/more"
        other.mkdir()
        (other / "en.txt").write_text("More")
        of = parse(trial).broadcast
        people = [one for n in range(12) for one in await readers(stage, f"P{n}", phone=f"+4930901821{n:02}")]
        row, handle = await start(stage, trial)
        await until(stage, handle, "the trial is out")
        liked = next(one for one in people if of.in_trial(one) and of.arm(one) == "b")
        at = datetime.now(UTC)
        await stage.parts.audience.ingest(liked, "order.placed", occurred_at=at, received_at=at, value=9)
        await TimeSkipper(stage.client).fast_forward(handle, timedelta(hours=1, minutes=1))
        assert await outcome(handle) == "finished"
        rest = [one for one in await touches_of(stage, *people) if not of.in_trial(one.customer_id)]
        assert (await ended(stage, row)).winner == "b"
        assert {(one.variant, one.message) for one in rest} == {("b", "sms/more")}
