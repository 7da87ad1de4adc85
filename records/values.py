"""What customers' orders come to: recency, frequency and money with their quintiles, and what each is worth.

The report reads the events; `customer_values` keeps the same figures for conditions. All customers' are worked out by
one statement; between two nights, one customer's orders are counted at once and take the quintile that they would have
had when these were last worked out (`quintiles`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Date,
    Integer,
    Numeric,
    Select,
    Text,
    case,
    cast,
    delete,
    desc,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import insert as insert_or_update
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.lifecycle import Orders
from records import clocks
from records.tables import customer_values, customers, events, quintiles

EVALUATED = "values"
"""The clock of when everybody's figures were last worked out."""
TICK = timedelta(microseconds=1)
"""What happens at a moment has happened by then; the report asks for what was before it."""
DAY_ZERO = datetime(1970, 1, 1).date()  # noqa: DTZ001 (a day has no zone)
DIGITS = r"^[0-9]{1,100}$"


@dataclass(frozen=True, slots=True)
class Rfm:
    """One customer's orders before a moment: days since the last, how many, what they came to; and their quintiles,
    1 to 5, 5 best."""

    customer: str
    recency_days: int
    frequency: int
    monetary: Decimal
    r: int
    f: int
    m: int


@dataclass(frozen=True, slots=True)
class Value:
    """What one customer's orders come to, in the workspace's currency; times in UTC."""

    orders: int
    revenue: Decimal
    refunded: Decimal
    first_order_at: datetime
    last_order_at: datetime
    r: int
    f: int
    m: int

    @property
    def lifetime_value(self) -> Decimal:
        """What the orders came to, less what was refunded."""
        return self.revenue - self.refunded


async def of(db: AsyncConnection, customer_id: int) -> Value | None:
    """A customer's figures; None for one who never ordered."""
    c = customer_values.c
    columns = (c.orders, c.revenue, c.refunded, c.first_order_at, c.last_order_at, c.r, c.f, c.m)
    row = (await db.execute(select(*columns).where(c.customer_id == customer_id))).one_or_none()
    return None if row is None else Value(*row)


async def rfm(db: AsyncConnection, event: str, before: datetime, zone: ZoneInfo) -> AsyncGenerator[Rfm]:
    """Everybody with an event `event` before a moment, by customer, as they come from the server.

    Days are those of the calendar in `zone`; the day of `before` is day 0. Quintiles are NTILE(5) from worst to best,
    ties by customer: names of digits only by their number and before all others, these as text (collation C).
    """
    ranked = _ranked(event, before, zone).subquery("ranked")
    c = ranked.c
    query = select(c.customer, c.recency_days, c.frequency, c.monetary, c.r, c.f, c.m).order_by(c.place)
    async with db.stream(query.execution_options(yield_per=5000)) as rows:
        async for row in rows:
            yield Rfm(*row)


async def evaluated_at(db: AsyncConnection) -> datetime | None:
    """When everybody's figures were last worked out (UTC); None when they never were."""
    return (await clocks.read(db, EVALUATED)).get("")


async def refresh(db: AsyncConnection, orders: Orders, now: datetime, zone: ZoneInfo) -> int:
    """Work out everybody's figures and the quintiles; returns how many customers' changed."""
    await db.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('values', 0))"))
    ranked = _ranked(orders.event, now + TICK, zone).subquery("ranked")
    refunded = _refunds(orders, true(), now).subquery("refunds")
    c = ranked.c
    fresh = select(
        c.customer_id, c.frequency, c.monetary, func.coalesce(refunded.c.refunded, 0), c.first_order_at,
        c.last_order_at, c.r, c.f, c.m,
    ).join_from(ranked, refunded, refunded.c.customer_id == c.customer_id, isouter=True)  # fmt: skip
    changed = await _write(db, fresh)
    changed += await _forget(db, orders, true(), now)
    await db.execute(delete(quintiles))
    kept = customer_values.c
    day = cast(func.date(func.timezone(zone.key, kept.last_order_at)) - literal(DAY_ZERO, Date), Numeric)
    for measure, score, least in (("r", kept.r, day), ("f", kept.f, kept.orders), ("m", kept.m, kept.revenue)):
        begins = select(literal(measure), score, func.min(cast(least, Numeric))).group_by(score)
        await db.execute(insert(quintiles).from_select(["measure", "score", "least"], begins))
    await clocks.move(db, [EVALUATED], now)
    return changed


