"""Whatever is written in whatever order, and however clocks go: asking those whose answer could have changed finds the
same members as asking everybody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from journeys.segments import Segment, in_order
from records import tables
from records.audience import feed, membership, planning, segments
from records.audience.membership import Evaluated
from records.database import create_engine
from records.moments import Moments
from records.people import merging
from tests.integration.test_membership import meant
from tests.integration.test_records_conditions import CUSTOMERS, EVENTS, KINDS, LEAVES, MESSAGES
from workers.server.postgres import EmbeddedPostgres

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
AGES = st.sampled_from([0, 1, 29, 30, 31, 400]).map(lambda days: timedelta(days=days))
HALF = timedelta(hours=12)
WHO = st.integers(0, 3)
TICKS = st.sampled_from([
    timedelta(minutes=5), timedelta(hours=1), timedelta(hours=23), timedelta(days=1), timedelta(days=6),
    timedelta(days=29), timedelta(minutes=-1), timedelta(hours=-2),
])  # fmt: skip
DEEDS = st.one_of(
    st.tuples(st.just("happen"), WHO, EVENTS, AGES, CUSTOMERS.map(lambda who: who["events"])),
    st.tuples(st.just("change"), WHO, CUSTOMERS),
    st.tuples(st.just("consent"), WHO, st.sampled_from(["email", "sms"]), st.booleans()),
    st.tuples(st.just("touch"), WHO, MESSAGES, st.sampled_from(["claimed", "sent", "skipped"]), AGES),
    st.tuples(st.just("settle"), WHO, st.sampled_from(["sent", "failed"])),
    st.tuples(st.just("order"), WHO, st.integers(1, 3), AGES, st.integers(1, 5)),
    st.tuples(st.just("forget"), WHO),
    st.tuples(st.just("come"), CUSTOMERS),
    st.tuples(st.just("merge"), WHO, WHO),
    st.tuples(st.just("part")),
    st.tuples(st.just("erase"), WHO),
)  # fmt: skip
MOMENTS = st.one_of(TICKS.map(lambda by: ("tick", by)), st.just(("evaluate",)))
STEPS = st.lists(st.one_of(DEEDS, DEEDS, MOMENTS), min_size=4, max_size=16)
RECENT = st.builds(
    lambda name, length, none: {"event": {"name": name, "within": length, **({"at_most": 0} if none else {})}},
    EVENTS, st.sampled_from(["1d", "1w", "30d"]), st.booleans(),
)  # fmt: skip


@pytest.fixture(scope="module")
def url(postgres: EmbeddedPostgres, migrated: str) -> Iterator[str]:
    yield postgres.create_database("over_time", template=migrated)
    postgres.drop_database("over_time")


def segment(name: str, where: dict[str, Any]) -> Segment:
    return Segment.model_validate({"segment": name, "title": name, "where": where})


class World:
    """A few customers, some segments, and a clock."""

    def __init__(self, engine: AsyncEngine, wanted: list[Segment]) -> None:
        self.engine = engine
        self.wanted = in_order(wanted)
        self.people: list[int] = []
        self.now = NOW

    async def begin(self) -> None:
        async with self.engine.begin() as db:
            await db.execute(delete(tables.segments))
            await db.execute(delete(tables.customers))
            for one in self.wanted:
                await segments.put(db, one.segment, one.title, meant(one), "1")

    async def do(self, deed: tuple[Any, ...]) -> None:
        match deed:
            case ("tick", by):
                self.now += by
            case ("evaluate",):
                await self.evaluate()
            case ("come", who):
                async with self.engine.begin() as db:
                    self.people.append(await self.add(db, who))
            case (name, *rest):
                async with self.engine.begin() as db:
                    await getattr(self, name)(db, *rest)

    async def add(self, db: AsyncConnection, who: dict[str, Any]) -> int:
        return int((await db.execute(insert(tables.customers).values(
            **_plain(who), created_at=NOW, updated_at=NOW).returning(tables.customers.c.id))).scalar_one())  # fmt: skip

    def one(self, number: int) -> int:
        return self.people[number % len(self.people)] if self.people else 0

    async def happen(self, db: AsyncConnection, who: int, name: str, age: timedelta, like: list[Any]) -> None:
        if self.people:
            properties, value = (like[0][2], like[0][3]) if like else ({}, None)
            at = self.now - age
            await db.execute(insert(tables.events).values(
                customer_id=self.one(who), name=name, occurred_at=at, received_at=self.now, value=value,
                properties=properties))  # fmt: skip

    async def change(self, db: AsyncConnection, who: int, into: dict[str, Any]) -> None:
        await db.execute(update(tables.customers).where(tables.customers.c.id == self.one(who)).values(_plain(into)))

    async def consent(self, db: AsyncConnection, who: int, channel: str, granted: bool) -> None:
        if self.people:
            said = {"customer_id": self.one(who), "channel": channel, "granted": granted, "source": "form"}
            await db.execute(insert(tables.consents).values(said | {"at": self.now}))

    async def touch(self, db: AsyncConnection, who: int, message: str, status: str, age: timedelta) -> None:
        if self.people:
            sent = {"customer_id": self.one(who), "channel": "email", "message": message, "status": status}
            key = func.gen_random_uuid().cast(tables.touches.c.key.type)
            await db.execute(insert(tables.touches).values(sent | {"key": key, "claimed_at": self.now - age}))

    async def settle(self, db: AsyncConnection, who: int, status: str) -> None:
        mine = tables.touches.c.customer_id == self.one(who)
        await db.execute(update(tables.touches).where(mine).values(status=status, settled_at=self.now))

    async def order(self, db: AsyncConnection, who: int, orders: int, age: timedelta, quintile: int) -> None:
        if self.people:
            row = {"orders": orders, "revenue": Decimal(orders * 20), "last_order_at": self.now - age,
                   "first_order_at": NOW, "r": quintile, "f": quintile, "m": 6 - quintile}  # fmt: skip
            fresh = upsert(tables.customer_values).values(row | {"customer_id": self.one(who)})
            await db.execute(fresh.on_conflict_do_update(index_elements=["customer_id"], set_=row))

    async def forget(self, db: AsyncConnection, who: int) -> None:
        mine = tables.customer_values.c.customer_id == self.one(who)
        await db.execute(delete(tables.customer_values).where(mine))

    async def merge(self, db: AsyncConnection, kept: int, gone: int) -> None:
        one, other = self.one(kept), self.one(gone)
        if one != other:
            await merging.merge(db, one, other, by="test", because=None, now=self.now)
            self.people.remove(other)

    async def part(self, db: AsyncConnection) -> None:
        latest = select(tables.merges.c.id, tables.merges.c.gone_id).where(tables.merges.c.undone_at.is_(None))
        row = (await db.execute(latest.order_by(tables.merges.c.id.desc()).limit(1))).one_or_none()
        if row is not None:
            await merging.unmerge(db, row.id, by="test", now=self.now)
            self.people.append(row.gone_id)

    async def erase(self, db: AsyncConnection, who: int) -> None:
        if len(self.people) > 1:
            gone = self.one(who)
            await db.execute(delete(tables.customers).where(tables.customers.c.id == gone))
            self.people.remove(gone)

    async def evaluate(self) -> None:
        for one in self.wanted:
            async with self.engine.begin() as db:
                await membership.catch_up(db, one.segment, self.now)
        async with self.engine.connect() as db:
            c = tables.segment_members.c
            rows = (await db.execute(select(c.segment, c.customer_id))).all()
            for one in self.wanted:
                meets = set((await db.execute(membership.question(one.where, self.now))).scalars())
                members = {customer_id for name, customer_id in rows if name == one.segment}
                assert members == meets, f"{one.where} has {members}, and {meets} meet it at {self.now}"


def _plain(who: dict[str, Any]) -> dict[str, Any]:
    return {name: who[name] for name in ("country", "stage", "score", "tags", "properties", "lifecycle")}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck),
          phases=[Phase.reuse, Phase.generate])  # fmt: skip
@given(
    asked=st.tuples(*(KINDS[kind] for kind in LEAVES if kind != "segment"), KINDS["together"], RECENT, RECENT, RECENT),
    people=st.lists(CUSTOMERS, min_size=2, max_size=4), steps=STEPS,
)  # fmt: skip
def test_asking_those_who_could_have_changed_finds_whom_asking_everybody_finds(
    url: str, asked: tuple[dict[str, Any], ...], people: list[dict[str, Any]], steps: list[Any]
) -> None:
    plain = [segment(f"s{number}", where) for number, where in enumerate(asked)]
    nested = [segment("vip", {"event": {"name": "order.placed", "within": "30d"}}),
              segment("at_risk", {"not": {"segment": "vip"}})]  # fmt: skip

    async def play() -> None:
        engine = create_engine(url)
        world = World(engine, [*plain, *nested])
        await world.begin()
        for who in people:
            await world.do(("come", who))
        await world.evaluate()
        for step in [*steps, ("evaluate",)]:
            await world.do(step)
        await engine.dispose()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(membership, "WHOLE_EVERY", timedelta(days=100_000))
        asyncio.run(play())


async def test_each_event_more_lets_in_or_out_as_the_condition_means(engine: AsyncEngine) -> None:
    tests: list[dict[str, Any]] = [
        {}, {"at_least": 2}, {"at_most": 1}, {"at_most": 0}, {"at_least": 1, "at_most": 2},
        {"at_most": 1, "within": "1d"},
    ]  # fmt: skip
    happened: list[dict[str, Any]] = [{"event": {"name": "order.placed", **one}} for one in tests]
    happened += [{"all": [happened[1], happened[2]]}, {"any": [happened[1], {"not": happened[0]}]}]
    happened += [{"clicked": "email/offer"}, {"all": [happened[0], {"not": {"opened": "email/offer"}}]}]
    world = World(engine, [segment(f"s{n}", one) for n, one in enumerate(
        [*happened, *({"not": one} for one in happened)])])  # fmt: skip
    await world.begin()
    world.people = [await customer(engine)]
    await world.evaluate()
    for name in ("order.placed", "order.placed", "order.placed", "email.clicked", "email.opened"):
        await world.do(("happen", 0, name, timedelta(), [(None, None, {"message": "email/offer"}, None)]))
        await world.evaluate()


ORDERED = segment("ordered", {"event": {"name": "order.placed"}})


async def customer(engine: AsyncEngine) -> int:
    async with engine.begin() as db:
        return await World(engine, []).add(db, {"country": "DE", "stage": "new", "score": 0, "tags": [],
                                                "properties": {}, "lifecycle": None})  # fmt: skip


async def caught_up(engine: AsyncEngine, one: Segment, now: datetime = NOW) -> tuple[Evaluated, int | None]:
    async with engine.begin() as db:
        done = await membership.catch_up(db, one.segment, now)
    return done, done.asked


@pytest.fixture
async def ordered(engine: AsyncEngine) -> AsyncEngine:
    """A database with the segment, worked out once."""
    async with engine.begin() as db:
        await segments.put(db, "ordered", "Ordered", meant(ORDERED), "1")
    assert await caught_up(engine, ORDERED) == (Evaluated("ordered", 0, 0), None)
    return engine


async def order(db: AsyncConnection, who: int) -> None:
    placed = {"customer_id": who, "name": "order.placed", "occurred_at": NOW, "received_at": NOW}
    await db.execute(insert(tables.events).values(placed))


async def test_of_two_transactions_the_one_that_began_first_and_ended_last_is_not_missed(ordered: AsyncEngine) -> None:
    ann, bob = await customer(ordered), await customer(ordered)
    async with ordered.connect() as slow:
        await order(slow, ann)
        async with ordered.begin() as quick:
            await order(quick, bob)
        assert (await caught_up(ordered, ORDERED))[0] == Evaluated("ordered", 1, 0)
        assert (await caught_up(ordered, ORDERED))[0] == Evaluated("ordered", 0, 0)
        await slow.commit()
    assert await caught_up(ordered, ORDERED) == (Evaluated("ordered", 1, 0), 2)


async def test_only_those_are_asked_to_whom_something_happened_that_it_asks_for(ordered: AsyncEngine) -> None:
    ann, bob, _ = [await customer(ordered) for _ in range(3)]
    assert (await caught_up(ordered, ORDERED))[1] == 3
    async with ordered.begin() as db:
        await order(db, ann)
        opened = {"customer_id": bob, "name": "email.opened", "occurred_at": NOW, "received_at": NOW}
        await db.execute(insert(tables.events).values(opened))
    assert await caught_up(ordered, ORDERED) == (Evaluated("ordered", 1, 0), 1)
    assert await caught_up(ordered, ORDERED, NOW + timedelta(hours=3)) == (Evaluated("ordered", 0, 0), 0)


@pytest.mark.parametrize(
    ("where", "deed"),
    [
        ({"event": {"name": "order.placed", "within": "1d"}}, ("happen", 0, "order.placed", HALF, [])),
        ({"touched": {"message": "email/offer", "within": "1d"}}, ("touch", 0, "email/offer", "sent", HALF)),
        ({"value": {"days_since_order": {"below": 1}}}, ("order", 0, 1, HALF, 1)),
    ],
)
@pytest.mark.parametrize("otherwise", [False, True])
async def test_what_has_become_too_old_is_found_when_nothing_was_written(
    engine: AsyncEngine, where: dict[str, Any], deed: tuple[Any, ...], otherwise: bool
) -> None:
    recent = segment("recent", {"not": where} if otherwise else where)
    world = World(engine, [recent])
    await world.begin()
    world.people = [await customer(engine), await customer(engine)]
    await world.do(deed)
    await world.evaluate()
    there, gone = (1, 0) if otherwise else (0, 1)
    assert await caught_up(engine, recent, NOW + timedelta(hours=11)) == (Evaluated("recent", 0, 0), 0)
    assert await caught_up(engine, recent, NOW + timedelta(hours=13)) == (Evaluated("recent", there, gone), 1)
    assert await caught_up(engine, recent, NOW + timedelta(hours=10)) == (Evaluated("recent", gone, there), 1)


async def test_what_lies_within_a_month_again_on_the_day_after_is_found(engine: AsyncEngine) -> None:
    world = World(engine, [segment("recent", {"event": {"name": "order.placed", "within": "1mo"}})])
    await world.begin()
    world.people = [await customer(engine)]
    world.now = datetime(2026, 2, 28, 12, tzinfo=UTC)
    await world.do(("happen", 0, "order.placed", timedelta(), []))
    for world.now in (datetime(2026, 3, 29, 23, 58, tzinfo=UTC), datetime(2026, 3, 30, 0, 3, tzinfo=UTC)):
        await world.evaluate()


async def test_who_is_made_one_of_two_or_two_of_one_is_asked_again(ordered: AsyncEngine) -> None:
    ann, bob = await customer(ordered), await customer(ordered)
    async with ordered.begin() as db:
        await order(db, bob)
    assert await caught_up(ordered, ORDERED) == (Evaluated("ordered", 1, 0), 2)
    async with ordered.begin() as db:
        number = await merging.merge(db, ann, bob, by="test", because=None, now=NOW)
        await db.execute(delete(tables.segment_members))
    assert await caught_up(ordered, ORDERED) == (Evaluated("ordered", 1, 0), 1)
    async with ordered.begin() as db:
        await merging.unmerge(db, number, by="test", now=NOW)
        await db.execute(delete(tables.segment_members))
        await db.execute(insert(tables.segment_members).values(segment="ordered", customer_id=ann, since=NOW))
    assert await caught_up(ordered, ORDERED) == (Evaluated("ordered", 1, 1), 2)


async def test_who_has_no_order_any_more_is_asked_again(engine: AsyncEngine) -> None:
    worth = segment("worth", {"value": {"orders": {"at_least": 1}}})
    world = World(engine, [worth])
    await world.begin()
    world.people = [await customer(engine)]
    await world.do(("order", 0, 2, timedelta(), 3))
    await world.evaluate()
    await world.do(("forget", 0))
    assert await caught_up(engine, worth) == (Evaluated("worth", 0, 1), 1)


async def test_everybody_is_asked_once_a_day_and_when_the_segment_means_something_else(ordered: AsyncEngine) -> None:
    assert (await caught_up(ordered, ORDERED, NOW + timedelta(hours=23)))[1] == 0
    assert (await caught_up(ordered, ORDERED, NOW + timedelta(hours=24)))[1] is None
    assert (await caught_up(ordered, ORDERED, NOW + timedelta(hours=25)))[1] == 0
    async with ordered.begin() as db:
        await segments.put(db, "ordered", "Ordered", meant(ORDERED), "2")
    assert (await caught_up(ordered, ORDERED, NOW + timedelta(hours=26)))[1] is None


@pytest.mark.parametrize("change", ["seen_on = seen_on + 1", "seen = (seen::text::bigint + 1000000)::text::xid8"])
async def test_everybody_is_asked_where_a_dump_was_restored(ordered: AsyncEngine, change: str) -> None:
    async with ordered.begin() as db:
        await db.execute(text(f"UPDATE segments SET {change}"))
    assert (await caught_up(ordered, ORDERED))[1] is None
    assert (await caught_up(ordered, ORDERED))[1] == 0


async def test_everybody_is_asked_together_when_many_changed(
    ordered: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "FEW", 2)
    people = [await customer(ordered) for _ in range(3)]
    async with ordered.begin() as db:
        for one in people:
            await order(db, one)
    assert await caught_up(ordered, ORDERED) == (Evaluated("ordered", 3, 0), None)
    async with ordered.begin() as db:
        await order(db, people[0])
    assert await caught_up(ordered, ORDERED) == (Evaluated("ordered", 0, 0), 1)


async def test_who_could_have_changed_is_found_by_indexes_alone(engine: AsyncEngine) -> None:
    where = segment("s", {"all": [
        {"event": {"name": "order.placed", "within": "30d"}}, {"touched": {"message": "email/welcome", "within": "1w"}},
        {"consent": "email"}, {"value": {"days_since_order": {"at_least": 30}}}, {"opened": "email/welcome"},
        {"segment": "vip"}, {"country": "DE"},
    ]}).where  # fmt: skip
    async with engine.begin() as db:
        # The tables are empty: what the server would do with a million rows is seen when it must not read them all.
        await db.execute(text("SET LOCAL enable_seqscan = off"))
        moments = Moments()
        found = select(feed.changed(where, moments).subquery())
        then = NOW - timedelta(minutes=5)
        known = found.params(feed.since_mark(feed.Mark(3, 0, then)) | moments.values(then, NOW))
        plan = "\n".join((await planning.explain(db, known)).lines)
    assert "Seq Scan" not in plan
    for index in ("ix_events_name_written", "ix_events_name_occurred_at", "ix_touches_moment", "ix_customers_written"):
        assert index in plan
