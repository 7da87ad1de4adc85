"""What happens to people while a broadcast is under way, and to broadcasts that share a throttle."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, select

from activities.broadcasts import pace
from activities.broadcasts.broadcast_report import report
from journeys import segments as segment_files
from journeys.broadcast_files import parse
from journeys.sending import SendingRules
from records.messages import claims, paces
from records.people import consents, merging, tags
from records.tables import customers
from records.tables import paces as rows
from tests.patience import PATIENCE
from tests.workflow.broadcasting import SPRING, ended, outcome, readers, start, start_skipping, touches_of
from tests.workflow.stage import Stage

READERS = "segment: readers\ntitle: Readers\nwhere: {tag: reader}\n"
TO_READERS = SPRING.replace("where: {tag: reader}", "segment: readers")
TRIAL = """\
ab:
  share: SHARE
  subjects: {a: One, b: Two, c: Three}
  winner: clicks
  after: 4h
"""


def after_the_first(stage: Stage, happens: Callable[[], Awaitable[None]]) -> None:
    """Let this happen while the first mail is being taken in."""

    async def once() -> None:
        stage.mailbox.meanwhile = None
        await happens()

    stage.mailbox.meanwhile = once


def names(stage: Stage) -> list[str]:
    return sorted(str(mail["To"]).partition(" ")[0] for mail in stage.mailbox.messages)


@pytest.fixture(params=["", "throttle: 50 per second\n"], ids=["as fast as it goes", "throttled"])
def soon_stale(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who may be written to holds for no time at all; a line more for the broadcast."""
    monkeypatch.setattr(pace, "FRESH", 0.0)
    monkeypatch.setattr(pace, "BUNDLE", 1)
    return str(request.param)


async def test_who_withdraws_is_erased_merged_or_leaves_the_segment_meanwhile_gets_nothing(
    stage: Stage, soon_stale: str
) -> None:
    await stage.parts.membership.publish([segment_files.parse(READERS)], stage.start)
    ann, bob, cem, dan, eve, fay = await readers(stage, "Ann", "Bob", "Cem", "Dan", "Eve", "Fay")

    async def much_happens() -> None:
        now = datetime.now(UTC)
        async with stage.engine.begin() as db:
            await consents.record(db, bob, "email", False, "said so", stage.start + timedelta(minutes=1))
            await db.execute(delete(customers).where(customers.c.id == cem))
            await merging.merge(db, ann, dan, by="marie", because="the same person", now=now)
            await tags.untag(db, eve, "reader", because=None, now=now)
        await readers(stage, "Late")
        await stage.parts.membership.evaluate(now, ["readers"])

    after_the_first(stage, much_happens)
    _, handle = await start(stage, TO_READERS + soon_stale)
    assert await outcome(handle) == "finished"
    assert names(stage) == ["Ann", "Fay"]
    ledger = await touches_of(stage, ann, bob, eve, fay)
    assert [(one.customer_id, one.status, one.because) for one in ledger] == [
        (ann, "sent", None), (bob, "skipped", "consent to email was withdrawn"), (fay, "sent", None),
    ]  # fmt: skip


async def test_two_broadcasts_share_the_throttle_of_their_channel(stage: Stage) -> None:
    people = await readers(stage, *(f"P{number}" for number in range(8)))
    async with stage.engine.begin() as db:
        assert await paces.reserve(db, {"channel/email": 20.0, "broadcast/9": 1.0}, 1) == 0
        [[before]] = await db.execute(select(rows.c.free_at).where(rows.c.name == "channel/email"))
    for activity in stage.parts.activities["waymark-email"]:
        owner: Any = getattr(activity, "__self__", None)
        if hasattr(owner, "_per_second"):
            owner._per_second = 20.0
    both = [(await start(stage, SPRING.replace("spring", name)))[1] for name in ("spring", "summer")]
    assert [await outcome(handle) for handle in both] == ["finished", "finished"]
    assert Counter(one.status for one in await touches_of(stage, *people)) == {"sent": 16}
    async with stage.engine.connect() as db:
        [[after]] = await db.execute(select(rows.c.free_at).where(rows.c.name == "channel/email"))
    assert after - before >= timedelta(seconds=16 / 20)


