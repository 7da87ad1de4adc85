"""Orders in the records: given once, dealt with once, and never forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from records.runs import holds, orders
from records.tables import customers, enrolments
from tests.integration.test_holds import NOW, run

MINUTE = timedelta(minutes=1)


async def test_an_order_says_who_gave_it_when_and_why(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ann = await run(db, "ann")
        number = await orders.give(db, ann, "move", {"to": "hello"}, by="mei", because="she asked", now=NOW)
        one = await orders.get(db, number)
        assert one is not None
        assert (one.kind, one.args, one.by, one.because, one.at) == ("move", {"to": "hello"}, "mei", "she asked", NOW)
        assert (one.taken_at, one.refusal) == (None, None)
        assert await orders.pending(db, ann) == [one]


async def test_an_order_that_was_taken_or_refused_is_no_longer_pending_and_stays_on_record(
    engine: AsyncEngine,
) -> None:
    async with engine.begin() as db:
        ann = await run(db, "ann")
        first, second, third = [await orders.give(db, ann, "skip", by="mei", now=NOW) for _ in range(3)]
        await orders.taken(db, [first], NOW + MINUTE)
        await orders.refuse(db, second, NOW + MINUTE, "a message is just leaving")
        assert [one.id for one in await orders.pending(db, ann)] == [third]
        assert [(one.taken_at, one.refusal) for one in await orders.of_run(db, ann)] == [
            (NOW + MINUTE, None), (NOW + MINUTE, "a message is just leaving"), (None, None),
        ]  # fmt: skip


async def test_one_statement_gives_an_order_to_all_whom_it_concerns(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        there = [await run(db, name) for name in ("ann", "bob")]
        await run(db, "cid", status="finished")
        await run(db, "dan", journey="nurture")
        where = holds.covers("journey", "welcome")
        assert await orders.give_many(db, where, "exit", {"outcome": "stopped"}, by="mei", because=None, now=NOW) == 2
        given = [(await orders.of_run(db, one))[0] for one in there]
        assert [(one.kind, one.args, one.by, one.because, one.at) for one in given] == [
            ("exit", {"outcome": "stopped"}, "mei", None, NOW)
        ] * 2


async def test_runs_with_an_order_are_told_page_by_page(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        there = [await run(db, f"c{number}") for number in range(5)]
        await run(db, "without")
        await orders.give_many(db, enrolments.c.id.in_(there), "exit", by="mei", now=NOW)
        await orders.give(db, there[0], "exit", by="mei", now=NOW)  # two orders, one run
        seen: list[int] = []
        while page := await orders.pending_runs(db, limit=2, after=seen[-1] if seen else 0):
            seen += [one.id for one in page]
        assert seen == there
        assert await orders.count_pending(db) == 5


async def test_runs_that_have_ended_or_not_begun_need_not_be_told(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        for name, status in (("ann", "exited"), ("bob", "pending"), ("cid", "waiting")):
            await orders.give(db, await run(db, name, status=status), "exit", by="mei", now=NOW)
        [told] = await orders.pending_runs(db, limit=10)
        assert told.instruction is not None
        assert told.instruction["status"] == "waiting"
        assert await orders.count_pending(db) == 1


async def test_the_sweep_leaves_the_youngest_to_whoever_gave_them(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await orders.give(db, await run(db, "ann"), "exit", by="mei", now=NOW)
        assert await orders.pending_runs(db, limit=10, before=NOW - MINUTE) == []
        assert len(await orders.pending_runs(db, limit=10, before=NOW)) == 1


async def test_there_is_no_order_to_a_run_that_there_is_not(engine: AsyncEngine) -> None:
    with pytest.raises(IntegrityError):
        async with engine.begin() as db:
            await orders.give(db, 404, "exit", by="mei", now=NOW)


async def test_erasing_a_customer_erases_what_was_ordered(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        number = await orders.give(db, await run(db, "ann"), "exit", by="mei", now=NOW)
        await db.execute(delete(customers))
        assert await orders.get(db, number) is None
