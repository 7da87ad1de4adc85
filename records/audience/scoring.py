"""Scores by the rules in force, worked out in the database: for one customer, for a page of them, for all.

The arithmetic is that of `journeys.scoring`: what an event brings is rounded to millionths of a point and counted in
whole numbers, so that SQL and Python come to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Float,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    extract,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from journeys.conditions import spans_time
from journeys.scoring import FADED, MILLION, MOST, SECONDS, EngagementRule, Scoring
from records.audience.scores import ScoreChange
from records.conditions import compile_condition, event_meets
from records.tables import customers, events, fits, score_entries

Who = Callable[[ColumnElement[Any]], ColumnElement[bool]]
"""Whom a statement means, told of a column that holds customers' ids."""
Moment = ColumnElement[datetime]
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_KEPT: dict[int, tuple[Scoring, Select[Any]]] = {}
_MOST_KEPT = 8
_ARGUMENTS = 40
"""Pairs that one call builds an object of: PostgreSQL takes 100 arguments at most."""


@dataclass(frozen=True, slots=True)
class Rescored:
    """A customer whose score is another one now."""

    customer_id: int
    change: ScoreChange


async def page(db: AsyncConnection, after: int, limit: int) -> list[int]:
    """The next customers by id, locked until the transaction ends. What follows sees what those before us have left."""
    mine = select(customers.c.id).where(customers.c.id > after).order_by(customers.c.id).limit(limit)
    return list((await db.execute(mine.with_for_update(key_share=True))).scalars())


_LOCK = (
    select(customers.c.id)
    .where(customers.c.id == func.any(bindparam("ids", type_=ARRAY(BigInteger))))
    .order_by(customers.c.id)
    .with_for_update(key_share=True)
)


async def lock(db: AsyncConnection, customer_ids: Sequence[int]) -> None:
    """Keep everybody else away from the scores of these customers until the transaction ends."""
    await db.execute(_LOCK, {"ids": list(customer_ids)})


async def apply(db: AsyncConnection, rules: Scoring, customer_ids: Sequence[int], now: datetime) -> list[Rescored]:
    """Bring the scores of these customers, whose rows are locked, to what they are at `now`; returns those that
    changed. Points of fit are kept with their time where they changed. Done again, nothing changes."""
    if not customer_ids:
        return []
    found = _statement(rules) if _timeless(rules) else _application(rules, now)
    rows = await db.execute(found, {"ids": list(customer_ids), "now": now})
    return [Rescored(row.id, ScoreChange(row.before, row.score)) for row in rows]


def _timeless(rules: Scoring) -> bool:
    """Whether fit asks for no span of time, so that the statement is the same whenever it is asked."""
    return not any(spans_time(rule.when) for rule in rules.fit)


def _statement(rules: Scoring) -> Select[Any]:
    """`_application`, kept for rules that were asked for before: building it takes longer than running it."""
    known = _KEPT.get(id(rules))
    if known is None or known[0] is not rules:
        if len(_KEPT) >= _MOST_KEPT:
            _KEPT.clear()
        known = _KEPT[id(rules)] = rules, _application(rules, _ANY_TIME)
    return known[1]


def _application(rules: Scoring, fit_at: datetime) -> Select[Any]:
    """What `apply` does, for the customers `ids` at the moment `now`, both given when it is run."""
    ids, now = bindparam("ids", type_=ARRAY(BigInteger)), bindparam("now", type_=customers.c.scored_at.type)
    fresh = materialized(_figures(rules, fit_at, now, lambda column: column == func.any(ids)), "fresh")
    c = customers.c
    later = c.scored_at > now
    changed = (
        update(customers)
        .where(
            c.id == fresh.c.id,
            or_(later.is_(None), ~later),
            or_(c.score != fresh.c.score, c.fit != fresh.c.fit, c.grade.is_distinct_from(fresh.c.grade)),
        )
        .values(score=fresh.c.score, fit=fresh.c.fit, grade=fresh.c.grade, scored_at=now)
        .returning(c.id, fresh.c.before, c.score)
        .cte("changed")
    )
    last = (
        select(fits.c.parts).where(fits.c.customer_id == fresh.c.id).order_by(fits.c.at.desc(), fits.c.id.desc())
        .limit(1).correlate(fresh).scalar_subquery()
    )  # fmt: skip
    noted = insert(fits).from_select(
        ["customer_id", "at", "points", "parts"],
        select(fresh.c.id, now, fresh.c.fit, fresh.c.parts)
        .where(last.is_distinct_from(fresh.c.parts)),
    ).cte("noted")  # fmt: skip
    return select(changed).where(changed.c.before != changed.c.score).order_by(changed.c.id).add_cte(noted)


def worked_out(rules: Scoring, now: datetime, who: Who) -> Select[Any]:
    """What customers come to by these rules at a moment: `id`, `before` and `graded` (as they stand), `fit`, `parts`,
    `score`, `grade`. Events count up to the moment, journeys' points all."""
    return _figures(rules, now, _literally(now), who)


def _literally(now: datetime) -> ColumnElement[datetime]:
    return literal(now, events.c.occurred_at.type)


