"""Runs of customers through journeys: one row each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, any_, case, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.errors import WaymarkError
from records.tables import enrolments, touches

Status = Literal["pending", "active", "finished", "exited", "failed"]
OPEN = ("pending", "active")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One entry of a customer into a journey."""

    id: int
    customer_id: int
    journey: str
    version: int
    entry: int
    status: Status
    source: str
    event_id: int | None
    enrolled_at: datetime
    begins_at: datetime
    launched_at: datetime | None
    turn: int
    instruction: dict[str, Any] | None
    cursor: dict[str, Any]
    step: str | None
    because: str | None
    wakes_at: datetime | None
    awaiting: list[str]
    outcome: str | None
    ended_at: datetime | None
    occasion: str | None
    held_out: bool
    workflow: str
    """The Temporal workflow id that it was started as, which outlives a merge of its customer."""


class UnknownRun(WaymarkError):
    """No enrolment bears this number."""


async def get(db: AsyncConnection, enrolment: int) -> Enrolment:
    """One enrolment.

    Raises:
        UnknownRun: there is none of this number.
    """
    row = (await db.execute(select(enrolments).where(enrolments.c.id == enrolment))).one_or_none()
    if row is None:
        raise UnknownRun(f"there is no run {enrolment}", hint="`waymark runs list` shows the runs and their numbers")
    return Enrolment(**row._mapping)


async def listing(
    db: AsyncConnection,
    *,
    journey: str | None = None,
    customer_id: int | None = None,
    status: str | None = None,
    uncertain: bool = False,
    limit: int = 100,
    after: int = 0,
) -> list[Enrolment]:
    """Enrolments by number, narrowed as asked; `uncertain` keeps those with a touch that may or may not have gone."""
    query = select(enrolments).where(enrolments.c.id > after).order_by(enrolments.c.id).limit(limit)
    if journey:
        query = query.where(enrolments.c.journey == journey)
    if customer_id is not None:
        query = query.where(enrolments.c.customer_id == customer_id)
    if status:
        query = query.where(enrolments.c.status == status)
    if uncertain:
        doubtful = select(touches.c.enrolment_id).where(touches.c.status == "uncertain")
        query = query.where(enrolments.c.id.in_(doubtful))
    return [Enrolment(**row._mapping) for row in await db.execute(query)]


async def of_customers(db: AsyncConnection, customer_ids: Collection[int]) -> list[Enrolment]:
    """The open runs of these customers that have begun."""
    c = enrolments.c
    mine = (c.customer_id.in_(list(customer_ids)), c.status.in_(OPEN), c.turn > 0)
    return [Enrolment(**row._mapping) for row in await db.execute(select(enrolments).where(*mine).order_by(c.id))]


async def unlaunched(
    db: AsyncConnection, *, limit: int, after: int = 0, before: datetime | None = None
) -> list[Enrolment]:
    """Enrolments whose workflow has not been started, by number above `after`: a crash came between the row and the
    start. Those that begin at `before` or later are left out."""
    query = select(enrolments).where(enrolments.c.launched_at.is_(None), enrolments.c.id > after)
    if before is not None:
        query = query.where(enrolments.c.begins_at < before)
    return [Enrolment(**row._mapping) for row in await db.execute(query.order_by(enrolments.c.id).limit(limit))]


async def moving(db: AsyncConnection, since: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those of these runs, each with a turn, that have not come to rest after a later turn than that, nor ended."""
    asked, c = list(since), enrolments.c
    numbers = literal(sorted({run for run, _ in asked}), ARRAY(BigInteger))
    rows = await db.execute(
        select(c.id, c.turn, c.instruction["act"].astext.label("act")).where(c.id == any_(numbers), c.status.in_(OPEN))
    )
    rested = {row.id: row.turn if row.act == "wait" else -1 for row in rows}
    return {(run, turn) for run, turn in asked if rested.get(run, turn + 1) <= turn}


async def mark_launched(db: AsyncConnection, enrolment_ids: Sequence[int], at: datetime) -> None:
    """Note that the workflows of these enrolments have been started.

    Two who do so for the same ones wait for each other: all take them in the order of their numbers.
    """
    if enrolment_ids:
        these = select(enrolments.c.id).where(enrolments.c.id.in_(enrolment_ids))
        locked = these.order_by(enrolments.c.id).with_for_update(key_share=True)
        await db.execute(update(enrolments).where(enrolments.c.id.in_(locked)).values(launched_at=at))


async def due(db: AsyncConnection, by: datetime) -> list[int]:
    """The customers of whom a run does something by itself until `by`: it begins, or it wakes."""
    moment = case((enrolments.c.turn == 0, enrolments.c.begins_at), else_=enrolments.c.wakes_at)
    query = select(enrolments.c.customer_id).where(enrolments.c.status.in_(OPEN), moment <= by).distinct()
    return list((await db.execute(query)).scalars())
