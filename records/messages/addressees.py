"""Whom a broadcast means, page by page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    Text,
    cast,
    exists,
    func,
    literal,
    not_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, BIT
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.broadcast import Broadcast
from journeys.conditions import Condition
from records.conditions import Of, compile_condition
from records.messages.ledger import Recipient, as_recipient, recipients
from records.tables import customers, holds, segment_members, touches


@dataclass(frozen=True, slots=True)
class Addressee:
    """One of those whom a broadcast means; `held` when the customer itself is paused."""

    id: int
    recipient: Recipient
    held: bool


def meant(of: Broadcast, since: datetime, asked: Of = Of.FEW) -> ColumnElement[bool]:
    """Whom a broadcast means, over a row of `customers`: who meets its condition, or belongs to its segment and did
    when it began (`since`). `asked` says of how many; a page is few, however many there are in all."""
    if of.where is not None:
        return compile_condition(of.where, since, of=asked, exact=False)
    mine = segment_members.c.segment == of.segment, segment_members.c.since <= since
    return customers.c.id.in_(select(segment_members.c.customer_id).where(*mine))


def _drawn(of: Broadcast) -> ColumnElement[bool]:
    """Whether a customer is of the trial: the same lot as `Broadcast.in_trial` draws, in SQL."""
    assert of.ab is not None
    digest = func.sha256(func.convert_to(func.concat(of.lot, "/", customers.c.id), "UTF8"))
    digits = func.concat("x", func.left(func.encode(digest, "hex"), 14))
    # 56 bits, where `fraction` takes the first 53.
    return cast(cast(digits, BIT(56)), BigInteger) < math.ceil(of.ab.share * (1 << 53)) << 3


Part = Literal["all", "trial", "rest"]


def _page(
    of: Broadcast,
    *,
    since: datetime,
    part: Part = "all",
    zones: Sequence[tuple[str, str]] | None = None,
    besides: int | None = None,
    shard: tuple[int, int] = (0, 1),
    asked: Of = Of.FEW,
) -> list[ColumnElement[bool]]:
    """What holds for those of one leg: of this part, living in these zones, without a touch of broadcast `besides`."""
    tests = [meant(of, since, asked)]
    if part == "trial":
        tests.append(_drawn(of))
    if zones is not None:
        lives = func.concat(customers.c.time_zone, "/", customers.c.country)
        tests.append(lives.in_([f"{zone}/{country}" for zone, country in zones]))
    if besides is not None:
        mine = touches.c.broadcast_id == besides, touches.c.customer_id == customers.c.id
        tests.append(not_(exists().where(*mine)))
    if shard[1] > 1:
        tests.append(customers.c.id % shard[1] == shard[0])
    return tests


_HELD = exists().where(holds.c.kind == "customer", holds.c.name == cast(customers.c.id, Text))


async def page(db: AsyncConnection, of: Broadcast, *, after: int, limit: int, **leg: Any) -> list[Addressee]:
    """The next of those whom a leg means, by their numbers, those after the number `after`; see `_page`."""
    query: Select[Any] = recipients(of.channel).add_columns(_HELD.label("held_"))
    query = query.where(customers.c.id > after, *_page(of, **leg)).order_by(customers.c.id).limit(limit)
    return _addressees(await db.execute(query))


async def everybody(db: AsyncConnection, where: Condition, now: datetime) -> list[int]:
    """The numbers of all who meet a condition, in their order; asked once, for all."""
    met = compile_condition(where, now, of=Of.ALL, exact=False)
    return list((await db.execute(select(customers.c.id).where(met).order_by(customers.c.id))).scalars())


async def named(db: AsyncConnection, channel: str, ids: Sequence[int]) -> list[Addressee]:
    """These customers, by their numbers."""
    query: Select[Any] = recipients(channel).add_columns(_HELD.label("held_"))
    these = customers.c.id == func.any(literal(list(ids), ARRAY(BigInteger)))
    return _addressees(await db.execute(query.where(these).order_by(customers.c.id)))


def _addressees(rows: Iterable[Row[Any]]) -> list[Addressee]:
    found = []
    for row in rows:
        columns = dict(row._mapping)
        held_ = columns.pop("held_")
        found.append(Addressee(columns["id"], as_recipient(columns), held_))
    return found


async def count(db: AsyncConnection, of: Broadcast, **leg: Any) -> int:
    """How many a leg means; see `_page`."""
    tests = _page(of, **leg, asked=Of.ALL)
    return int((await db.execute(select(func.count()).select_from(customers).where(*tests))).scalar_one())


async def zones(db: AsyncConnection, of: Broadcast, since: datetime) -> list[tuple[str, str]]:
    """Every pair of time zone and country (empty where unknown) that somebody has whom a broadcast means."""
    zone, country = func.coalesce(customers.c.time_zone, ""), func.coalesce(customers.c.country, "")
    rows = await db.execute(select(zone, country).where(meant(of, since, Of.ALL)).distinct().order_by(zone, country))
    return [(row[0], row[1]) for row in rows]
