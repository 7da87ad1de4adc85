"""What orders come to, against a real database and a plain reading in Python; and the stages that follow from it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.figures.valuing import Stages, Valuing
from journeys.conditions import Condition
from journeys.lifecycle import Lifecycle, Orders, load, parse
from records import tables
from records.audience import lifecycle, values
from records.audience.values import Rfm
from records.conditions import answers
from records.people.timeline import timeline

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")
READ: TypeAdapter[Condition] = TypeAdapter(Condition)
UTC_ZONE = ZoneInfo("UTC")
Order = tuple[str, datetime, str | None]
"""A customer's external id, when, and what it came to."""


async def customer(db: AsyncConnection, **columns: str) -> int:
    row = insert(tables.customers).values(**columns, created_at=NOW, updated_at=NOW).returning(tables.customers.c.id)
    return int((await db.execute(row)).scalar_one())


async def people(db: AsyncConnection, names: Iterable[str]) -> dict[str, int]:
    return {name: await customer(db, external_id=name) for name in names}


async def happen(db: AsyncConnection, who: int, name: str, at: datetime, value: str | None = None) -> None:
    row = {"customer_id": who, "name": name, "occurred_at": at, "received_at": at}
    await db.execute(insert(tables.events).values(**row, value=None if value is None else Decimal(value)))


async def placed(db: AsyncConnection, orders: Sequence[Order]) -> dict[str, int]:
    known = await people(db, dict.fromkeys(name for name, _, _ in orders))
    for name, at, value in orders:
        await happen(db, known[name], "order.placed", at, value)
    return known


async def report(db: AsyncConnection, before: datetime = NOW, zone: ZoneInfo = UTC_ZONE) -> list[Rfm]:
    return [line async for line in values.rfm(db, "order.placed", before, zone)]


def expected(orders: Sequence[Order], before: datetime, zone: ZoneInfo) -> list[Rfm]:
    """The plain reading: five tiles as even as they can be, the first ones one longer."""
    today = before.astimezone(zone).date()
    found: dict[str, list[tuple[datetime, Decimal]]] = {}
    for name, at, value in orders:
        if at < before:
            found.setdefault(name, []).append((at, Decimal(value or "0")))
    names = sorted(found, key=lambda name: (0, int(name), name) if name.isdigit() else (1, 0, name))
    lines = [
        Rfm(name, (today - max(at.astimezone(zone).date() for at, _ in found[name])).days, len(found[name]),
            sum((value for _, value in found[name]), Decimal()), 0, 0, 0)
        for name in names
    ]  # fmt: skip

    def tiles(worst_first: Any) -> dict[str, int]:
        ranked = sorted(lines, key=worst_first)  # stable: ties stay in the order of customers
        size, longer = divmod(len(ranked), 5)
        ends = [size * tile + min(tile, longer) for tile in range(1, 6)]
        return {
            one.customer: next(n + 1 for n, end in enumerate(ends) if place < end) for place, one in enumerate(ranked)
        }

    r, f, m = (
        tiles(key) for key in (lambda one: -one.recency_days, lambda one: one.frequency, lambda one: one.monetary)
    )
    return [replace(one, r=r[one.customer], f=f[one.customer], m=m[one.customer]) for one in lines]


