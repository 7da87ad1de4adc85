"""Membership in segments against a real database: who enters, who leaves, and that each is told of once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from journeys.segments import Segment
from records import events, tables
from records.audience import membership, segments
from records.audience.membership import Evaluated
from records.audience.segments import UnknownSegment
from records.people import tags, upserts
from records.people.contacts import Contact

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def segment(name: str, where: dict[str, Any]) -> Segment:
    return Segment.model_validate({"segment": name, "title": name.title(), "where": where})


def meant(one: Segment) -> dict[str, Any]:
    """A segment as plain JSON, with durations as people write them."""

    def plain(part: Any) -> Any:
        match part:
            case {"count": count, "unit": unit}:
                return f"{count}{unit}"
            case dict():
                return {name: plain(value) for name, value in part.items()}
            case list():
                return [plain(value) for value in part]
        return part

    where = plain(one.where.model_dump(by_alias=True, exclude_none=True))
    return {"segment": one.segment, "title": one.title, "where": where}


VIPS = segment("vips", {"tag": "vip"})


@pytest.fixture
async def people(engine: AsyncEngine) -> list[int]:
    """Six customers; the first two have the tag."""
    async with engine.begin() as db:
        for one in (VIPS, segment("others", {"not": {"segment": "vips"}})):
            await segments.put(db, one.segment, one.title, meant(one), "1")
        return [
            (
                await upserts.upsert(
                    db, Contact(external_id=f"c-{number}", tags=("vip",) if number < 2 else ()), now=NOW
                )
            ).id
            for number in range(6)
        ]


async def evaluated(engine: AsyncEngine, one: Segment, now: datetime = NOW, ids: list[int] | None = None) -> Evaluated:
    async with engine.begin() as db:
        mine = tables.segments.c.name == one.segment
        await db.execute(update(tables.segments).where(mine).values(definition=meant(one)))
    async with engine.begin() as db:
        return await membership.evaluate(db, one.segment, now, ids)


async def members(engine: AsyncEngine, name: str) -> list[int]:
    async with engine.connect() as db:
        return [one.customer_id for one in await segments.members(db, name)]


async def told(engine: AsyncEngine) -> list[tuple[str, int, str]]:
    async with engine.connect() as db:
        rows = await segments.unrouted(db, limit=100)
    return [(one.name, one.customer_id, one.properties["segment"]) for one in rows]


async def tag(engine: AsyncEngine, customer: int, *, off: bool = False) -> None:
    async with engine.begin() as db:
        change = tags.untag if off else tags.tag
        await change(db, customer, "vip", because=None, now=NOW)


async def test_whoever_meets_the_condition_enters_and_the_event_is_stored_with_it(
    engine: AsyncEngine, people: list[int]
) -> None:
    assert await evaluated(engine, VIPS) == Evaluated("vips", 2, 0)
    assert await members(engine, "vips") == people[:2]
    assert await told(engine) == [("segment.entered", one, "vips") for one in people[:2]]


async def test_an_evaluation_done_again_changes_and_tells_nothing(engine: AsyncEngine, people: list[int]) -> None:
    await evaluated(engine, VIPS)
    assert await evaluated(engine, VIPS, NOW + HOUR) == Evaluated("vips", 0, 0)
    assert len(await told(engine)) == 2


async def test_whoever_no_longer_meets_it_leaves_and_may_come_again(engine: AsyncEngine, people: list[int]) -> None:
    await evaluated(engine, VIPS)
    await tag(engine, people[0], off=True)
    assert await evaluated(engine, VIPS, NOW + HOUR) == Evaluated("vips", 0, 1)
    await tag(engine, people[0])
    assert await evaluated(engine, VIPS, NOW + 2 * HOUR) == Evaluated("vips", 1, 0)
    assert [name for name, one, _ in await told(engine) if one == people[0]] == [
        "segment.entered", "segment.left", "segment.entered",
    ]  # fmt: skip
    async with engine.connect() as db:
        [first, second] = await segments.members(db, "vips")
    assert (first.since, second.since) == (NOW + 2 * HOUR, NOW)


async def test_one_customer_is_evaluated_without_the_others(engine: AsyncEngine, people: list[int]) -> None:
    assert await evaluated(engine, VIPS, ids=[people[1], people[2]]) == Evaluated("vips", 1, 0)
    assert await members(engine, "vips") == [people[1]]


async def test_a_segment_that_names_another_goes_by_its_members(engine: AsyncEngine, people: list[int]) -> None:
    await evaluated(engine, VIPS)
    await evaluated(engine, segment("others", {"not": {"segment": "vips"}}))
    assert await members(engine, "others") == people[2:]


async def test_evaluations_at_the_same_moment_tell_of_each_once(engine: AsyncEngine, people: list[int]) -> None:
    done = await asyncio.gather(*(evaluated(engine, VIPS, NOW + timedelta(seconds=n)) for n in range(5)))
    assert sum(one.entered for one in done) == 2
    assert len(await told(engine)) == 2


@pytest.mark.parametrize(
    "where",
    [
        {"all": [{"event": {"name": "order.placed", "at_most": 0, "within": "30d"}}, {"not": {"consent": "sms"}}]},
        {"any": [{"opened": "email/welcome"}, {"touched": {"message": "email/welcome"}}, {"score": {"below": 5}}]},
    ],
)
async def test_every_kind_of_condition_lets_in_and_out_by_one_statement(
    engine: AsyncEngine, people: list[int], where: dict[str, Any]
) -> None:
    everybody = segment("vips", where)
    assert await evaluated(engine, everybody) == Evaluated("vips", 6, 0)
    nobody = segment("vips", {"not": where})
    assert await evaluated(engine, nobody, NOW + HOUR) == Evaluated("vips", 0, 6)


async def test_only_the_segments_in_which_a_customer_is_wrongly_are_named(
    engine: AsyncEngine, people: list[int]
) -> None:
    await evaluated(engine, VIPS)
    others = segment("others", {"not": {"segment": "vips"}})
    async with engine.connect() as db:
        differences = membership.Differences([VIPS, others])
        assert await differences.of(db, people[0], NOW) == []
        assert await differences.of(db, people[2], NOW) == ["others"]
        assert await differences.of(db, 10**9, NOW) == []


async def test_erasing_a_customer_takes_it_out_of_every_segment(engine: AsyncEngine, people: list[int]) -> None:
    await evaluated(engine, VIPS)
    async with engine.begin() as db:
        await db.execute(text("DELETE FROM customers WHERE id = :id"), {"id": people[0]})
    assert await members(engine, "vips") == people[1:2]
    assert await evaluated(engine, VIPS, NOW + HOUR) == Evaluated("vips", 0, 0)


async def test_emptying_a_segment_tells_everybody_who_was_in_it(engine: AsyncEngine, people: list[int]) -> None:
    await evaluated(engine, VIPS)
    async with engine.begin() as db:
        assert await membership.empty(db, "vips", NOW + HOUR) == 2
    assert [name for name, _, _ in await told(engine)].count("segment.left") == 2


async def test_a_segment_that_is_not_in_force_has_no_members_to_list(engine: AsyncEngine) -> None:
    with pytest.raises(UnknownSegment, match="no segment 'vip' in force"):
        await members(engine, "vip")


async def test_a_segment_whose_meaning_changes_is_put_once(engine: AsyncEngine, people: list[int]) -> None:
    async with engine.begin() as db:
        assert not await segments.put(db, "vips", "Vips", {"segment": "vips"}, "1")
        assert await segments.put(db, "vips", "Vips", {"segment": "vips"}, "2")
        assert (await segments.listing(db))[1].evaluated_at is None


async def test_a_segment_that_is_published_during_an_evaluation_is_worked_out_anew(
    engine: AsyncEngine, people: list[int]
) -> None:
    async with engine.connect() as other:
        async with engine.begin() as db:
            assert await membership.catch_up(db, "vips", NOW) == Evaluated("vips", 2, 0)
            pid = (await other.execute(select(func.pg_backend_pid()))).scalar_one()
            publication = asyncio.create_task(segments.put(other, "vips", "Vips", {}, "2"))
            while not (await db.execute(select(func.cardinality(func.pg_blocking_pids(pid))))).scalar_one():
                await asyncio.sleep(0)
        assert await publication
        await other.commit()
        assert (await segments.listing(other))[1].evaluated_at is None


async def test_a_hundred_thousand_customers_are_evaluated_by_a_few_statements(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await segments.put(db, "vips", "Vips", {"segment": "vips"}, "1")
        await db.execute(
            text(
                "INSERT INTO customers (external_id, tags, created_at, updated_at) "
                "SELECT 'n' || n, CASE WHEN n % 10 = 0 THEN '{vip}'::text[] ELSE '{}' END, now(), now() "
                "FROM generate_series(1, 100000) n"
            )
        )
    wanted = segment("vips", {"all": [{"tag": "vip"}, {"not": {"consent": "sms"}}]})
    assert await evaluated(engine, wanted) == Evaluated("vips", 10_000, 0)
    assert await evaluated(engine, wanted, NOW + HOUR) == Evaluated("vips", 0, 0)
    async with engine.connect() as db:
        assert len(await segments.unrouted(db, limit=20_000)) == 10_000
        assert await events.unrouted(db, limit=1, older_than=NOW)
