"""What makes up one customer's score, now or at a past time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from sqlalchemy import func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.scoring import MILLION, Scoring, capped, contribution, whole
from records.audience.scoring import countable, counted, meets
from records.conditions import answers
from records.people.identities import UnknownCustomer
from records.tables import customers, enrolments, events, fits, score_entries

SHOWN = 50
"""How many entries of journeys are told one by one, the newest."""


@dataclass(frozen=True, slots=True)
class FitPart:
    """Points for who somebody is; `holds` is false for a rule that gives none."""

    rule: str
    points: int
    holds: bool


@dataclass(frozen=True, slots=True)
class EngagementPart:
    """What one rule comes to: how many events it counts, the last of them (UTC), their points as they were given, what
    is left of these, and what counts within the cap. `half_life` is in days; None for never."""

    rule: str
    event: str
    events: int
    last_at: datetime | None
    points: int
    left: Decimal
    cap: int | None
    counts: Decimal
    half_life: float | None


@dataclass(frozen=True, slots=True)
class JourneyPart:
    """Points that a journey or sales gave, and what is left of them."""

    points: int
    left: Decimal
    because: str
    at: datetime
    journey: str | None
    step: str | None


@dataclass(frozen=True, slots=True)
class Scorecard:
    """A score and what it is made of. `fit_from` says where the points of fit come from: worked out `now`, `kept` since
    `fit_at`, or `recomputed` from present fields, because nothing was kept by then that is by these rules. `stands` is
    what the record says, worked out at `scored_at`."""

    customer_id: int
    at: datetime
    score: int
    grade: str | None
    fit: int
    fit_from: Literal["now", "kept", "recomputed"]
    fit_at: datetime | None
    fit_parts: list[FitPart]
    activity: Decimal
    engagement: list[EngagementPart]
    journeys: Decimal
    journey_entries: int
    journey_parts: list[JourneyPart]
    stands: int
    scored_at: datetime | None


async def scorecard(
    db: AsyncConnection, customer_id: int, rules: Scoring | None, now: datetime, at: datetime | None = None,
    *, since: datetime | None = None,
) -> Scorecard:  # fmt: skip
    """A customer's score by these rules at the time `at`, or now: events and entries up to then count, late ones as if
    they had come in time. Without rules, the points of journeys are all there is.

    `since` is when the rules came into force. What was kept of fit before that is by other rules, and is left aside.

    Raises:
        UnknownCustomer: there is no such customer.
    """
    stands = await db.execute(select(customers.c.score, customers.c.scored_at).where(customers.c.id == customer_id))
    row = stands.one_or_none()
    if row is None:
        raise UnknownCustomer(f"There is no customer {customer_id}.")
    moment = now if at is None else at
    kept = moment < now and (since is None or since <= moment)
    source, kept_at, parts = await _fit(db, customer_id, rules, moment, past=moment < now, kept=kept)
    engaged = await _engagement(db, customer_id, rules, moment) if rules is not None else []
    total, count, given = await _journeys(db, customer_id, rules, moment, past=moment < now)
    millionths = total + sum(int(part.counts * MILLION) for part in engaged)
    fit = sum(part.points for part in parts if part.holds)
    activity = whole(millionths)
    return Scorecard(
        customer_id, moment, fit + activity, rules.grades.of(fit, activity) if rules is not None else None,
        fit, source, kept_at, parts, _points(millionths), engaged, _points(total), count, given,
        row.score, row.scored_at,
    )  # fmt: skip


async def _fit(
    db: AsyncConnection, customer_id: int, rules: Scoring | None, at: datetime, *, past: bool, kept: bool
) -> tuple[Literal["now", "kept", "recomputed"], datetime | None, list[FitPart]]:
    if rules is None:
        return "now", None, []
    if kept:
        last = select(fits.c.at, fits.c.parts).where(fits.c.customer_id == customer_id, fits.c.at <= at)
        row = (await db.execute(last.order_by(fits.c.at.desc(), fits.c.id.desc()).limit(1))).one_or_none()
        if row is not None:
            return "kept", row.at, [FitPart(name, points, True) for name, points in sorted(row.parts.items())]
    held = await answers(db, customer_id, [rule.when for rule in rules.fit], at)
    parts = [FitPart(rule.name, rule.points, holds) for rule, holds in zip(rules.fit, held, strict=True)]
    return "recomputed" if past else "now", None, parts


async def _engagement(db: AsyncConnection, customer_id: int, rules: Scoring, at: datetime) -> list[EngagementPart]:
    moment = literal(at, events.c.occurred_at.type)
    columns = [
        column.label(f"{name}{n}")
        for n, rule in enumerate(rules.engagement)
        for name, column in (
            ("left", counted(rules, rule, moment)), ("events", func.count().filter(meets(rule))),
            ("last", func.max(events.c.occurred_at).filter(meets(rule))),
        )
    ]  # fmt: skip
    if not columns:
        return []
    row = (
        await db.execute(select(*columns).where(countable(rules, moment), events.c.customer_id == customer_id))
    ).one()
    found = row._mapping
    parts = []
    for n, rule in enumerate(rules.engagement):
        count, last, left = found[f"events{n}"], found[f"last{n}"], found[f"left{n}"]
        counts, half_life = _points(capped(left, rule.cap)), rules.half_life_of(rule)
        points = rule.points * count
        parts.append(
            EngagementPart(rule.name, rule.on, count, last, points, _points(left), rule.cap, counts, half_life)
        )
    return parts


async def _journeys(
    db: AsyncConnection, customer_id: int, rules: Scoring | None, at: datetime, *, past: bool
) -> tuple[int, int, list[JourneyPart]]:
    """What journeys' points come to in millionths, how many entries there are, and the newest."""
    half_life = rules.half_life_of_journeys if rules is not None else None
    s = score_entries.c
    mine = [s.customer_id == customer_id, *([s.at <= at] if past else [])]
    if half_life is None:
        sums = select(func.count(), func.coalesce(func.sum(s.points), 0)).where(*mine)
        count, points = (await db.execute(sums)).one()
        total = int(points) * MILLION
    else:
        given = (await db.execute(select(s.points, s.at).where(*mine))).all()
        count = len(given)
        total = sum(contribution(points, (at - when).total_seconds(), half_life) for points, when in given)
    newest = (
        select(s.points, s.because, s.at, enrolments.c.journey, s.step)
        .join_from(score_entries, enrolments, enrolments.c.id == s.enrolment_id, isouter=True)
        .where(*mine).order_by(s.at.desc(), s.id.desc()).limit(SHOWN)
    )  # fmt: skip
    parts = [
        JourneyPart(
            row.points, _points(contribution(row.points, (at - row.at).total_seconds(), half_life)), row.because,
            row.at, row.journey, row.step,
        )
        for row in await db.execute(newest)
    ]  # fmt: skip
    return total, count, parts


def _points(millionths: int) -> Decimal:
    return Decimal(millionths) / MILLION