def histories(seed: int, customers_: int) -> list[Order]:
    chance = random.Random(seed)
    names = [
        chance.choice([str(chance.randint(1, 3000)), f"c-{chance.randint(1, 99)}", f"É{n}"]) for n in range(customers_)
    ]
    cents = ["0.10", "0.20", "19.99", "100", "0", None]
    return [
        (name, NOW - timedelta(hours=chance.randint(-48, 24 * 40), minutes=chance.randint(0, 59)), chance.choice(cents))
        for name in dict.fromkeys(names)
        for _ in range(chance.randint(1, 6))
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("zone", [UTC_ZONE, BERLIN, ZoneInfo("Asia/Shanghai")], ids=str)
async def test_the_report_is_what_a_plain_reading_of_the_orders_says(
    engine: AsyncEngine, seed: int, zone: ZoneInfo
) -> None:
    orders = histories(seed, 10 + seed * 29)
    before = datetime.combine(date(2026, 12, 1), time(), tzinfo=zone).astimezone(UTC)
    async with engine.begin() as db:
        await placed(db, orders)
        assert await report(db, before, zone) == expected(orders, before, zone)


async def test_an_order_at_the_first_moment_of_the_day_is_not_before_it(engine: AsyncEngine) -> None:
    midnight = datetime(2026, 12, 1, tzinfo=BERLIN)
    async with engine.begin() as db:
        await placed(db, [("a", midnight, "5"), ("a", midnight - timedelta(microseconds=1), "3"), ("b", midnight, "1")])
        assert await report(db, midnight, BERLIN) == [Rfm("a", 1, 1, Decimal(3), 1, 1, 1)]


async def test_days_are_those_of_the_calendar_also_when_clocks_change(engine: AsyncEngine) -> None:
    """From 24 to 25 October 2026 the day has 25 hours in Berlin; 47 hours before midnight is still the day before."""
    midnight = datetime(2026, 10, 26, tzinfo=BERLIN)
    async with engine.begin() as db:
        await placed(db, [("a", datetime(2026, 10, 25, 0, 1, tzinfo=BERLIN), None)])
        [line] = await report(db, midnight, BERLIN)
    assert (line.recency_days, line.monetary) == (1, Decimal())


async def test_whoever_has_no_external_id_goes_by_e_mail_else_by_our_id(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ann = await customer(db, email="ann@example.com")
        bob = await customer(db, phone="+4930123456")
        for one in (ann, bob):
            await happen(db, one, "order.placed", NOW - DAY, "1")
        assert {line.customer for line in await report(db)} == {"ann@example.com", str(bob)}


async def test_figures_are_kept_for_everybody_and_worked_out_again_only_where_they_changed(engine: AsyncEngine) -> None:
    orders = histories(7, 60)
    async with engine.begin() as db:
        known = await placed(db, orders)
        refunded = next(name for name, at, _ in orders if at < NOW)
        await happen(db, known[refunded], "order.refunded", NOW - DAY, "0.10")
        count = await values.refresh(db, Orders(), NOW, BERLIN)
        wanted = expected(orders, NOW, BERLIN)
        assert count == len(wanted)
        for line in wanted:
            kept = await values.of(db, known[line.customer])
            assert kept is not None
            assert (kept.orders, kept.revenue, kept.r, kept.f, kept.m) == (
                line.frequency, line.monetary, line.r, line.f, line.m,
            )  # fmt: skip
            assert kept.lifetime_value == line.monetary - (Decimal("0.10") if line.customer == refunded else 0)
        assert await values.refresh(db, Orders(), NOW, BERLIN) == 0


async def test_between_two_nights_an_order_counts_at_once_and_takes_the_quintile_of_those_alike(
    engine: AsyncEngine,
) -> None:
    async with engine.begin() as db:
        known = await placed(db, [(str(n), NOW - n * DAY, str(n * 10)) for n in range(1, 11) for _ in range(n)])
        await values.refresh(db, Orders(), NOW, UTC_ZONE)
        new = (await people(db, ["new"]))["new"]
        assert await values.of(db, new) is None
        await happen(db, new, "order.placed", NOW, "1000")
        assert await values.refresh_some(db, Orders(), [new, known["1"]], NOW, UTC_ZONE) == 1
        kept = await values.of(db, new)
        assert kept is not None
        assert (kept.orders, kept.revenue, kept.r, kept.f, kept.m) == (1, Decimal(1000), 5, 1, 5)
        await happen(db, known["1"], "order.placed", NOW, "10")
        assert await values.refresh_some(db, Orders(), [known["1"]], NOW, UTC_ZONE) == 1


async def test_whoever_has_no_order_left_has_no_figures(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        known = await placed(db, [("a", NOW - DAY, "5"), ("b", NOW - DAY, "5")])
        await values.refresh(db, Orders(), NOW, UTC_ZONE)
        await db.execute(tables.events.delete().where(tables.events.c.customer_id == known["a"]))
        assert await values.refresh_some(db, Orders(), [known["a"]], NOW, UTC_ZONE) == 1
        assert await values.of(db, known["a"]) is None
        await db.execute(tables.events.delete())
        assert await values.refresh(db, Orders(), NOW, UTC_ZONE) == 1
        assert await values.of(db, known["b"]) is None


async def test_an_order_that_is_dated_later_counts_when_its_time_comes(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        known = await placed(db, [("a", NOW, "5"), ("b", NOW + DAY, "5")])
        await values.refresh(db, Orders(), NOW, UTC_ZONE)
        assert [await values.of(db, known[name]) is not None for name in "ab"] == [True, False]


# Lifecycle


def shipped() -> Lifecycle:
    found = load(ROOT / "definitions" / "lifecycle.yaml")
    assert found is not None
    return found


async def stages(db: AsyncConnection) -> dict[str, str | None]:
    rows = await db.execute(select(tables.customers.c.external_id, tables.customers.c.lifecycle))
    return {row.external_id: row.lifecycle for row in rows}


async def told(db: AsyncConnection) -> list[tuple[int, dict[str, Any]]]:
    e = tables.events.c
    rows = await db.execute(select(e.customer_id, e.properties).where(e.name == "lifecycle.changed").order_by(e.id))
    return [(row.customer_id, row.properties) for row in rows]


@pytest.fixture
async def five(engine: AsyncEngine) -> dict[str, int]:
    """One customer for each of the shipped stages, at NOW."""

    def orders(name: str, *days: int) -> list[Order]:
        return [(name, NOW - ago * DAY, "50") for ago in days]

    async with engine.begin() as db:
        known = await people(db, ["acquisition"])
        known |= await placed(db, [*orders("nurture", 5), *orders("mature", 5, 40, 80), *orders("at_risk", 90, 95, 99),
                                   *orders("churned", 180)])  # fmt: skip
        await values.refresh(db, Orders(), NOW, UTC_ZONE)
    return known


async def test_the_shipped_rules_put_each_where_they_belong_and_the_first_time_nobody_is_told(
    engine: AsyncEngine, five: dict[str, int]
) -> None:
    async with engine.begin() as db:
        assert await lifecycle.evaluate(db, shipped(), NOW) == 0
        assert await stages(db) == {name: name for name in five}
        assert await told(db) == []
        assert await lifecycle.counts(db) == dict.fromkeys(five, 1)


async def test_a_move_is_an_event_and_stands_on_the_timeline_with_the_rule(
    engine: AsyncEngine, five: dict[str, int]
) -> None:
    later = NOW + 100 * DAY
    async with engine.begin() as db:
        await lifecycle.evaluate(db, shipped(), NOW)
        assert await lifecycle.evaluate(db, shipped(), later) == 3
        assert await lifecycle.evaluate(db, shipped(), later) == 0
        moves = {(one.old, one.new): one.customers for one in await lifecycle.moves(db, NOW, later)}
        assert moves == {("nurture", "at_risk"): 1, ("mature", "at_risk"): 1, ("at_risk", "churned"): 1}
        assert (five["nurture"], {"from": "nurture", "to": "at_risk"}) in await told(db)
        [entry] = [one for one in await timeline(db, five["nurture"]) if one.kind == "stage"]
        assert entry.title == "lifecycle: nurture → at_risk"
        assert entry.detail["because"] == "days since the last order at least 90"
        assert [
            one.properties["to"] for one in await lifecycle.unrouted(db, limit=9, customer_ids=[five["at_risk"]])
        ] == ["churned"]


async def test_a_move_that_history_tells_of_stands_on_the_timeline_and_no_journey_hears_of_it(
    engine: AsyncEngine, five: dict[str, int]
) -> None:
    async with engine.begin() as db:
        await lifecycle.evaluate(db, shipped(), NOW)
        assert await lifecycle.evaluate(db, shipped(), NOW + 100 * DAY, heard=False) == 3
        assert len(await told(db)) == 3
        assert await lifecycle.unrouted(db, limit=9) == []
        assert [one.kind for one in await timeline(db, five["mature"])][-1] == "stage"


@pytest.mark.parametrize(
    ("touched", "orders", "worked_out"), [(0, 0, False), (1, 0, True), (1, 100, False), (2, 100, True)]
)
async def test_a_file_that_may_have_moved_quintiles_has_everybody_worked_out(
    engine: AsyncEngine, touched: int, orders: int, worked_out: bool
) -> None:
    valuing = Valuing(engine, None, shipped, "UTC")
    async with engine.begin() as db:
        await placed(db, [(str(n), NOW - DAY, "5") for n in range(orders)])
    await valuing.settle(0, NOW)
    await valuing.settle(touched, NOW + DAY)
    async with engine.connect() as db:
        assert await values.evaluated_at(db) == (NOW + DAY if worked_out else NOW)


async def test_new_rules_move_customers_and_journeys_do_not_hear_of_it(
    engine: AsyncEngine, five: dict[str, int], tmp_path: Path
) -> None:
    file = tmp_path / "lifecycle.yaml"
    text = (ROOT / "definitions" / "lifecycle.yaml").read_text()
    file.write_text(text)
    valuing = Valuing(engine, None, Stages(file), "UTC")
    await valuing.refresh_all(NOW)
    file.write_text(text.replace("at_least: 90}", "at_least: 4}"))
    assert await valuing.refresh_all(NOW + DAY / 2) == 2
    async with engine.connect() as db:
        assert (await stages(db))["mature"] == "at_risk"
        assert await lifecycle.unrouted(db, limit=9) == []
    assert await valuing.refresh_all(NOW + 100 * DAY) == 1
    async with engine.connect() as db:
        assert len(await lifecycle.unrouted(db, limit=9)) == 1


def test_rules_that_cannot_be_read_leave_those_before_them(tmp_path: Path) -> None:
    file = tmp_path / "lifecycle.yaml"
    rules = Stages(file)
    assert rules() is None
    file.write_text("stages:\n  - {stage: lead, title: Lead}\n")
    first = rules()
    assert first is not None
    file.write_text("stages: nonsense\n")
    assert rules() is first


async def test_a_first_order_moves_its_customer_out_of_the_first_stage(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        known = await placed(db, [("new", NOW, "5")])
        await people(db, ["other"])
        await values.refresh_some(db, Orders(), [known["new"]], NOW, UTC_ZONE)
        rules = shipped()
        assert await lifecycle.evaluate(db, rules, NOW, [known["new"]], newcomers_from="acquisition") == 1
        assert await stages(db) == {"new": "nurture", "other": None}
        assert await told(db) == [(known["new"], {"from": "acquisition", "to": "nurture"})]


async def test_a_stage_that_is_gone_from_the_rules_is_left(engine: AsyncEngine, five: dict[str, int]) -> None:
    rules = parse("stages:\n  - {stage: lead, title: Lead, when: {tag: never}}\n")
    async with engine.begin() as db:
        await lifecycle.evaluate(db, shipped(), NOW)
        assert await lifecycle.evaluate(db, rules, NOW) == 5
        assert set((await stages(db)).values()) == {None}
        assert (five["mature"], {"from": "mature"}) in await told(db)


async def test_two_evaluations_at_once_tell_of_a_move_once(engine: AsyncEngine, five: dict[str, int]) -> None:
    later, rules = NOW + 100 * DAY, shipped()
    async with engine.begin() as db:
        await lifecycle.evaluate(db, rules, NOW)
    async with engine.connect() as one:
        assert await lifecycle.evaluate(one, rules, later) == 3
        async with engine.connect() as other:
            second = asyncio.create_task(lifecycle.evaluate(other, rules, later + DAY))
            await asyncio.sleep(0)
            await one.commit()
            assert await second == 0
            await other.commit()


async def test_conditions_ask_for_what_orders_come_to(engine: AsyncEngine, five: dict[str, int]) -> None:
    wanted = [
        READ.validate_python({"value": part})
        for part in (
            {"orders": {"at_least": 3}},
            {"days_since_order": {"at_least": 5, "below": 6}},
            {"revenue": {"below": 150}},
        )
    ]
    async with engine.begin() as db:
        await lifecycle.evaluate(db, shipped(), NOW)
        assert await answers(db, five["mature"], wanted, NOW) == [True, True, False]
        assert await answers(db, five["acquisition"], wanted, NOW) == [False, False, False]
        staged = [READ.validate_python({"lifecycle": ["mature", "churned"]})]
        assert await answers(db, five["mature"], staged, NOW) == [True]
