"""Orders: what somebody told a run to do, who it was, when and why, and what became of it.

A run takes its orders at its next turn. Rows are never deleted: they are the account of who interfered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, DateTime, Text, and_, exists, func, insert, literal, not_, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from records.runs.enrolments import OPEN, Enrolment
from records.runs.holds import held, is_paused
from records.tables import enrolments, orders

Kind = Literal["skip", "move", "exit", "retry", "resume", "migrate"]


@dataclass(frozen=True, slots=True)
class Order:
    """One order. `taken_at` is when the run dealt with it, `refusal` why it did not do it; times in UTC."""

    id: int
    enrolment_id: int
    kind: Kind
    args: dict[str, Any]
    by: str
    because: str | None
    at: datetime
    taken_at: datetime | None
    refusal: str | None


@dataclass(frozen=True, slots=True)
class PendingOrder:
    """What somebody told a run to do, and it has not done yet."""

    id: int
    kind: Kind
    args: dict[str, Any]
    by: str
    because: str | None


async def give(
    db: AsyncConnection,
    enrolment_id: int,
    kind: Kind,
    args: Mapping[str, Any] | None = None,
    *,
    by: str,
    because: str | None = None,
    now: datetime,
) -> int:
    """Give an order to a run; returns its number."""
    values = {"enrolment_id": enrolment_id, "kind": kind, "args": dict(args or {}), "by": by, "because": because}
    given = await db.execute(insert(orders).values(**values, at=now).returning(orders.c.id))
    return int(given.scalar_one())


async def give_many(
    db: AsyncConnection,
    where: ColumnElement[bool],
    kind: Kind,
    args: Mapping[str, Any] | None = None,
    *,
    by: str,
    because: str | None = None,
    now: datetime,
) -> int:
    """Give the same order to every enrolment that meets a condition, in one statement; returns how many got it."""
    chosen = select(
        enrolments.c.id,
        literal(kind, Text),
        literal(dict(args or {}), JSONB),
        literal(by, Text),
        literal(because, Text),
        literal(now, DateTime(timezone=True)),
    ).where(where)
    columns = ["enrolment_id", "kind", "args", "by", "because", "at"]
    given = insert(orders).from_select(columns, chosen).execution_options(preserve_rowcount=True)
    return int((await db.execute(given)).rowcount)


async def taken(db: AsyncConnection, ids: Sequence[int], at: datetime) -> None:
    """Write down that the run has done what it was told."""
    await db.execute(update(orders).where(orders.c.id.in_(ids)).values(taken_at=at))


async def refuse(db: AsyncConnection, order: int, at: datetime, reason: str) -> None:
    """Write down that the run does not do it, and why."""
    await db.execute(update(orders).where(orders.c.id == order).values(taken_at=at, refusal=reason))


async def get(db: AsyncConnection, order: int) -> Order | None:
    """One order, or None where there is none (its customer may have been erased)."""
    row = (await db.execute(select(orders).where(orders.c.id == order))).one_or_none()
    return None if row is None else Order(**row._mapping)


async def pending(db: AsyncConnection, enrolment_id: int) -> list[Order]:
    """What a run has been told and has not dealt with, in the order in which it was told."""
    query = select(orders).where(orders.c.enrolment_id == enrolment_id, orders.c.taken_at.is_(None))
    return [Order(**row._mapping) for row in await db.execute(query.order_by(orders.c.id))]


async def of_run(db: AsyncConnection, enrolment_id: int) -> list[Order]:
    """Everything that a run was ever told, the oldest first."""
    query = select(orders).where(orders.c.enrolment_id == enrolment_id).order_by(orders.c.id)
    return [Order(**row._mapping) for row in await db.execute(query)]


async def pending_runs(
    db: AsyncConnection, *, limit: int, after: int = 0, before: datetime | None = None
) -> list[Enrolment]:
    """Open runs under way that have not dealt with an order, by number above `after`; not one given after `before`.

    A run that has not begun reads its orders when it does, so nobody needs to tell it.
    """
    waiting = select(orders.c.id).where(orders.c.enrolment_id == enrolments.c.id, orders.c.taken_at.is_(None))
    if before is not None:
        waiting = waiting.where(orders.c.at <= before)
    query = (
        select(enrolments)
        .where(enrolments.c.id > after, enrolments.c.status.in_(OPEN), enrolments.c.turn > 0, exists(waiting))
        .order_by(enrolments.c.id)
        .limit(limit)
    )
    return [Enrolment(**row._mapping) for row in await db.execute(query)]


async def count_pending(db: AsyncConnection) -> int:
    """How many open runs under way have an order that they have not dealt with."""
    query = (
        select(func.count(orders.c.enrolment_id.distinct()))
        .join(enrolments, enrolments.c.id == orders.c.enrolment_id)
        .where(orders.c.taken_at.is_(None), enrolments.c.status.in_(OPEN), enrolments.c.turn > 0)
    )
    return int((await db.execute(query)).scalar_one())


async def free_strays(db: AsyncConnection, now: datetime) -> int:
    """Let paused runs go on that no hold keeps and no order concerns: their turn crossed with the release.

    Returns how many.
    """
    mine = select(orders.c.id).where(orders.c.enrolment_id == enrolments.c.id, orders.c.taken_at.is_(None))
    stray = and_(is_paused(), not_(held()), not_(exists(mine)))
    args = {"mode": "spread", "since": now.isoformat(), "at": now.isoformat(), "over": 0}
    return await give_many(db, stray, "resume", args, by="sweep", because="no hold applies any more", now=now)
