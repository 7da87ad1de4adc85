"""When not to send: windows, quiet hours, caps, holdouts; on the real engine, from a Monday in March on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from journeys.sending import SendingRules
from journeys.spreading import held_out
from records import reports
from records.people import suppressions, upserts
from tests.workflow.stage import Stage, staged

DAY = timedelta(days=1)
MONDAY = datetime(2026, 3, 23, 6, 0, tzinfo=UTC)
Staged = Callable[..., AbstractAsyncContextManager[Stage]]

GREETS = """
journey: greets
title: Greets
enter: api
HEAD
steps:
  - SEND
"""


@pytest.fixture
def begun(engine: AsyncEngine, client: Client, tmp_path: Path) -> Staged:
    """A stage that begins on that Monday at 06:00 UTC, with rules of its own."""

    @asynccontextmanager
    async def begin(rules: dict[str, object] | None = None) -> AsyncIterator[Stage]:
        given = SendingRules.model_validate(rules or {})
        async with staged(engine, client, tmp_path, rules=given, start=MONDAY) as stage:
            yield stage

    return partial(begin)


def greets(send: str = "send: email/welcome", head: str = "") -> str:
    return GREETS.replace("HEAD", head).replace("SEND", send)


async def sent(stage: Stage, customer: int) -> list[tuple[str, str, str | None]]:
    """When (UTC), how it ended, and why."""
    return [(f"{one.claimed_at:%a %H:%M:%S}", one.status, one.because) for one in await stage.touches(customer)]


async def test_a_message_waits_for_the_send_window_in_the_contacts_zone(begun: Staged) -> None:
    async with begun() as stage:
        await stage.publish(greets(head='send_window: {days: tue-fri, from: "09:00", to: "20:00"}'))
        ann, bob = await stage.customer("Ann", time_zone="Asia/Tokyo"), await stage.customer("Bob")
        for who in (ann, bob):
            await stage.enrol(who, "greets")
            await stage.pass_time(who, 3 * DAY)
        assert await sent(stage, ann) == [("Tue 00:00:00", "sent", None)]
        assert await sent(stage, bob) == [("Tue 09:00:00", "sent", None)]


async def test_who_moves_while_a_message_waits_gets_it_in_the_window_of_the_new_home(begun: Staged) -> None:
    async with begun() as stage:
        await stage.publish(greets(head='send_window: {from: "16:00", to: "20:00"}'))
        ann = await stage.customer("Ann", time_zone="Asia/Tokyo")
        await stage.enrol(ann, "greets")
        async with stage.engine.begin() as db:
            await upserts.set_fields(db, ann, {"time_zone": "Europe/Lisbon"}, because="moved", now=MONDAY)
        await stage.pass_time(ann, 2 * DAY)
        assert await sent(stage, ann) == [("Mon 16:00:00", "sent", None)]


async def test_quiet_hours_are_those_of_the_contacts_country(begun: Staged) -> None:
    quiet = {"from": "20:00", "to": "08:00"}
    french = {"FR": {"quiet_hours": {"from": "20:00", "to": "10:00"}}}
    async with begun({"channels": {"email": {"quiet_hours": quiet, "countries": french}}}) as stage:
        await stage.publish(greets())
        ann = await stage.customer("Ann", country="FR", time_zone="Europe/Paris")
        bob = await stage.customer("Bob", country="DE", time_zone="Europe/Berlin")
        for who in (ann, bob):
            await stage.enrol(who, "greets")
            await stage.pass_time(who, DAY)
        assert await sent(stage, ann) == [("Mon 09:00:00", "sent", None)]
        assert await sent(stage, bob) == [("Mon 07:00:00", "sent", None)]


async def test_a_map_may_skip_what_cannot_go_now_and_go_on(begun: Staged) -> None:
    async with begun({"channels": {"email": {"quiet_hours": {"days": "mon"}}}}) as stage:
        await stage.publish(greets(head="if_quiet: skip") + "  - send: email/brew_guide\n    if_quiet: wait\n")
        ann = await stage.customer("Ann")
        await stage.enrol(ann, "greets")
        await stage.pass_time(ann, 2 * DAY)
        assert await sent(stage, ann) == [("Mon 06:00:00", "skipped", "quiet hours"), ("Tue 00:00:00", "sent", None)]


async def test_a_cap_is_shared_by_all_journeys_and_the_map_says_what_happens_then(begun: Staged) -> None:
    rules = {"channels": {"email": {}}, "at_most": {"count": 1, "per": "1d"}}
    async with begun(rules) as stage:
        for name, policy in (("first", "skip"), ("second", "skip"), ("third", "wait")):
            await stage.publish(greets(head=f"if_capped: {policy}").replace("greets", name))
        ann = await stage.customer("Ann")
        for name in ("first", "second", "third"):
            await stage.enrol(ann, name)
        await stage.pass_time(ann, 2 * DAY)
        assert await sent(stage, ann) == [
            ("Mon 06:00:00", "sent", None),
            ("Mon 06:00:00", "skipped", "capped: 1 message within 1 day"),
            ("Tue 06:00:00", "sent", None),
        ]


async def test_a_cap_of_one_channel_counts_a_sliding_window(begun: Staged) -> None:
    async with begun({"channels": {"email": {"at_most": {"count": 2, "per": "36h"}}}}) as stage:
        await stage.publish(
            greets(head="if_capped: wait")
            + "  - wait: 12h\n  - send: email/welcome\n  - wait: 12h\n  - send: email/welcome\n"
        )
        ann = await stage.customer("Ann")
        await stage.enrol(ann, "greets")
        await stage.pass_time(ann, 3 * DAY)
        assert [at for at, *_ in await sent(stage, ann)] == ["Mon 06:00:00", "Mon 18:00:00", "Tue 18:00:00"]


async def test_a_transactional_message_is_held_back_by_none_of_them(begun: Staged) -> None:
    rules = {"channels": {"email": {"quiet_hours": {"days": "mon-sun"}}}, "at_most": {"count": 1, "per": "7d"}}
    async with begun(rules) as stage:
        await stage.publish(
            greets("{send: email/welcome, transactional: true}", "holdout: 99%")
            + "  - {send: email/brew_guide, transactional: true}\n"
        )
        ann = await stage.customer("Ann", consents={})
        await stage.enrol(ann, "greets")
        assert await sent(stage, ann) == [("Mon 06:00:00", "sent", None)] * 2


async def test_an_address_that_bounced_gets_no_transactional_message_either(begun: Staged) -> None:
    async with begun() as stage:
        await stage.publish(greets("{send: email/welcome, transactional: true}"))
        ann = await stage.customer("Ann")
        async with stage.engine.begin() as db:
            await suppressions.add(
                db, "email", "ann@customers.example", reason="bounced", source="550 no such user", at=MONDAY
            )
        await stage.enrol(ann, "greets")
        assert await sent(stage, ann) == [("Mon 06:00:00", "skipped", "the address is suppressed: bounced")]


async def test_a_herd_that_waits_for_a_window_is_spread_over_its_opening(begun: Staged) -> None:
    async with begun() as stage:
        await stage.publish(greets(head='send_window: {from: "09:00", to: "20:00", spread: 2h}'))
        herd = [await stage.customer(name) for name in ("Ann", "Bob", "Cid", "Dee")]
        moments = []
        for who in herd:
            await stage.enrol(who, "greets")
            await stage.pass_time(who, DAY)
            moments += [one.claimed_at - MONDAY for one in await stage.touches(who)]
        assert len(set(moments)) == len(herd)
        assert all(timedelta(hours=3) <= moment < timedelta(hours=5) for moment in moments)


async def test_those_held_out_walk_the_journey_and_are_sent_nothing(begun: Staged) -> None:
    async with begun() as stage:
        await stage.publish(greets(head="holdout: 50%\ngoal: {on: order.placed, within: 30d}") + "  - wait: 40d\n")
        herd = [await stage.customer(name) for name in ("Ann", "Bob", "Cid", "Dee", "Eve", "Fay")]
        out = {who for who in herd if held_out(0.5, "holdout", "greets", who)}
        assert out
        assert out != set(herd)
        for who in herd:
            await stage.enrol(who, "greets")
            await stage.event(who, "order.placed", DAY, value=30)
        for who in herd:
            [(_, status, because)] = await sent(stage, who)
            assert (status, because) == (("skipped", "holdout") if who in out else ("sent", None))
        async with stage.engine.connect() as db:
            [figures] = [one for one in await reports.journey_summary(db) if one.journey == "greets"]
        assert (figures.goals, figures.held_out, figures.held_out_goals) == (len(herd) - len(out), len(out), len(out))
