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
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Integer,
    Numeric,
    Select,
    Text,
    and_,
    bindparam,
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
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_or_update
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.lifecycle import Orders
from records import clocks
from records.memory import roomy
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
    await roomy(db)
    ranked = _ranked(event, before, zone).subquery("ranked")
    c = ranked.c
    query = select(c.customer, c.recency_days, c.frequency, c.monetary, c.r, c.f, c.m).order_by(c.place)
    async with db.stream(query.execution_options(yield_per=5000)) as rows:
        async for row in rows:
            yield Rfm(*row)


async def evaluated_at(db: AsyncConnection) -> datetime | None:
    """When everybody's figures were last worked out (UTC); None when they never were."""
    return (await clocks.read(db, EVALUATED)).get("")


async def holders(db: AsyncConnection) -> int:
    """How many customers have figures: those who ordered."""
    return int((await db.execute(select(func.count()).select_from(customer_values))).scalar_one())


async def refresh(db: AsyncConnection, orders: Orders, now: datetime, zone: ZoneInfo) -> int:
    """Work out everybody's figures and the quintiles; returns how many customers' changed."""
    await roomy(db)
    await db.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('values', 0))"))
    ranked = _ranked(orders.event, now + TICK, zone).subquery("ranked")
    refunded = _refunds(orders, events.c.occurred_at <= now).subquery("refunds")
    c = ranked.c
    fresh = select(
        c.customer_id, c.frequency, c.monetary, func.coalesce(refunded.c.refunded, 0), c.first_order_at,
        c.last_order_at, c.r, c.f, c.m,
    ).join_from(ranked, refunded, refunded.c.customer_id == c.customer_id, isouter=True)  # fmt: skip
    changed = int((await db.execute(_write(fresh))).scalar_one())
    until = literal(now, events.c.occurred_at.type)
    changed += int((await db.execute(_forget(orders, true(), until))).scalar_one())
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
    given = {"ids": list(customer_ids), "until": now}
    write, forget = _statements(orders.event, orders.refunds, zone.key)
    changed = int((await db.execute(write, given)).scalar_one())
    return changed + int((await db.execute(forget, given)).scalar_one())


@lru_cache(maxsize=16)
def _statements(event: str, refunds: str | None, zone: str) -> tuple[Select[Any], Select[Any]]:
    """The two statements of `refresh_some`: building them takes longer than running them."""
    until = bindparam("until", type_=events.c.occurred_at.type)
    ids = bindparam("ids", type_=ARRAY(BigInteger))
    mine, orders = events.c.customer_id == func.any(ids), Orders(event=event, refunds=refunds)
    placed = _placed(event, and_(mine, events.c.occurred_at <= until)).subquery("placed")
    refunded = _refunds(orders, and_(mine, events.c.occurred_at <= until)).subquery("refunds")
    c = placed.c
    day = func.date(func.timezone(zone, c.last_order_at)) - literal(DAY_ZERO, Date)
    fresh = select(
        c.customer_id, c.frequency, c.monetary, func.coalesce(refunded.c.refunded, 0), c.first_order_at,
        c.last_order_at, _quintile("r", cast(day, Numeric)), _quintile("f", c.frequency), _quintile("m", c.monetary),
    ).join_from(placed, refunded, refunded.c.customer_id == c.customer_id, isouter=True)  # fmt: skip
    return _write(fresh), _forget(orders, customer_values.c.customer_id == func.any(ids), until)


def _placed(event: str, which: ColumnElement[bool]) -> Select[Any]:
    """One row for each customer with orders among `which` events."""
    e = events.c
    return (
        select(
            e.customer_id,
            cast(func.count(), Integer).label("frequency"),
            func.coalesce(func.sum(e.value), literal(0, Numeric)).label("monetary"),
            func.min(e.occurred_at).label("first_order_at"),
            func.max(e.occurred_at).label("last_order_at"),
        )
        .where(e.name == event, which)
        .group_by(e.customer_id)
    )


def _ranked(event: str, before: datetime, zone: ZoneInfo) -> Select[Any]:
    """All who ordered before a moment, with their quintiles and their `place` in the order of customers."""
    placed = _placed(event, events.c.occurred_at < before).cte("placed")
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


def _refunds(orders: Orders, which: ColumnElement[bool]) -> Select[Any]:
    e = events.c
    total = func.sum(func.coalesce(e.value, 0)).label("refunded")
    return select(e.customer_id, total).where(e.name == (orders.refunds or ""), which).group_by(e.customer_id)


def _quintile(measure: str, value: ColumnElement[Any]) -> ColumnElement[Any]:
    mine = select(func.max(quintiles.c.score)).where(quintiles.c.measure == measure, quintiles.c.least <= value)
    return func.coalesce(mine.scalar_subquery(), 1)


def _write(fresh: Select[Any]) -> Select[Any]:
    """Keep figures where they differ; tells how many did."""
    columns = ["customer_id", "orders", "revenue", "refunded", "first_order_at", "last_order_at", "r", "f", "m"]
    # In one order, so that two who write the same rows wait for each other instead of for ever.
    kept = insert_or_update(customer_values).from_select(columns, fresh.order_by(fresh.selected_columns.customer_id))
    values = {name: kept.excluded[name] for name in columns[1:]}
    differs = or_(*(customer_values.c[name].is_distinct_from(value) for name, value in values.items()))
    statement = kept.on_conflict_do_update(index_elements=["customer_id"], set_=values, where=differs)
    return select(func.count()).select_from(statement.returning(customer_values.c.customer_id).cte("written"))


def _forget(orders: Orders, who: ColumnElement[bool], until: ColumnElement[Any]) -> Select[Any]:
    """Let go of the figures of those who have no order any more, as their events went to somebody else."""
    e = events.c
    theirs = exists().where(
        e.customer_id == customer_values.c.customer_id, e.name == orders.event, e.occurred_at <= until
    )
    gone = delete(customer_values).where(who, ~theirs).returning(customer_values.c.customer_id).cte("gone")
    return select(func.count()).select_from(gone)
