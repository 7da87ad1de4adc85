"""Who stands where in a journey, and who has gone through."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from records import tables
from records.people import upserts
from records.people.contacts import Contact
from records.runs import moves, versions

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


async def publish(db: AsyncConnection, digest: str) -> None:
    await versions.publish(
        db, name="welcome", title="Welcome", definition={}, source="", digest=digest, now=NOW, by="m"
    )


async def run(db: AsyncConnection, name: str, *path: str, version: int = 1, **values: Any) -> None:
    """A run that took the steps of `path`, each `step/kind`."""
    customer = (await upserts.upsert(db, Contact(external_id=name), now=NOW)).id
    row = {
        "customer_id": customer, "journey": "welcome", "version": version, "entry": 1, "source": "api", "workflow": "w",
        "enrolled_at": NOW, "begins_at": NOW, **values,
    }  # fmt: skip
    made = await db.execute(insert(tables.enrolments).values(row).returning(tables.enrolments.c.id))
    number = made.scalar_one()
    for turn, line in enumerate(path):
        step, kind = line.split("/")
        values = {"enrolment_id": number, "turn": turn, "seq": 0, "step": step, "visit": 1, "kind": kind, "at": NOW}
        await db.execute(insert(tables.path).values(values))


async def test_each_contact_counts_once_a_step_however_often_it_came_by(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await publish(db, "a")
        await publish(db, "b")
        await run(db, "ann")
        await run(db, "bob", "hello/send", status="active", step="pause")
        await run(
            db, "cem", "hello/send", "pause/wait", "round/loop", "pause/wait", "round/loop",
            status="active", step="pause",
        )  # fmt: skip
        await run(db, "dee", "hello/send", "pause/exit", status="exited", outcome="converted", step="pause")
        await run(db, "eve", "hello/send", "pause/wait", status="finished", outcome="completed")
        await run(db, "fox", "hello/send", version=2, status="active", step="pause")
        found = await moves.traffic(db, "welcome", 1)
        assert found.here == {"entry": 1, "pause": 2}
        assert found.passed == {"hello": 4, "pause": 2, "round": 1}
        assert found.outcomes == {"completed": 1, "converted": 1}
        assert found.entered == 5


async def test_nobody_yet_is_nobody_everywhere(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await publish(db, "a")
        assert await moves.traffic(db, "welcome", 1) == moves.Traffic({}, {}, {}, 0)
