"""Holds in the records: what they concern, and who goes on once one of them is gone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from records.people import upserts
from records.people.contacts import Contact
from records.runs import holds, orders, versions
from records.runs.holds import EVERYTHING, Hold, Kind, Overdue
from records.tables import enrolments

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def customer(db: AsyncConnection, name: str) -> int:
    return (await upserts.upsert(db, Contact(external_id=name), now=NOW)).id


async def run(db: AsyncConnection, name: str, journey: str = "welcome", status: str = "waiting", **at: Any) -> int:
    """A run that stands somewhere; a status of the enrolment itself when it has ended or not begun."""
    known = [one.journey for one in await versions.listing(db)]
    if journey not in known:
        await versions.publish(
            db, name=journey, title=journey, definition={}, source="", digest="1", now=NOW, by="test"
        )  # fmt: skip
    ended = status in ("finished", "exited")
    instruction = {"act": "wait", "status": status, "channel": at.get("channel")} if status != "pending" else None
    row = {
        "customer_id": await customer(db, name), "journey": journey, "version": 1, "entry": at.get("entry", 1),
        "source": "api", "workflow": "w", "enrolled_at": NOW, "begins_at": NOW, "turn": 1 if instruction else 0,
        "status": status if ended or instruction is None else "active", "instruction": instruction,
        "step": at.get("step", "hello"), "wakes_at": None if status == "paused" else NOW + HOUR,
    }  # fmt: skip
    return int((await db.execute(insert(enrolments).values(row).returning(enrolments.c.id))).scalar_one())


async def hold(db: AsyncConnection, kind: Kind, name: str, **values: Any) -> bool:
    return await holds.hold(db, kind, name, **{"by": "mei", "because": None, "now": NOW, **values})


async def let_go(db: AsyncConnection, kind: Kind, name: str, *, everyone: bool = False) -> list[int]:
    """The runs that would get an order."""
    where = holds.let_go(kind, name, everyone=everyone)
    return [row.id for row in await db.execute(enrolments.select().where(where).order_by(enrolments.c.id))]


async def test_a_hold_is_laid_once_and_keeps_its_time_and_reason(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        assert await hold(db, "journey", "welcome", because="a wrong price")
        assert not await hold(db, "journey", "welcome", because="again", now=NOW + HOUR, by="lee")
        assert await holds.find(db, "journey", "welcome") == Hold(
            "journey", "welcome", "pause", NOW, "mei", "a wrong price"
        )


async def test_of_two_who_release_a_hold_at_once_one_gets_it(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await hold(db, "all", EVERYTHING)

    async def release() -> Hold | None:
        async with engine.begin() as db:
            return await holds.release(db, "all", EVERYTHING)

    released = await asyncio.gather(*(release() for _ in range(4)))
    assert [one.since for one in released if one is not None] == [NOW]
    async with engine.connect() as db:
        assert await holds.listing(db) == []


async def test_a_pause_becomes_a_stop_and_a_stop_a_pause(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await hold(db, "channel", "email")
        assert await hold(db, "channel", "email", mode="stop", now=NOW + HOUR)
        [one] = await holds.listing(db)
        assert (one.mode, one.since) == ("stop", NOW + HOUR)
        assert await hold(db, "channel", "email", now=NOW + 2 * HOUR)
        [one] = await holds.listing(db)
        assert (one.mode, one.since) == ("pause", NOW + 2 * HOUR)


async def test_a_run_is_under_the_holds_of_its_journey_its_customer_its_channel_and_everything(
    engine: AsyncEngine,
) -> None:
    async with engine.begin() as db:
        ann, bob = await customer(db, "ann"), await customer(db, "bob")
        for number, (kind, name) in enumerate(
            [("customer", str(ann)), ("customer", str(bob)), ("journey", "welcome"), ("journey", "nurture"),
             ("channel", "email"), ("channel", "sms"), ("all", EVERYTHING)]
        ):  # fmt: skip
            await hold(db, kind, name, now=NOW + number * HOUR)  # type: ignore[arg-type]
        applying = await holds.applies(db, journey="welcome", customer_id=ann, channel="sms")
        assert [(one.kind, one.name) for one in applying] == [
            ("customer", str(ann)), ("journey", "welcome"), ("channel", "sms"), ("all", EVERYTHING),
        ]  # fmt: skip
        assert len(await holds.applies(db, journey="welcome", customer_id=ann)) == 3


async def test_only_paused_runs_are_overdue_and_those_that_have_ended_never(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await hold(db, "journey", "welcome")
        for number, status in enumerate(["paused", "paused", "waiting", "sending", "held", "pending", "exited"]):
            await run(db, f"c{number}", status=status, step="entry" if number == 1 else "hello")
        await run(db, "other", journey="nurture", status="paused")
        assert await holds.overdue(db, "journey", "welcome") == [
            Overdue("welcome", 1, "entry", 1), Overdue("welcome", 1, "hello", 1),
        ]  # fmt: skip
        assert await holds.count_open(db, "journey", "welcome") == 6


async def test_everyone_means_every_open_run_that_the_hold_concerned(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        paused, waiting = await run(db, "ann", status="paused"), await run(db, "bob")
        await run(db, "cid", status="finished")
        await run(db, "ann", journey="nurture", status="waiting")
        assert await let_go(db, "journey", "welcome") == [paused]
        assert await let_go(db, "journey", "welcome", everyone=True) == [paused, waiting]


@pytest.mark.parametrize("kind", ["all", "journey", "customer", "channel"])
async def test_a_run_that_another_pause_holds_too_stays_where_it_is(engine: AsyncEngine, kind: Kind) -> None:
    async with engine.begin() as db:
        free, kept = (
            await run(db, "ann", status="paused"),
            await run(db, "bob", journey="nurture", status="paused", channel="sms"),
        )
        bob = str(await customer(db, "bob"))
        other = {"journey": "nurture", "customer": bob, "channel": "sms"}
        lifted: tuple[Kind, str] = ("all", EVERYTHING) if kind != "all" else ("journey", "nurture")
        await hold(db, *lifted)
        await hold(db, kind, other.get(kind, EVERYTHING))
        assert await let_go(db, *lifted) == ([] if kind == "all" else [free])
        assert await holds.still_held(db, *lifted) == 1
        await holds.release(db, kind, other.get(kind, EVERYTHING))
        assert kept in await let_go(db, *lifted)


async def test_a_stopped_channel_holds_no_run_in_its_place(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ann = await run(db, "ann", status="paused", channel="email")
        await hold(db, "journey", "welcome")
        await hold(db, "channel", "email", mode="stop")
        assert await let_go(db, "journey", "welcome") == [ann]


async def test_a_hold_on_a_channel_concerns_the_runs_that_stand_at_a_message_of_it(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        mail = await run(db, "ann", status="paused", channel="email")
        await run(db, "bob", status="paused", channel="sms")
        await run(db, "cid", status="waiting", channel="email")
        await run(db, "dan", status="paused")
        for everyone in (False, True):
            assert await let_go(db, "channel", "email", everyone=everyone) == [mail]


async def test_a_paused_run_that_no_hold_keeps_is_found_and_let_go_once(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        stray, kept = await run(db, "ann", status="paused"), await run(db, "bob", status="paused")
        await run(db, "cid")
        await hold(db, "customer", str(await customer(db, "bob")))
        assert [await orders.free_strays(db, NOW) for _ in range(2)] == [1, 0]
        [order] = await orders.pending(db, stray)
        assert (order.kind, order.args["mode"], order.by) == ("resume", "spread", "sweep")
        assert await orders.pending(db, kept) == []


async def test_paused_runs_are_found_by_an_index(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await run(db, "ann", status="paused")
        await db.execute(text("SET LOCAL enable_seqscan = off"))
        where = holds.is_paused().compile(dialect=db.dialect, compile_kwargs={"literal_binds": True})
        plan = [row[0] for row in await db.execute(text(f"EXPLAIN SELECT id FROM enrolments WHERE {where}"))]
        assert any("ix_enrolments_waking" in line for line in plan), plan


async def test_an_erased_customer_leaves_a_hold_that_concerns_nobody(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ann = await run(db, "ann", status="paused")
        name = str(await customer(db, "ann"))
        await hold(db, "customer", name)
        await db.execute(update(enrolments).where(enrolments.c.id == ann).values(step="entry"))
        await db.execute(text("DELETE FROM customers"))
        assert await let_go(db, "customer", name, everyone=True) == []
        assert await holds.release(db, "customer", name) is not None