async def refresh_some(
    db: AsyncConnection, orders: Orders, customer_ids: Sequence[int], now: datetime, zone: ZoneInfo
) -> int:
    """Work out the figures of these customers, with the quintiles as they were last; returns how many changed."""
    mine = events.c.customer_id.in_(list(customer_ids))
    placed = _placed(orders.event, mine, now + TICK).subquery("placed")
    refunded = _refunds(orders, mine, now).subquery("refunds")
    c = placed.c
    day = func.date(func.timezone(zone.key, c.last_order_at)) - literal(DAY_ZERO, Date)
    fresh = select(
        c.customer_id, c.frequency, c.monetary, func.coalesce(refunded.c.refunded, 0), c.first_order_at,
        c.last_order_at, _quintile("r", cast(day, Numeric)), _quintile("f", c.frequency), _quintile("m", c.monetary),
    ).join_from(placed, refunded, refunded.c.customer_id == c.customer_id, isouter=True)  # fmt: skip
    changed = await _write(db, fresh)
    return changed + await _forget(db, orders, customer_values.c.customer_id.in_(list(customer_ids)), now)


_FIGURES = ("orders", "revenue", "refunded", "first_order_at", "last_order_at", "r", "f", "m")


def _placed(event: str, who: ColumnElement[bool], before: datetime) -> Select[Any]:
    """One row for each customer with orders before a moment."""
    e = events.c
    return (
        select(
            e.customer_id,
            cast(func.count(), Integer).label("frequency"),
            func.coalesce(func.sum(e.value), literal(0, Numeric)).label("monetary"),
            func.min(e.occurred_at).label("first_order_at"),
            func.max(e.occurred_at).label("last_order_at"),
        )
        .where(e.name == event, e.occurred_at < before, who)
        .group_by(e.customer_id)
    )


def _ranked(event: str, before: datetime, zone: ZoneInfo) -> Select[Any]:
    """All who ordered before a moment, with their quintiles and their `place` in the order of customers."""
    placed = _placed(event, true(), before).cte("placed")
    key = func.coalesce(customers.c.external_id, customers.c.email, cast(customers.c.id, Text))
    number = case((key.regexp_match(DIGITS), cast(key, Numeric)))
    today = before.astimezone(zone).date()
    days = literal(today, Date) - func.date(func.timezone(zone.key, placed.c.last_order_at))
    sorted_ = select(
        placed, key.label("customer"), cast(days, Integer).label("recency_days"),
        func.row_number().over(order_by=[number.asc().nulls_last(), key.collate("C"), placed.c.customer_id])
        .label("place"),
    ).join_from(placed, customers, customers.c.id == placed.c.customer_id).subquery("sorted")  # fmt: skip
    c = sorted_.c

    def fifth(worst_to_best: ColumnElement[Any], label: str) -> ColumnElement[Any]:
        return func.ntile(5).over(order_by=[worst_to_best, c.place]).label(label)

    return select(
        sorted_, fifth(desc(c.recency_days), "r"), fifth(c.frequency, "f"), fifth(c.monetary, "m")
    )  # fmt: skip


def _refunds(orders: Orders, who: ColumnElement[bool], until: datetime) -> Select[Any]:
    e = events.c
    total = func.sum(func.coalesce(e.value, 0)).label("refunded")
    return select(e.customer_id, total).where(
        e.name == (orders.refunds or ""), e.occurred_at <= until, who
    ).group_by(e.customer_id)  # fmt: skip


def _quintile(measure: str, value: ColumnElement[Any]) -> ColumnElement[Any]:
    mine = select(func.max(quintiles.c.score)).where(quintiles.c.measure == measure, quintiles.c.least <= value)
    return func.coalesce(mine.scalar_subquery(), 1)


async def _write(db: AsyncConnection, fresh: Select[Any]) -> int:
    kept = insert_or_update(customer_values).from_select(
        ["customer_id", *_FIGURES[:2], "refunded", *_FIGURES[3:]], fresh
    )
    differs = or_(*(customer_values.c[name].is_distinct_from(kept.excluded[name]) for name in _FIGURES))
    statement = kept.on_conflict_do_update(
        index_elements=["customer_id"], set_={name: kept.excluded[name] for name in _FIGURES}, where=differs
    )
    written = statement.returning(customer_values.c.customer_id).cte("written")
    return int((await db.execute(select(func.count()).select_from(written))).scalar_one())


async def _forget(db: AsyncConnection, orders: Orders, who: ColumnElement[bool], now: datetime) -> int:
    """Let go of the figures of those who have no order any more: their events went to somebody else."""
    theirs = exists().where(
        events.c.customer_id == customer_values.c.customer_id,
        events.c.name == orders.event,
        events.c.occurred_at <= now,
    )
    gone = delete(customer_values).where(who, ~theirs).returning(customer_values.c.customer_id).cte("gone")
    return int((await db.execute(select(func.count()).select_from(gone))).scalar_one())
