"""What people read: the timeline of one customer, the figures of journeys, the ledger of messages."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from records import events, reports, tables
from records.audience import scores
from records.messages import touches
from records.people import consents, customers, identities, tags, upserts
from records.people.contacts import Contact
from records.people.timeline import timeline
from records.runs import versions
from records.sales import taking, tasks

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


async def _journey(db: AsyncConnection, name: str = "welcome") -> None:
    await versions.publish(db, name=name, title=name.title(), definition={}, source="", digest="d", now=NOW, by="marie")


async def _customer(db: AsyncConnection, email: str = "ada@example.com") -> int:
    return (await upserts.upsert(db, Contact(email=email), now=NOW)).id


async def _add(db: AsyncConnection, table: Any, **values: Any) -> int:
    return int((await db.execute(insert(table).values(values).returning(table.c.id))).scalar_one())


async def _run(db: AsyncConnection, customer_id: int, **values: Any) -> int:
    fixed = {"journey": "welcome", "version": 1, "entry": 1, "source": "event", "enrolled_at": NOW, "begins_at": NOW}
    fixed["workflow"] = f"journey/welcome/{customer_id}"
    return await _add(db, tables.enrolments, customer_id=customer_id, **{**fixed, **values})


async def _touch(db: AsyncConnection, customer_id: int, run: int | None, **values: Any) -> int:
    fixed = {"channel": "email", "message": "email/welcome", "status": "sent", "claimed_at": NOW, "key": f"{values}"}
    place = {"enrolment_id": run, "journey": "welcome", "version": 1, "step": "send", "visit": 1}
    return await _add(db, tables.touches, customer_id=customer_id, **{**fixed, **place, **values})


async def _life(db: AsyncConnection) -> int:
    """Ada signs up, is written to, clicks, is scored, called and won."""
    await _journey(db)
    ada = await _customer(db)
    await events.store(db, customer_id=ada, name="customer.signed_up", occurred_at=at(0), received_at=at(0))
    run = await _run(db, ada, status="exited", outcome="converted", ended_at=at(50))
    await consents.record(db, ada, "email", granted=True, source="form", at=at(0))
    touch = await _touch(db, ada, run, claimed_at=at(1))
    click = {"name": "email.clicked", "touch_id": touch}
    await events.store(db, customer_id=ada, occurred_at=at(10), received_at=at(11), **click)  # type: ignore[arg-type]
    await scores.add(db, ada, 10, "engaged", at(10), run, "score-10", 1)
    await upserts.set_fields(db, ada, {"stage": "warm"}, because="engaged", enrolment_id=run, now=at(10))
    await tags.tag(db, ada, "vip", because=None, now=at(10))
    task = await tasks.create(db, customer_id=ada, queue="sales", title="Call Ada", now=at(20), enrolment_id=run)
    await taking.finish(db, task or 0, "lena", "won", "signed", at(40))
    return ada


async def test_a_timeline_tells_everything_in_the_order_it_happened(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ada = await _life(db)
        await events.store(db, customer_id=await _customer(db, "b@x.com"), name="x", occurred_at=NOW, received_at=NOW)
        entries = await timeline(db, ada)
    assert [(entry.kind, entry.title, entry.journey) for entry in entries] == [
        ("entered", "entered welcome", "welcome"),
        ("event", "customer.signed_up", None),
        ("consent", "consent to email given", None),
        ("touch", "email/welcome sent", "welcome"),
        ("event", "email.clicked", None),
        ("score", "+10 points", "welcome"),
        ("stage", "stage: new → warm", "welcome"),
        ("tag", "tagged vip", None),
        ("task", "Call Ada", "welcome"),
        ("task_done", "Call Ada: won", "welcome"),
        ("left", "left welcome: converted", "welcome"),
    ]
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    assert entries[5].detail == {"points": 10, "because": "engaged", "step": "score-10"}
    assert entries[9].detail["note"] == "signed"


async def test_a_short_timeline_keeps_the_newest(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ada = await _life(db)
        whole = await timeline(db, ada)
        assert await timeline(db, ada, limit=3) == whole[-3:]
        assert await timeline(db, 404) == []


async def _ask(db: AsyncConnection, question: str) -> None:
    match question:
        case "timeline":
            await timeline(db, 1)
        case "find":
            with contextlib.suppress(identities.UnknownCustomer):
                await customers.find(db, "12345")
        case "receipts":
            await touches.by_provider_id(db, "SM1")
        case "unrouted":
            await events.unrouted(db, limit=10, older_than=NOW)


@pytest.mark.parametrize("question", ["timeline", "find", "receipts", "unrouted"])
async def test_a_question_about_few_rows_reads_through_indexes_alone(engine: AsyncEngine, question: str) -> None:
    asked: list[tuple[str, Any]] = []
    async with engine.connect() as db:
        # With sequential scans made dear, one that remains means that no index fits.
        await db.execute(text("SET LOCAL enable_seqscan = off"))

        @event.listens_for(db.sync_connection, "before_cursor_execute")
        def remember(_: Any, __: Any, statement: str, parameters: Any, *___: object) -> None:
            asked.append((statement, parameters))

        await _ask(db, question)
        [(statement, parameters)] = asked
        plan = await db.exec_driver_sql("EXPLAIN " + statement, parameters)
        assert "Seq Scan" not in "\n".join(row[0] for row in plan)


async def test_a_journey_is_summed_up(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await _life(db)
        await _journey(db, "quiet")
        bob, eve = await _customer(db, "bob@example.com"), await _customer(db, "eve@example.com")
        run = await _run(db, bob, status="active")
        await _touch(db, bob, run, status="skipped", because="no consent")
        await _touch(db, bob, run, status="uncertain", visit=2)
        await _run(db, eve, status="finished", outcome="done", ended_at=at(5))
        await db.execute(update(tables.customers).values(qualified_at=at(3)).where(tables.customers.c.id == eve))
        touch = await _touch(db, eve, None)
        for name in ("email.opened", "email.opened", "email.clicked"):
            await events.store(db, customer_id=eve, name=name, occurred_at=NOW, received_at=NOW, touch_id=touch)
        quiet, welcome = await reports.journey_summary(db)
        overview = await reports.overview(db)
    assert (quiet.journey, quiet.enrolled, quiet.sent, quiet.outcomes) == ("quiet", 0, 0, {})
    assert (welcome.enrolled, welcome.active, welcome.finished, welcome.exited, welcome.failed) == (3, 1, 1, 1, 0)
    assert (welcome.converted, welcome.qualified, welcome.outcomes) == (1, 1, {"converted": 1, "done": 1})
    assert (welcome.sent, welcome.skipped, welcome.uncertain) == (2, 1, 1)
    assert (welcome.opened, welcome.clicked) == (1, 2)
    assert (welcome.versions, welcome.live_version) == ([1], 1)
    assert (overview.customers, overview.qualified, overview.active, overview.open_tasks) == (3, 1, 1, 0)
    assert (overview.sent, overview.opened, overview.clicked, overview.uncertain) == (2, 1, 2, 1)


async def test_touches_are_read_by_customer_by_key_and_by_the_providers_id(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await _journey(db)
        ada = await _customer(db)
        sent = await _touch(db, ada, None, key="<1@waymark>", provider_id="SM1", claimed_at=at(1))
        held = await _touch(db, ada, None, key="<2@waymark>", status="uncertain", claimed_at=at(2))
        assert [one.id for one in await touches.for_customer(db, ada)] == [held, sent]
        assert [one.id for one in await touches.recent(db, ada)] == [sent]
        assert [one.id for one in await touches.uncertain(db)] == [held]
        by_key, by_provider = await touches.by_key(db, "<1@waymark>"), await touches.by_provider_id(db, "SM1")
        assert by_key is not None
        assert by_key == by_provider
        assert by_key.id == sent
        assert await touches.by_key(db, "<3@waymark>") is None
        assert await touches.by_provider_id(db, "SM2") is None
