"""Versions in the records: taking one back, where their runs stand, and what a journey's messages did for its goal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from records import reports, tables
from records.people import upserts
from records.people.contacts import Contact
from records.runs import holds, moves, orders, versions
from records.runs.versions import UnknownJourney

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def publish(db: AsyncConnection, digest: str, name: str = "welcome") -> int:
    return await versions.publish(
        db, name=name, title=f"Title {digest}", definition={"title": f"Title {digest}"}, source="", digest=digest,
        now=NOW, by="mei",
    )  # fmt: skip


async def run(db: AsyncConnection, name: str, version: int = 1, step: str | None = "wait", **values: Any) -> int:
    customer = (await upserts.upsert(db, Contact(external_id=name), now=NOW)).id
    row = {
        "customer_id": customer, "journey": "welcome", "version": version, "entry": 1, "source": "api",
        "step": step, "workflow": "w",
        "enrolled_at": NOW, "begins_at": NOW, "turn": 1 if step else 0, "status": "active" if step else "pending",
        **values,
    }  # fmt: skip
    made = await db.execute(insert(tables.enrolments).values(row).returning(tables.enrolments.c.id))
    return int(made.scalar_one())


async def touch(db: AsyncConnection, enrolment: int, message: str, after: int = 0, status: str = "sent") -> int:
    owner = await db.execute(tables.enrolments.select().where(tables.enrolments.c.id == enrolment))
    row = {
        "customer_id": owner.one().customer_id, "enrolment_id": enrolment, "journey": "welcome", "version": 1,
        "step": message, "visit": 1, "channel": "email", "message": message, "status": status,
        "key": f"{enrolment}-{message}", "claimed_at": NOW + after * HOUR,
    }  # fmt: skip
    return int((await db.execute(insert(tables.touches).values(row).returning(tables.touches.c.id))).scalar_one())


async def live(db: AsyncConnection) -> tuple[int, str, str]:
    (one,) = await versions.listing(db)
    return one.live_version, one.title, one.status


async def test_taking_a_version_back_makes_the_one_before_it_live_and_at_last_archives(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        for digest in "abc":
            await publish(db, digest)
        await versions.unpublish(db, "welcome")
        assert await live(db) == (2, "Title b", "live")
        await versions.unpublish(db, "welcome")
        assert await live(db) == (1, "Title a", "live")
        for _ in range(2):
            await versions.unpublish(db, "welcome")
            assert await live(db) == (1, "Title a", "archived")
        assert await publish(db, "d") == 4
        assert await live(db) == (4, "Title d", "live")


async def test_a_version_that_is_named_is_taken_back_once(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        for digest in "abc":
            await publish(db, digest)
        for _ in range(2):
            await versions.unpublish(db, "welcome", 3)
            assert await live(db) == (2, "Title b", "live")
        with pytest.raises(UnknownJourney, match="no version 9") as caught:
            await versions.unpublish(db, "welcome", 9)
        assert caught.value.hint == "The versions are 1, 2, 3."


async def test_a_journey_that_is_not_there_is_told_with_the_nearest_name(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        with pytest.raises(UnknownJourney, match="no journey welcome"):
            await versions.archive(db, "welcome")
        await publish(db, "a")
        for call in (versions.archive(db, "welcom"), versions.unpublish(db, "welcom"), versions.get(db, "welcom", 1)):
            with pytest.raises(UnknownJourney, match="did you mean 'welcome'"):
                await call


async def test_a_pause_shows_in_the_figures_and_outlives_a_new_version(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await publish(db, "a")
        await holds.hold(db, "journey", "welcome", by="mei", because=None, now=NOW)
        await publish(db, "b")
        assert [one.status for one in await reports.journey_summary(db)] == ["paused"]
        await versions.archive(db, "welcome")
        assert [one.status for one in await reports.journey_summary(db)] == ["archived"]


async def test_open_runs_are_counted_by_version_and_by_step(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await publish(db, "a")
        await publish(db, "b")
        await run(db, "ann")
        await run(db, "bob", step=None)
        await run(db, "cem", version=2)
        await run(db, "dee", status="finished")
        assert await moves.open_runs(db, "welcome") == {1: 2, 2: 1}
        assert await moves.standing(db, "welcome", 1) == {"wait": 1, "entry": 1}
        (summary,) = await reports.journey_summary(db)
        assert (summary.versions, summary.open_runs) == ([1, 2], {"1": 2, "2": 1})


async def test_what_those_who_stand_at_a_step_were_sent_is_known(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await publish(db, "a")
        ann, bob, cem = [await run(db, name) for name in ("ann", "bob", "cem")]
        await touch(db, ann, "email/hello")
        await touch(db, bob, "email/hello", status="uncertain")
        await touch(db, cem, "email/hello", status="skipped")
        await touch(db, cem, "email/other")
        assert await moves.received(db, "welcome", 1, ["email/hello"]) == {"wait": {"email/hello": 2}}


async def test_runs_are_told_to_move_once_and_the_latest_word_counts(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        for digest in "abc":
            await publish(db, digest)
        ann, bob = await run(db, "ann"), await run(db, "bob")
        await run(db, "cem", version=2)
        await run(db, "dee", status="exited")

        async def tell(target: int, **mapping: str) -> int:
            args = {"version": target, "map": mapping}
            return await moves.order(db, "welcome", 1, args, by="mei", because=None, now=NOW)

        assert [await tell(2), await tell(2), await tell(3, wait="rest"), await tell(3, wait="rest")] == [2, 0, 2, 0]
        for one in (ann, bob):
            (pending,) = await orders.pending(db, one)
            assert pending.args == {"version": 3, "map": {"wait": "rest"}}
            withdrawn, _ = await orders.of_run(db, one)
            assert withdrawn.refusal == "withdrawn: mei said otherwise later"


async def test_goals_are_credited_to_the_last_message_and_shared_among_all(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await publish(db, "a")
        runs = [await run(db, name) for name in ("ann", "bob", "cem", "dee")]
        ann, bob, cem, dee = runs
        first, second = await touch(db, ann, "email/hello"), await touch(db, ann, "email/offer", after=1)
        only = await touch(db, bob, "email/hello")

        async def goal(enrolment: int, value: int | None, touches: list[int], held_out: bool = False) -> None:
            owner = (await db.execute(tables.enrolments.select().where(tables.enrolments.c.id == enrolment))).one()
            await db.execute(
                update(tables.enrolments).where(tables.enrolments.c.id == enrolment).values(held_out=held_out)
            )
            await db.execute(insert(tables.goals).values(
                enrolment_id=enrolment, customer_id=owner.customer_id, journey="welcome", version=1, at=NOW,
                value=value, touch_ids=touches, held_out=held_out,
            ))  # fmt: skip

        await goal(ann, 100, [first, second])
        await goal(bob, None, [only])
        await goal(cem, 30, [])
        await goal(dee, 500, [], held_out=True)
        hello, offer, nothing = await reports.attribution(db, "welcome")
        (summary,) = await reports.journey_summary(db)
    assert (hello.message, hello.touches, hello.last_goals, int(hello.last_value)) == ("email/hello", 2, 1, 0)
    assert (hello.shared_goals, int(hello.shared_value)) == (1.5, 50)
    assert (offer.message, offer.touches, offer.last_goals, int(offer.last_value)) == ("email/offer", 1, 1, 100)
    assert (offer.shared_goals, int(offer.shared_value)) == (0.5, 50)
    assert (nothing.message, nothing.touches, nothing.last_goals, int(nothing.last_value)) == (None, 0, 1, 30)
    assert (summary.goals, summary.goal_value) == (3, Decimal(130))
    assert (summary.held_out, summary.held_out_goals) == (1, 1)
