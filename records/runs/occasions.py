"""Whom the clock lets in: the customers of a day, of a schedule, and those who qualify when a map is published.

Everything comes page by page, in the order of the customers' ids, so that work that was cut off goes on where it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, exists, func, not_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.conditions import STANDARD_FIELDS, Condition
from journeys.definition import EveryFew, Trigger
from journeys.timing import Duration, add
from records.conditions import DAY, compile_condition, event_meets
from records.runs.enrolments import OPEN
from records.tables import customers, enrolments, events

_KEY = func.coalesce(customers.c.external_id, cast(customers.c.id, Text)).label("key")
_ENDS_OF_MONTHS = timedelta(days=4)
"""What a rule in months may take together, and the contact's zone: who enters is asked again, one by one."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody whom the clock may let in. `key` is what chance knows the contact by, `value` what the field of the day
    holds, `event_id` the event by which the customer qualifies."""

    customer_id: int
    key: str
    time_zone: str | None = None
    country: str | None = None
    value: str | None = None
    event_id: int | None = None


@dataclass(frozen=True, slots=True)
class Qualifying:
    """Whom a backfill takes in: who meets `where`, or had an event of one of `triggers` since `since`."""

    where: Sequence[Condition]
    triggers: Sequence[Trigger]
    since: datetime


def _may_enter(journey: str, rule: str | EveryFew, now: datetime) -> ColumnElement[bool]:
    """Who is not refused for certain by the journey's rule for entering again."""
    if rule == "always":
        return true()
    mine = [enrolments.c.journey == journey, enrolments.c.customer_id == customers.c.id]
    if rule == "never":
        return not_(exists().where(*mine))
    refused: list[ColumnElement[bool]] = [enrolments.c.status.in_(OPEN)]
    if isinstance(rule, EveryFew):
        since = add(now, Duration(-rule.after.count, rule.after.unit), UTC) + _ENDS_OF_MONTHS
        refused.append(enrolments.c.enrolled_at > min(since, now))
    return not_(exists().where(*mine, or_(*refused)))


def _not_yet(journey: str, occasion: str) -> ColumnElement[bool]:
    return not_(
        exists().where(
            enrolments.c.journey == journey,
            enrolments.c.customer_id == customers.c.id,
            enrolments.c.occasion == occasion,
        )
    )


def _meets(where: Condition | None, now: datetime) -> ColumnElement[bool]:
    return compile_condition(where, now) if where is not None else true()


async def dated(
    db: AsyncConnection,
    field: str,
    days: Collection[date] | Collection[tuple[int, int]],
    where: Condition | None,
    now: datetime,
    *,
    after: int,
    limit: int,
) -> list[Candidate]:
    """Customers whose field holds one of these days, or one of these months and days in any year, and who meet `where`.

    A moment with an offset may be another day where its customer lives: its neighbours count too.
    """
    words: Any = customers.c.properties[field].astext
    if field in STANDARD_FIELDS:
        words = cast(customers.c[field], Text)
    query = (
        select(customers.c.id, _KEY, customers.c.time_zone, customers.c.country, words.label("value"))
        .where(customers.c.id > after, words.regexp_match(DAY), _on(words, days), _meets(where, now))
        .order_by(customers.c.id)
        .limit(limit)
    )
    return [Candidate(*row) for row in await db.execute(query)]


def _on(words: Any, days: Collection[date] | Collection[tuple[int, int]]) -> ColumnElement[bool]:
    spelled: set[str] = set()
    for day in days:
        # a leap year has them all
        known = day if isinstance(day, date) else date(2000, *day)
        near = [known + timedelta(days=off) for off in (-1, 0, 1) if date.min < known < date.max]
        spelled |= {one.isoformat() if isinstance(day, date) else f"{one:%m-%d}" for one in near}
    return (func.left(words, 10) if _whole(days) else func.substr(words, 6, 5)).in_(sorted(spelled))


def _whole(days: Collection[date] | Collection[tuple[int, int]]) -> bool:
    return any(isinstance(day, date) for day in days)


async def scheduled(
    db: AsyncConnection,
    journey: str,
    rule: str | EveryFew,
    occasion: str,
    where: Condition | None,
    now: datetime,
    *,
    after: int,
    limit: int,
) -> list[Candidate]:
    """Customers who meet `where`, may enter the journey, and have not for this occasion."""
    query = (
        select(customers.c.id, _KEY)
        .where(customers.c.id > after, _meets(where, now), _may_enter(journey, rule, now), _not_yet(journey, occasion))
        .order_by(customers.c.id)
        .limit(limit)
    )
    return [Candidate(*row) for row in await db.execute(query)]


async def count(db: AsyncConnection, journey: str, rule: str | EveryFew, where: Condition | None, now: datetime) -> int:
    """How many customers meet `where` and may enter the journey now."""
    query = select(func.count()).select_from(customers).where(_meets(where, now), _may_enter(journey, rule, now))
    return int((await db.execute(query)).scalar_one())


def _qualifies(who: Qualifying, now: datetime) -> ColumnElement[bool]:
    ways = [compile_condition(one, now) for one in who.where]
    for trigger in who.triggers:
        had = exists().where(events.c.customer_id == customers.c.id, _of(trigger, who.since, now))
        ways.append(and_(had, _meets(trigger.where, now)))
    return or_(*ways)


def _of(trigger: Trigger, since: datetime, now: datetime) -> ColumnElement[bool]:
    at = events.c.occurred_at
    return and_(events.c.name == trigger.event, at > since, at <= now, *event_meets(trigger.tests))


async def count_qualifying(
    db: AsyncConnection, journey: str, rule: str | EveryFew, who: Qualifying, now: datetime
) -> int:
    """How many customers a backfill would take in now."""
    query = select(func.count()).select_from(customers).where(_qualifies(who, now), _may_enter(journey, rule, now))
    return int((await db.execute(query)).scalar_one())


async def qualifying(
    db: AsyncConnection,
    journey: str,
    rule: str | EveryFew,
    occasion: str,
    who: Qualifying,
    now: datetime,
    *,
    after: int,
    limit: int,
) -> list[Candidate]:
    """Customers whom a backfill takes in and has not yet, each with the latest event by which it qualifies."""
    event: ColumnElement[Any] = cast(None, customers.c.id.type)
    if who.triggers:
        met = [and_(_of(one, who.since, now), _meets(one.where, now)) for one in who.triggers]
        latest = select(events.c.id).where(events.c.customer_id == customers.c.id, or_(*met))
        ordered = latest.order_by(events.c.occurred_at.desc(), events.c.id.desc()).limit(1)
        event = ordered.correlate(customers).scalar_subquery()
    query = (
        select(customers.c.id, _KEY, event.label("event_id"))
        .where(
            customers.c.id > after, _qualifies(who, now), _may_enter(journey, rule, now), _not_yet(journey, occasion)
        )
        .order_by(customers.c.id)
        .limit(limit)
    )
    return [Candidate(row.id, row.key, event_id=row.event_id) for row in await db.execute(query)]