def _figures(rules: Scoring, fit_at: datetime, now: Moment, who: Who) -> Select[Any]:
    c = customers.c
    fit = materialized(_fitting(rules, fit_at, who), "fitting")
    done = _engaged(rules, now, who).subquery("engaged")
    given = _given(rules, now, who).subquery("given")
    millionths = func.coalesce(done.c.millionths, 0) + func.coalesce(given.c.millionths, 0)
    points = [case((fit.c[f"f{n}"], rule.points), else_=0) for n, rule in enumerate(rules.fit)]
    parts = {rule.name: case((fit.c[f"f{n}"], rule.points)) for n, rule in enumerate(rules.fit)}
    figures = (
        select(
            c.id, c.score.label("before"), c.grade.label("graded"),
            _added(points, Integer).label("fit"),
            _object(parts).label("parts"), cast(_whole(millionths), Integer).label("activity"),
        )
        .join_from(customers, fit, fit.c.id == c.id)
        .join(done, done.c.customer_id == c.id, isouter=True)
        .join(given, given.c.customer_id == c.id, isouter=True)
        .where(who(c.id))
        .subquery("figures")
    )  # fmt: skip
    f = figures.c
    grade = _grade(rules, f.fit, f.activity)
    return select(f.id, f.before, f.graded, f.fit, f.parts, (f.fit + f.activity).label("score"), grade.label("grade"))


def _fitting(rules: Scoring, now: datetime, who: Who) -> Select[Any]:
    """Which rules of fit hold, for each customer."""
    held = [compile_condition(rule.when, now).label(f"f{n}") for n, rule in enumerate(rules.fit)]
    return select(customers.c.id, *held).where(who(customers.c.id))


def _engaged(rules: Scoring, now: Moment, who: Who) -> Select[Any]:
    """What engagement comes to, capped, in millionths, for each customer with an event that counts."""
    totals = [_capped(counted(rules, rule, now), rule.cap) for rule in rules.engagement]
    return (
        select(events.c.customer_id, _added(totals, BigInteger).label("millionths"))
        .where(countable(rules, now), who(events.c.customer_id))
        .group_by(events.c.customer_id)
    )


def _given(rules: Scoring, now: Moment, who: Who) -> Select[Any]:
    """What journeys' points come to, in millionths."""
    brought = _contribution(score_entries.c.points, score_entries.c.at, rules.half_life_of_journeys, now)
    return (
        select(score_entries.c.customer_id, cast(func.sum(brought), BigInteger).label("millionths"))
        .where(who(score_entries.c.customer_id))
        .group_by(score_entries.c.customer_id)
    )


def countable(rules: Scoring, now: Moment) -> ColumnElement[bool]:
    names = sorted({rule.on for rule in rules.engagement})
    return and_(events.c.name.in_(names), events.c.occurred_at <= now) if names else false()


def meets(rule: EngagementRule) -> ColumnElement[bool]:
    return and_(events.c.name == rule.on, *event_meets(rule.with_))


def counted(rules: Scoring, rule: EngagementRule, now: Moment) -> ColumnElement[Any]:
    brought = _contribution(literal(rule.points, Integer), events.c.occurred_at, rules.half_life_of(rule), now)
    return cast(func.coalesce(func.sum(brought).filter(meets(rule)), 0), BigInteger)


def _contribution(
    points: ColumnElement[Any], at: ColumnElement[Any], half_life: float | None, now: Moment
) -> ColumnElement[Any]:
    if half_life is None:
        return cast(points, BigInteger) * MILLION
    age = cast(extract("epoch", now - at), Float(53))
    halvings = func.least(func.greatest(age, _real(0.0)) / _real(half_life * SECONDS), _real(FADED))
    return cast(
        func.round(cast(points, Float(53)) * _real(float(MILLION)) * func.power(_real(0.5), halvings)), BigInteger
    )


def _real(value: float) -> ColumnElement[float]:
    return cast(literal(value), Float(53))


def _added(parts: Sequence[ColumnElement[Any]], kind: type[TypeEngine[Any]]) -> ColumnElement[Any]:
    total: ColumnElement[Any] = literal(0, kind)
    for part in parts:
        total = total + part
    return total


def _capped(total: ColumnElement[Any], cap: int | None) -> ColumnElement[Any]:
    if cap is None:
        return total
    bound = literal(cap * MILLION, BigInteger)
    return func.greatest(-bound, func.least(bound, total))


def _whole(millionths: ColumnElement[Any]) -> ColumnElement[Any]:
    """Half away from zero; `div` goes towards zero."""
    size = func.least(func.div(func.abs(millionths) + MILLION // 2, MILLION), MOST)
    return size * func.sign(millionths)


def _grade(rules: Scoring, fit: ColumnElement[Any], activity: ColumnElement[Any]) -> ColumnElement[str]:
    by_fit, by_activity = rules.grades.fit, rules.grades.activity
    letter = case((fit >= by_fit.a, "A"), (fit >= by_fit.b, "B"), (fit >= by_fit.c, "C"), else_="D")
    figure = case(
        (activity >= by_activity.one, "1"), (activity >= by_activity.two, "2"), (activity >= by_activity.three, "3"),
        else_="4",
    )  # fmt: skip
    return cast(letter, Text).concat(figure)


def _object(parts: Mapping[str, ColumnElement[Any]]) -> ColumnElement[Any]:
    """An object of those that are not null."""
    built: ColumnElement[Any] = cast(literal("{}"), JSONB)
    pairs = list(parts.items())
    for start in range(0, len(pairs), _ARGUMENTS):
        some = pairs[start : start + _ARGUMENTS]
        words = [word for name, value in some for word in (cast(literal(name), Text), value)]
        built = built.op("||", return_type=JSONB())(func.jsonb_build_object(*words, type_=JSONB))
    return func.jsonb_strip_nulls(built, type_=JSONB)


def materialized(query: Select[Any], name: str) -> CTE:
    return query.cte(name).prefix_with("MATERIALIZED", dialect="postgresql")
