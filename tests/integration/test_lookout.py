"""Whoever waits for runs of other processes to come to rest hears of it from the records."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from sqlalchemy import delete, event, insert, update
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from records.people import upserts
from records.people.contacts import Contact
from records.runs import versions
from records.tables import enrolments
from workers.rests import Lookout

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
_numbers = count(1)


async def run_of(engine: AsyncEngine, **values: Any) -> int:
    """A run that has taken its third turn, which came to a delivery."""
    async with engine.begin() as db:
        customer = (await upserts.upsert(db, Contact(external_id=f"c-{next(_numbers)}"), now=NOW)).id
        if not await versions.listing(db):
            await versions.publish(
                db, name="welcome", title="W", definition={}, source="", digest="1", now=NOW, by="test"
            )  # fmt: skip
        row = {
            "customer_id": customer, "journey": "welcome", "version": 1, "entry": 1, "source": "api", "workflow": "w",
            "enrolled_at": NOW, "begins_at": NOW, "status": "active", "turn": 3, "instruction": {"act": "deliver"},
        }  # fmt: skip
        return int((await db.execute(insert(enrolments).values(row | values).returning(enrolments.c.id))).scalar_one())


async def moves(engine: AsyncEngine, run: int, **values: Any) -> None:
    async with engine.begin() as db:
        await db.execute(update(enrolments).where(enrolments.c.id == run).values(values))


async def test_a_run_that_takes_a_turn_is_at_rest_only_where_the_turn_came_to_a_rest(engine: AsyncEngine) -> None:
    lookout, run = Lookout(engine), await run_of(engine)
    waits = asyncio.ensure_future(lookout.after(run, 3))
    again = asyncio.ensure_future(lookout.after(run, 4))
    for values in ({"turn": 4}, {"instruction": {"act": "wait"}}):
        assert not waits.done()
        await moves(engine, run, **values)
        await lookout.after(await run_of(engine, status="finished"), 3)
    await waits
    assert not again.done()
    await moves(engine, run, turn=5)
    await again


async def test_a_run_that_has_ended_or_is_gone_keeps_nobody_waiting(engine: AsyncEngine) -> None:
    lookout, ends, goes = Lookout(engine), await run_of(engine), await run_of(engine)
    waits = asyncio.gather(lookout.after(ends, 3), lookout.after(goes, 3))
    await moves(engine, ends, status="exited")
    async with engine.begin() as db:
        await db.execute(delete(enrolments).where(enrolments.c.id == goes))
    await waits


async def test_however_many_wait_each_look_is_one_query(engine: AsyncEngine) -> None:
    lookout, asked = Lookout(engine), list[str]()
    runs = [await run_of(engine) for _ in range(20)]
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *of: asked.append(of[2]))
    waits = asyncio.gather(*(lookout.after(run, 3) for run in runs))
    async with engine.begin() as db:
        await db.execute(update(enrolments).values(turn=4, instruction={"act": "wait"}))
    await waits
    looks = [statement for statement in asked if statement.startswith("SELECT")]
    assert 1 <= len(looks) < len(runs)


async def test_what_keeps_a_look_from_being_taken_is_told_to_all_who_wait(engine: AsyncEngine) -> None:
    lookout, run = Lookout(engine), await run_of(engine)
    async with engine.begin() as db:
        await db.exec_driver_sql("ALTER TABLE enrolments RENAME TO elsewhere")
    for _ in range(2):
        told = await asyncio.gather(lookout.after(run, 3), lookout.after(run, 3), return_exceptions=True)
        assert [type(one) for one in told] == [ProgrammingError] * 2


async def test_who_gives_up_waiting_leaves_nothing_behind(engine: AsyncEngine) -> None:
    lookout, run = Lookout(engine), await run_of(engine)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await lookout.after(run, 3)
    assert not lookout._waiting