async def test_two_broadcasts_together_send_nobody_more_than_a_cap_allows(stage: Stage) -> None:
    capped = {"channels": {"email": {"at_most": {"count": 1, "per": "1w"}}}}
    stage.parts.proofs._admission.gates.rules = SendingRules.model_validate(capped)
    people = await readers(stage, *(f"P{number}" for number in range(30)))
    both = [(await start(stage, SPRING.replace("spring", name)))[1] for name in ("spring", "summer")]
    assert [await outcome(handle) for handle in both] == ["finished", "finished"]
    assert len({str(mail["To"]) for mail in stage.mailbox.messages}) == len(stage.mailbox.messages) == 30
    ledger = await touches_of(stage, *people)
    assert Counter((one.status, one.because) for one in ledger) == {
        ("sent", None): 30, ("skipped", "capped: 1 mail within 1 week"): 30,
    }  # fmt: skip


async def test_an_error_that_keeps_it_is_shown_until_it_is_over(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await readers(stage, "Ann")

    async def fails(*_: object) -> set[int]:
        raise ValueError("nobody's business")

    async def standing() -> list[str]:
        async with stage.engine.connect() as db:
            return (await report(db, "spring", datetime.now(UTC))).standing

    with monkeypatch.context() as broken:
        broken.setattr(claims, "claim", fails)
        _, handle = await start(stage, SPRING)
        async with asyncio.timeout(PATIENCE):
            while not (told := await standing()):
                await asyncio.sleep(0.02)
    assert told == ["an error that is tried again (ValueError); the worker's log has the details"]
    assert await outcome(handle) == "finished"
    assert (await standing(), names(stage)) == ([], ["Ann"])


async def test_places_at_a_pace_are_taken_one_after_another_and_given_back(stage: Stage) -> None:
    slow, slower = {"one": 1 / 3600}, {"one": 1 / 3600, "other": 1 / 7200}
    async with stage.engine.begin() as db:
        waits = [await paces.reserve(db, slow, 2), await paces.reserve(db, slow, 1), await paces.reserve(db, slower, 1)]
        await paces.give_back(db, slow, 3)
        waits.append(await paces.reserve(db, slow, 1))
    assert [round(wait / 3600, 1) for wait in waits] == [0, 2, 3, 1]


@pytest.mark.parametrize("share", ["1%", "99%"])
async def test_a_trial_of_nobody_or_with_fewer_people_than_wordings_ends_well(stage: Stage, share: str) -> None:
    text = SPRING + TRIAL.replace("SHARE", share)
    of = parse(text).broadcast
    people = await readers(stage, "Ann", "Bob")
    tried = [one for one in people if of.in_trial(one)]
    row, handle = await (start_skipping if tried else start)(stage, text)
    assert await outcome(handle) == "finished"
    assert [one.status for one in await touches_of(stage, *people)] == ["sent", "sent"]
    after = await ended(stage, row)
    if tried:
        assert after.winner in {of.arm(one) for one in tried}
    else:
        assert (after.winner, after.progress["decision"]["because"]) == (
            "a", "the trial reached nobody, so a, the first by name",
        )  # fmt: skip


async def test_where_the_local_time_has_passed_already_that_day_it_goes_at_once(stage: Stage) -> None:
    east, west = ZoneInfo("Etc/GMT-14"), ZoneInfo("Etc/GMT+11")
    now = datetime.now(UTC)
    wall = (now - timedelta(minutes=30)).astimezone(east)
    [passed] = await readers(stage, "East", time_zone=east.key)
    [ahead] = await readers(stage, "West", time_zone=west.key)
    _, handle = await start_skipping(stage, f'{SPRING}start: {{local: "{wall:%H:%M}", on: {wall.date()}}}')
    assert await outcome(handle) == "finished"
    at_once, in_time = await touches_of(stage, passed, ahead)
    assert at_once.claimed_at < now + timedelta(minutes=30)
    assert f"{in_time.claimed_at.astimezone(west):%Y-%m-%d %H:%M}" == f"{wall:%Y-%m-%d %H:%M}"


async def test_what_a_crash_left_without_a_workflow_is_started_by_the_sweep(stage: Stage) -> None:
    [ann] = await readers(stage, "Ann")
    studio = stage.parts.studio
    whole = studio._launch

    async def dies(row: object) -> bool:
        raise RuntimeError("killed")

    studio._launch = dies  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await start(stage, SPRING)
    studio._launch = whole  # type: ignore[method-assign]
    assert await studio.launch_stranded(datetime.now(UTC)) == 1
    assert await studio.launch_stranded(datetime.now(UTC)) == 0
    handle = stage.client.get_workflow_handle("broadcast/spring/1")
    assert await outcome(handle) == "finished"
    assert [one.status for one in await touches_of(stage, ann)] == ["sent"]
