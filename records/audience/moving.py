"""Letting customers into a segment and out of it. Each change of membership is an event, stored by the same statement.

The statements are built once: building one takes as long as letting in a hundred.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    Boolean,
    Column,
    MetaData,
    ScalarSelect,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_unless_there
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.definition import ENTERED, LEFT
from records.audience.feed import Mark
from records.audience.planning import create_as
from records.tables import Transaction, customers, events, segment_members, segments

_NAME, _MOMENT = bindparam("name_", type_=Text()), bindparam("moment", type_=segment_members.c.since.type)
_found = Table("segment_moves", MetaData(), Column("customer_id", BigInteger), Column("enters", Boolean))


async def let_found(db: AsyncConnection, segment: str, now: datetime, moves: Select[Any, bool]) -> tuple[int, int]:
    """Let in and out whom a query finds: customers, and whether they come in. It goes through everybody."""
    await db.execute(create_as(_found, moves))
    entered, left = (await db.execute(_FOUND, given(segment, now))).one()
    await db.execute(text("DROP TABLE segment_moves"))
    return entered, left


async def let_all_out(db: AsyncConnection, segment: str, now: datetime) -> int:
    """Let everybody out; returns how many that were."""
    return int((await db.execute(_ALL, given(segment, now))).scalar_one())


async def keep(db: AsyncConnection, segment: str, mark: Mark) -> None:
    """Note that an evaluation has asked everybody, and as of when."""
    await db.execute(NOTED.values(evaluated_at=_MOMENT), given(segment, mark.at, mark))


def entering(who: Select[int]) -> ScalarSelect[int]:
    """A part of a statement that lets customers in, with their events; its value is how many."""
    coming = who.subquery()
    rows = select(_NAME, coming.c.id, _MOMENT).order_by(coming.c.id)
    fresh = insert_unless_there(segment_members).from_select(["segment", "customer_id", "since"], rows)
    came = fresh.on_conflict_do_nothing().returning(segment_members.c.customer_id, segment_members.c.since)
    return _told(ENTERED, came.cte("came"))


def leaving(who: Select[int]) -> ScalarSelect[int]:
    """A part of a statement that lets customers out, with their events; its value is how many."""
    mine = delete(segment_members).where(segment_members.c.segment == _NAME, segment_members.c.customer_id.in_(who))
    went = mine.returning(segment_members.c.customer_id, segment_members.c.since)
    return _told(LEFT, went.cte("went"))


def _told(event: str, who: CTE) -> ScalarSelect[int]:
    """With one event for each, under a key of the membership's own."""
    word = event.removeprefix("segment.")
    since = func.to_char(func.timezone("UTC", who.c.since), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    key = func.concat_ws("/", "segment", _NAME, who.c.customer_id, word, since)
    of = func.jsonb_build_object(literal("segment"), _NAME)
    told = select(who.c.customer_id, literal(event), _MOMENT, _MOMENT, key, of)
    columns = ["customer_id", "name", "occurred_at", "received_at", "key", "properties"]
    statement = insert_unless_there(events).from_select(columns, told).on_conflict_do_nothing(index_elements=["key"])
    return select(func.count()).select_from(who).add_cte(statement.cte(f"{word}_told")).scalar_subquery()


def given(segment: str, now: datetime, mark: Mark | None = None) -> dict[str, Any]:
    """The parameters of the parts: which segment, as of when, and how far was looked where that is noted."""
    looked = {"looked": str(mark.seen), "server": mark.server} if mark is not None else {}
    return {"name_": segment, "moment": now} | looked


NOTED = (
    update(segments)
    .where(segments.c.name == _NAME)
    .values(seen=cast(bindparam("looked", type_=Text()), Transaction()), seen_on=bindparam("server"), seen_at=_MOMENT)
)
"""A part of a statement that notes how far an evaluation has looked."""
_FOUND = select(
    entering(select(customers.c.id).join(_found, _found.c.customer_id == customers.c.id).where(_found.c.enters)),
    leaving(select(_found.c.customer_id).where(~_found.c.enters)),
)
_ALL = select(leaving(select(customers.c.id)))
