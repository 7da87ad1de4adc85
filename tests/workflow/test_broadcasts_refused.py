"""Mail servers that refuse a broadcast's message itself, over real SMTP: it pauses itself, and nobody is burnt."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from activities.broadcasts import pace
from activities.broadcasts.broadcast_report import Report, report
from journeys.sending import SendingRules
from tests.workflow.broadcasting import SPRING, outcome, readers, start, start_skipping, touches_of, until
from tests.workflow.stage import Stage

SPAM = "554 5.7.1 message rejected as spam"


async def seen(stage: Stage) -> Report:
    async with stage.engine.connect() as db:
        return await report(db, "spring", datetime.now(UTC))


async def people(stage: Stage, count: int) -> list[int]:
    return await readers(stage, *(f"P{number}" for number in range(count)))


async def resume(stage: Stage, *, regardless: bool = False) -> None:
    await stage.parts.studio.steer("spring", "resume", datetime.now(UTC), regardless=regardless)


def copies(stage: Stage) -> list[int]:
    """How often each of those who got it did."""
    return list(Counter(str(mail["To"]) for mail in stage.mailbox.messages).values())


@pytest.mark.parametrize("bundle", [1, 4, 50])
@pytest.mark.parametrize(("stage_", "said"), [("dot", SPAM), ("dot", "552 too large"), ("rcpt", "550 5.7.26 no DKIM")])
async def test_refused_for_all_it_pauses_and_after_mending_everybody_gets_it_once(
    stage: Stage, bundle: int, stage_: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "BUNDLE", bundle)
    everybody = await people(stage, 30)
    first = {"p0@customers.example", "p1@customers.example"}

    def refuses(at: str, address: str) -> str | None:
        return f"{said} ({address})" if at == stage_ and address not in first else None

    stage.mailbox.refuse = refuses
    _, handle = await start(stage, SPRING)
    await until(stage, handle, "**paused**: it paused by itself: what it says or who sends it was refused")
    stands = await seen(stage)
    assert (stands.status, stands.sent, stands.leaving) == ("paused", 2, 0)
    assert stands.refused == stands.failed <= 10 + bundle
    [why] = stands.standing
    assert said in why
    assert "`waymark broadcasts resume spring`" in why

    stage.mailbox.refuse = lambda at, address: None
    await resume(stage)
    assert await outcome(handle) == "finished"
    assert copies(stage) == [1] * 30
    assert {one.status for one in await touches_of(stage, *everybody)} == {"sent"}
    assert ((await seen(stage)).standing, (await seen(stage)).refused) == ([], 0)
    kept = "".join(str(event) for event in (await handle.fetch_history()).events)
    assert ("it paused by itself" in kept, "@customers.example" in kept) == (True, False)


async def test_who_is_refused_for_their_own_sake_never_stops_it(stage: Stage) -> None:
    own = ["550 5.1.1 no such user", "552 5.2.2 mailbox full", "550 5.4.1 access denied", "550 mailbox unavailable"]
    everybody = await people(stage, 30)
    stage.mailbox.refuse = lambda at, address: own[len(address) % 4] if at == "rcpt" and "p29" not in address else None
    _, handle = await start(stage, SPRING)
    assert await outcome(handle) == "finished"
    assert Counter(one.status for one in await touches_of(stage, *everybody)) == {"failed": 29, "sent": 1}
    assert (await seen(stage)).refused == 0


async def test_some_that_are_refused_among_many_that_are_taken_do_not_stop_it(stage: Stage) -> None:
    await people(stage, 60)
    stage.mailbox.refuse = lambda at, address: SPAM if at == "dot" and address[:3] in ("p1@", "p3@", "p5@") else None
    _, handle = await start(stage, SPRING)
    assert await outcome(handle) == "finished"
    stands = await seen(stage)
    assert (stands.sent, stands.failed, stands.refused) == (57, 3, 3)


async def test_however_few_they_are_it_does_not_end_with_nobody_having_got_it(stage: Stage) -> None:
    await people(stage, 2)
    stage.mailbox.refuse = lambda at, address: SPAM if at == "dot" else None
    _, handle = await start(stage, SPRING)
    await until(stage, handle, "**paused**: it paused by itself")
    assert ((await seen(stage)).status, (await seen(stage)).refused) == ("paused", 2)
    stage.mailbox.refuse = lambda at, address: None
    await resume(stage)
    assert await outcome(handle) == "finished"
    assert copies(stage) == [1, 1]


async def test_a_first_wave_of_one_who_is_refused_does_not_stop_it_and_at_the_end_all_waves_count(stage: Stage) -> None:
    day = (datetime.now(UTC) + timedelta(days=2)).date()
    everybody = await readers(stage, "Ann", time_zone="Asia/Tokyo")
    everybody += await readers(stage, "Bob", time_zone="Europe/Berlin")
    stage.mailbox.refuse = lambda at, address: SPAM if at == "dot" else None
    _, handle = await start_skipping(stage, f'{SPRING}start: {{local: "09:00", on: {day}}}')
    await until(stage, handle, "**paused**: it paused by itself")
    assert ((await seen(stage)).status, (await seen(stage)).refused, (await seen(stage)).left) == ("paused", 2, 0)
    stage.mailbox.refuse = lambda at, address: None
    await resume(stage)
    assert await outcome(handle) == "finished"
    assert [one.status for one in await touches_of(stage, *everybody)] == ["sent"] * 2
    assert copies(stage) == [1, 1]


async def test_regardless_it_goes_on_and_who_was_refused_gets_no_other_try(stage: Stage) -> None:
    await people(stage, 40)
    asked: Counter[str] = Counter()

    def refuses(at: str, address: str) -> str | None:
        asked[address] += at == "dot"
        return SPAM if at == "dot" and "p39@" not in address else None

    stage.mailbox.refuse = refuses
    _, handle = await start(stage, f"{SPRING}throttle: 20 per second\n")
    await until(stage, handle, "**paused**: it paused by itself")
    await resume(stage, regardless=True)
    stands = await outcome(handle), await seen(stage)
    assert (stands[0], stands[1].sent, stands[1].failed, stands[1].refused) == ("finished", 1, 39, 0)
    assert set(asked.values()) == {1}


async def test_who_was_passed_over_before_a_pause_is_not_forgotten(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "PAGE", 1)
    zone = ZoneInfo("Asia/Tokyo")
    begins = datetime.now(zone) - timedelta(hours=1)
    quiet = {"from": f"{begins:%H:%M}", "to": f"{begins + timedelta(hours=3):%H:%M}"}
    rules = SendingRules.model_validate({"channels": {"email": {"quiet_hours": quiet}}})
    stage.parts.proofs._admission.gates.rules = rules
    everybody = await readers(stage, "Asleep", time_zone="Asia/Tokyo")
    everybody += await readers(stage, "Ann", "Bob", time_zone="America/New_York")
    studio = stage.parts.studio

    async def pause() -> None:
        stage.mailbox.meanwhile = None
        await studio.steer("spring", "pause", datetime.now(UTC))

    stage.mailbox.meanwhile = pause
    _, handle = await start_skipping(stage, SPRING)
    await until(stage, handle, "**paused**")
    await resume(stage)
    assert await outcome(handle) == "finished"
    assert [one.status for one in await touches_of(stage, *everybody)] == ["sent"] * 3
