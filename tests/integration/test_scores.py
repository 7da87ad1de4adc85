"""Scores worked out in the database are those that plain Python comes to; and what makes them up can be asked."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from journeys.scoring import MILLION, Scoring, contribution, engagement, whole
from records import tables
from records.audience import rulebooks, scores, scoring
from records.audience.rescoring import GradeMove, preview
from records.audience.scorecards import scorecard
from records.database import _dumps, address
from records.people.identities import UnknownCustomer
from workers.server.postgres import EmbeddedPostgres

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
GRADES = {"fit": {"A": 20, "B": 10, "C": 5}, "activity": {"1": 60, "2": 30, "3": 10}}

POINTS = st.integers(-50, 50).filter(bool)
HALF_LIVES = st.sampled_from(["5m", "1d", "30d", "1mo", "10y", "never"])
NAMES = st.sampled_from(["email.opened", "order.placed"])
RULES = st.fixed_dictionaries({
    "half_life": HALF_LIVES,
    "grades": st.just(GRADES),
    "journeys": st.fixed_dictionaries({"half_life": HALF_LIVES}),
    "fit": st.lists(st.fixed_dictionaries({
        "when": st.sampled_from([{"tag": "vip"}, {"country": "DE"}, {"not": {"tag": "vip"}}]), "points": POINTS}),
        max_size=4),
    "engagement": st.lists(st.fixed_dictionaries({"on": NAMES, "points": POINTS}, optional={
        "cap": st.integers(1, 60), "half_life": HALF_LIVES,
        "with": st.sampled_from([{"value": {"at_least": 5}}, {"shop": "berlin"}])}), max_size=4),
}).map(lambda parts: {part: [{"name": f"{part}_{n}", **one} for n, one in enumerate(value)]
                      if isinstance(value, list) else value for part, value in parts.items()})  # fmt: skip
MOMENTS = st.integers(-86_400, 400 * 86_400).map(lambda ago: NOW - timedelta(seconds=ago, microseconds=ago % 999))
PEOPLE = st.lists(st.fixed_dictionaries({
    "tags": st.sampled_from([[], ["vip"]]), "country": st.sampled_from(["DE", None]),
    "events": st.lists(st.tuples(NAMES, MOMENTS, st.sampled_from([None, Decimal("4.99"), Decimal(5)]),
                                 st.sampled_from([{}, {"shop": "berlin"}])), max_size=8),
    "entries": st.lists(st.tuples(POINTS, MOMENTS), max_size=4),
}), min_size=1, max_size=4)  # fmt: skip


def expected(rules: Scoring, who: dict[str, Any]) -> tuple[int, int, str]:
    """Fit, score and grade by the plain functions."""
    held = {"{'tag': ['vip']}": "vip" in who["tags"], "{'country': ['DE']}": who["country"] == "DE"}
    fit = 0
    for one in rules.fit:
        data = one.when.model_dump(by_alias=True)
        holds = not held[str(data["not"])] if "not" in data else held[str(data)]
        fit += one.points if holds else 0
    happened = [
        (rule.name, at)
        for rule in rules.engagement
        for name, at, value, properties in who["events"]
        if name == rule.on and at <= NOW and ("value" not in rule.with_ or (value or 0) >= 5)
        and ("shop" not in rule.with_ or properties.get("shop") == "berlin")
    ]  # fmt: skip
    total = sum(engagement(rules, happened, NOW).values())
    for points, at in who["entries"]:
        total += contribution(points, (NOW - at).total_seconds(), rules.half_life_of_journeys)
    activity = whole(total)
    return fit, fit + activity, rules.grades.of(fit, activity)


@pytest.fixture(scope="module")
def shared(postgres: EmbeddedPostgres, migrated: str) -> Iterator[Engine]:
    url = postgres.create_database("scores", template=migrated)
    engine = create_engine(address(url), json_serializer=_dumps)
    yield engine
    engine.dispose()
    postgres.drop_database("scores")


def store(db: Connection, who: dict[str, Any]) -> int:
    row = {"tags": who["tags"], "country": who["country"], "created_at": NOW, "updated_at": NOW}
    me = int(db.execute(insert(tables.customers).values(row).returning(tables.customers.c.id)).scalar_one())
    for name, at, value, properties in who["events"]:
        event = {"name": name, "occurred_at": at, "received_at": NOW, "value": value, "properties": properties}
        db.execute(insert(tables.events).values(customer_id=me, **event))
    for points, at in who["entries"]:
        db.execute(insert(tables.score_entries).values(customer_id=me, points=points, because="test", at=at))
    return me


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(RULES, PEOPLE)
def test_sql_and_python_come_to_the_same_score(
    shared: Engine, data: dict[str, Any], whos: list[dict[str, Any]]
) -> None:
    rules = Scoring.model_validate(data)
    with shared.connect() as db:
        ids = [store(db, who) for who in whos]
        fresh = scoring.worked_out(rules, NOW, lambda column: column.in_(ids))
        found = {row.id: (row.fit, row.score, row.grade) for row in db.execute(fresh)}
        db.rollback()
    assert found == {me: expected(rules, who) for me, who in zip(ids, whos, strict=True)}


RULE = Scoring.model_validate({
    "half_life": "10d",
    "grades": GRADES,
    "fit": [
        {"name": "vip", "when": {"tag": "vip"}, "points": 12},
        {"name": "german", "when": {"country": "DE"}, "points": 3},
    ],
    "engagement": [
        {"name": "opened", "on": "email.opened", "points": 4, "cap": 6},
        {"name": "ordered", "on": "order.placed", "with": {"value": {"at_least": 10}}, "points": 20,
         "half_life": "never"},
        {"name": "gone", "on": "email.unsubscribed", "points": -15},
    ],
})  # fmt: skip


async def customer(db: AsyncConnection, **columns: Any) -> int:
    row = insert(tables.customers).values(created_at=NOW, updated_at=NOW, **columns).returning(tables.customers.c.id)
    return int((await db.execute(row)).scalar_one())


async def happen(db: AsyncConnection, who: int, name: str, at: datetime, value: float | None = None) -> None:
    row = {"customer_id": who, "name": name, "occurred_at": at, "received_at": NOW, "value": value}
    await db.execute(insert(tables.events).values(row))


async def apply(db: AsyncConnection, ids: list[int], now: datetime = NOW) -> dict[int, tuple[int, int]]:
    await scoring.lock(db, ids)
    return {one.customer_id: (one.change.before, one.change.after) for one in await scoring.apply(db, RULE, ids, now)}


async def stands(db: AsyncConnection, who: int) -> tuple[int, int, str | None]:
    c = tables.customers.c
    return tuple((await db.execute(select(c.score, c.fit, c.grade).where(c.id == who))).one())


async def history(db: AsyncConnection, who: int) -> list[tuple[datetime, int, dict[str, int]]]:
    c = tables.fits.c
    rows = await db.execute(select(c.at, c.points, c.parts).where(c.customer_id == who).order_by(c.id))
    return [tuple(row) for row in rows]


async def test_a_score_is_fit_and_engagement_and_what_journeys_gave(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ann = await customer(db, tags=["vip"])
        await scores.add(db, ann, 10, "asked", NOW - 100 * DAY)
        await happen(db, ann, "email.opened", NOW - 10 * DAY)
        await happen(db, ann, "order.placed", NOW - 400 * DAY, 10)
        await happen(db, ann, "order.placed", NOW - DAY, 9.99)
        assert await apply(db, [ann]) == {ann: (10, 12 + 2 + 20 + 10)}
        assert await stands(db, ann) == (44, 12, "B2")
        assert await apply(db, [ann]) == {}
        assert await history(db, ann) == [(NOW, 12, {"vip": 12})]


async def test_points_of_journeys_come_on_top_of_what_was_worked_out(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ann = await customer(db, tags=["vip"])
        await apply(db, [ann])
        change = await scores.add(db, ann, 5, "clicked", NOW)
        assert change is not None
        assert (change.before, change.after) == (12, 17)
        assert await apply(db, [ann], NOW + DAY) == {}


async def test_a_score_fades_as_time_passes(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ann = await customer(db)
        for _ in range(3):
            await happen(db, ann, "email.opened", NOW)
        assert await apply(db, [ann]) == {ann: (0, 6)}
        assert await apply(db, [ann], NOW + 10 * DAY) == {}  # 3 × 2 is still the cap
        assert await apply(db, [ann], NOW + 20 * DAY) == {ann: (6, 3)}
        assert await apply(db, [ann], NOW + 1000 * DAY) == {ann: (3, 0)}


async def test_a_late_event_counts_from_when_it_happened(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        early, late = await customer(db), await customer(db)
        await happen(db, early, "email.opened", NOW)
        assert await apply(db, [early], NOW) == {early: (0, 4)}
        await happen(db, late, "email.opened", NOW)
        await apply(db, [early, late], NOW + 10 * DAY)
        assert await stands(db, early) == await stands(db, late) == (2, 0, "D4")


async def test_what_was_worked_out_for_an_earlier_time_changes_nothing(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ann = await customer(db)
        await happen(db, ann, "email.opened", NOW)
        await apply(db, [ann], NOW)
        assert await apply(db, [ann], NOW - DAY) == {}
        assert (await stands(db, ann))[0] == 4


async def test_a_past_score_is_made_of_what_was_before_it(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ann = await customer(db, tags=["vip"])
        await happen(db, ann, "order.placed", NOW - 5 * DAY, 50)
        await happen(db, ann, "email.unsubscribed", NOW + 3 * DAY)
        await scores.add(db, ann, 7, "asked", NOW + 2 * DAY)
        await apply(db, [ann], NOW)
        await db.execute(tables.customers.update().values(tags=[], country="DE"))
        later = NOW + 4 * DAY
        await apply(db, [ann], later)

        async def at(moment: datetime | None) -> tuple[int, int, str]:
            card = await scorecard(db, ann, RULE, later, moment)
            return card.score, card.fit, card.fit_from

        assert await at(NOW - 6 * DAY) == (3, 3, "recomputed")
        assert await at(NOW - 5 * DAY) == (23, 3, "recomputed")
        assert await at(NOW) == (32, 12, "kept")
        assert await at(NOW + 2 * DAY) == (39, 12, "kept")
        present = await scorecard(db, ann, RULE, later)
        assert (present.score, present.fit_from, present.stands) == (16, "now", 16)
        assert present.score == (await stands(db, ann))[0]
        assert [(one.rule, one.points, one.holds) for one in present.fit_parts] == [
            ("vip", 12, False),
            ("german", 3, True),
        ]


async def test_the_parts_of_a_score_say_how_much_is_left_of_them_and_what_counts(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ann = await customer(db)
        for ago in (0, 10, 20):
            await happen(db, ann, "email.opened", NOW - ago * DAY)
        await scores.add(db, ann, -3, "a wrong number", NOW - DAY)
        card = await scorecard(db, ann, RULE, NOW)
        [opened] = [one for one in card.engagement if one.events]
        assert (opened.rule, opened.events, opened.last_at, opened.points) == ("opened", 3, NOW, 12)
        assert (opened.left, opened.cap, opened.counts) == (Decimal(7), 6, Decimal(6))
        assert [(one.points, one.left, one.because) for one in card.journey_parts] == [
            (-3, Decimal(-3), "a wrong number")
        ]
        assert (card.score, card.grade, card.journeys, card.journey_entries) == (3, "D4", Decimal(-3), 1)


@pytest.mark.parametrize("seed", range(4))
async def test_at_any_time_the_parts_add_up_to_the_score_as_plainly_read(engine: AsyncEngine, seed: int) -> None:
    chance = random.Random(seed)
    names = ["email.opened", "order.placed", "cart.updated"]
    rules = Scoring.model_validate({
        "half_life": "10d", "grades": GRADES, "journeys": {"half_life": chance.choice(["never", "7d"])},
        "engagement": [
            {"name": f"rule_{n}", "on": chance.choice(names), "points": chance.choice([-7, 3, 20]),
             "half_life": chance.choice(["never", "1d", "30d"])} | chance.choice([{}, {"cap": 15}])
            for n in range(6)
        ],
    })  # fmt: skip
    happened = [(chance.choice(names), NOW - chance.random() * 40 * DAY) for _ in range(40)]
    given = [(chance.choice([-5, 8]), NOW - chance.random() * 40 * DAY) for _ in range(10)]
    async with engine.begin() as db:
        ann = await customer(db)
        for name, at in happened:
            await happen(db, ann, name, at)
        for points, at in given:
            await scores.add(db, ann, points, "asked", at)
        for moment in (NOW - 45 * DAY, NOW - 20.5 * DAY, NOW - DAY):
            card = await scorecard(db, ann, rules, NOW, moment)
            past = [(name, at) for name, at in happened if at <= moment]
            met = [(rule.name, at) for rule in rules.engagement for name, at in past if name == rule.on]
            engaged = sum(engagement(rules, met, moment).values())
            gifts = sum(
                contribution(points, (moment - at).total_seconds(), rules.half_life_of_journeys)
                for points, at in given if at <= moment
            )  # fmt: skip
            assert sum(part.counts for part in card.engagement) == Decimal(engaged) / MILLION
            assert sum(part.left for part in card.journey_parts) == card.journeys == Decimal(gifts) / MILLION
            assert (card.activity, card.score) == (Decimal(engaged + gifts) / MILLION, whole(engaged + gifts))


async def test_without_rules_a_score_is_what_journeys_gave(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ann = await customer(db, tags=["vip"])
        await happen(db, ann, "email.opened", NOW)
        await scores.add(db, ann, 10, "asked", NOW)
        card = await scorecard(db, ann, None, NOW)
        assert (card.score, card.grade, card.fit, card.stands) == (10, None, 0, 10)
        with pytest.raises(UnknownCustomer):
            await scorecard(db, 404, None, NOW)


async def test_points_of_journeys_fade_only_when_the_rules_say_so(engine: AsyncEngine) -> None:
    fading = Scoring.model_validate({"half_life": "never", "journeys": {"half_life": "10d"}, "grades": GRADES})
    async with engine.begin() as db:
        ann = await customer(db)
        await scores.add(db, ann, 9, "asked", NOW - 10 * DAY)
        assert (await scorecard(db, ann, RULE, NOW)).score == 9
        card = await scorecard(db, ann, fading, NOW)
        assert (card.journeys, card.score) == (Decimal("4.5"), 5)
        assert [one.left for one in card.journey_parts] == [Decimal("4.5")]


async def test_what_would_change_is_told_beforehand(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        up, down, same = await customer(db, tags=["vip"]), await customer(db), await customer(db)
        await happen(db, up, "order.placed", NOW, 10)
        await happen(db, down, "email.unsubscribed", NOW)
        await scores.add(db, down, 31, "asked", NOW)
        found = await preview(db, RULE, NOW, 30, most=5)
        assert (found.customers, found.rise, found.risen, found.fall, found.fallen) == (3, 1, 32, 1, 15)
        assert (found.up, found.down) == (1, 1)
        assert found.grades == [GradeMove(None, "B3", 1), GradeMove(None, "D3", 1), GradeMove(None, "D4", 1)]
        assert [(one.customer_id, one.before, one.after) for one in found.most] == [(up, 0, 32), (down, 31, 16)]
        assert await stands(db, up) == (0, 0, None)
        await apply(db, [up, down, same])
        again = await preview(db, RULE, NOW, None, most=5)
        assert (again.rise, again.fall, again.up, again.down, again.most) == (0, 0, 0, 0, [])


async def test_nobody_is_no_trouble(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        assert await apply(db, []) == {}
        assert (await preview(db, RULE, NOW, 60, most=5)).customers == 0


async def test_a_hundred_rules_of_each_kind_are_worked_out_at_once(engine: AsyncEngine) -> None:
    many = Scoring.model_validate({
        "half_life": "never", "grades": GRADES,
        "fit": [{"name": f"f{n}", "when": {"tag": f"t{n}"}, "points": 1} for n in range(100)],
        "engagement": [{"name": f"e{n}", "on": "x", "points": 1, "cap": 1} for n in range(100)],
    })  # fmt: skip
    async with engine.begin() as db:
        ann = await customer(db, tags=[f"t{n}" for n in range(99)])
        await happen(db, ann, "x", NOW)
        await happen(db, ann, "x", NOW)
        await scoring.apply(db, many, [ann], NOW)
        assert await stands(db, ann) == (199, 99, "A1")
        assert len((await history(db, ann))[0][2]) == 99


async def test_rules_in_force_say_whether_they_were_carried_out(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        assert await rulebooks.find(db, "scoring") is None
        assert await rulebooks.publish(db, "scoring", {"a": 1}, "d1", by="marie", now=NOW)
        await rulebooks.applied(db, "scoring", "d0", NOW)
        found = await rulebooks.find(db, "scoring")
        assert found is not None
        assert (found.definition, found.published_by, found.applied_at) == ({"a": 1}, "marie", None)
        await rulebooks.applied(db, "scoring", "d1", NOW)
        assert not await rulebooks.publish(db, "scoring", {"a": 1}, "d1", by="li", now=NOW + DAY)
        same = await rulebooks.find(db, "scoring")
        assert same is not None
        assert (same.published_by, same.applied_at) == ("marie", NOW)
        assert await rulebooks.publish(db, "scoring", {"a": 2}, "d2", by="li", now=NOW + DAY)
        other = await rulebooks.find(db, "scoring")
        assert other is not None
        assert other.applied_at is None


async def test_rules_of_the_past_can_be_asked_for(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        for number in range(3):
            await rulebooks.publish(db, "scoring", {}, f"d{number}", by="marie", now=NOW + number * DAY)
        asked = (NOW - DAY, NOW, NOW + 1.5 * DAY, NOW + 9 * DAY, None)
        found = [await rulebooks.find(db, "scoring", moment) for moment in asked]
        assert [one and one.digest for one in found] == [None, "d0", "d1", "d2", "d2"]


async def test_what_was_kept_of_fit_by_other_rules_is_left_aside(engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        ann = await customer(db, tags=["vip"])
        await apply(db, [ann], NOW)
        await db.execute(tables.customers.update().values(tags=[], country="DE"))
        later = NOW + 4 * DAY
        found = [await scorecard(db, ann, RULE, later, NOW + DAY, since=since) for since in (None, NOW, NOW + 2 * DAY)]
        assert [(one.fit, one.fit_from) for one in found] == [(12, "kept"), (12, "kept"), (3, "recomputed")]
