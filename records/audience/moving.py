"""Letting customers into a segment and out of it. Each change of membership is an event, stored by the same statement.

The statements are built once: building one takes as long as letting in a hundred.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_unless_there
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.definition import ENTERED, LEFT
from records.audience.feed import Mark
from records.audience.planning import create_as
from records.tables import Transaction, customers, events, segment_members, segments

_NAME, _MOMENT = bindparam("name_", type_=Text()), bindparam("moment", type_=segment_members.c.since.type)
_found = Table("segment_moves", MetaData(), Column("customer_id", BigInteger), Column("enters", Boolean))


async def let(
    db: AsyncConnection, segment: str, now: datetime, *, coming: Sequence[int], going: Sequence[int], mark: Mark | None
) -> tuple[int, int]:
    """Let these in and these out; returns how many did. With a `mark` it is noted how far the evaluation has looked.
    All of them must be there until the transaction ends."""
    given = {"name_": segment, "moment": now, "coming": list(coming), "going": list(going)}
    if mark is not None:
        entered, left = (await db.execute(_GIVEN_AND_NOTED, given | _values(mark))).one()
    elif coming or going:
        entered, left = (await db.execute(_GIVEN, given)).one()
    else:
        entered = left = 0
    return entered, left


async def let_found(db: AsyncConnection, segment: str, now: datetime, moves: Select[Any, bool]) -> tuple[int, int]:
    """Let in and out whom a query finds: customers, and whether they come in. It goes through everybody."""
    await db.execute(create_as(_found, moves))
    entered, left = (await db.execute(_FOUND, {"name_": segment, "moment": now})).one()
    await db.execute(text("DROP TABLE segment_moves"))
    return entered, left


async def let_all_out(db: AsyncConnection, segment: str, now: datetime) -> int:
    """Let everybody out; returns how many that were."""
    return int((await db.execute(_ALL, {"name_": segment, "moment": now})).scalar_one())


async def keep(db: AsyncConnection, segment: str, mark: Mark) -> None:
    """Note that an evaluation has asked everybody, and as of when."""
    await db.execute(_NOTED.values(evaluated_at=_MOMENT), {"name_": segment, "moment": mark.at} | _values(mark))


def _entering(who: Select[int]) -> ScalarSelect[int]:
    """A part of a statement that lets customers in, with their events; its value is how many."""
    coming = who.subquery()
    rows = select(_NAME, coming.c.id, _MOMENT).order_by(coming.c.id)
    fresh = insert_unless_there(segment_members).from_select(["segment", "customer_id", "since"], rows)
    came = fresh.on_conflict_do_nothing().returning(segment_members.c.customer_id, segment_members.c.since)
    return _told(ENTERED, came.cte("came"))


def _leaving(who: Select[int]) -> ScalarSelect[int]:
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


def _given(name: str) -> Select[int]:
    return select(func.unnest(bindparam(name, type_=ARRAY(BigInteger))).label("id"))


def _values(mark: Mark) -> dict[str, Any]:
    return {"looked": str(mark.seen), "server": mark.server}


_NOTED = (
    update(segments)
    .where(segments.c.name == _NAME)
    .values(seen=cast(bindparam("looked", type_=Text()), Transaction()), seen_on=bindparam("server"), seen_at=_MOMENT)
)
_GIVEN = select(_entering(_given("coming")), _leaving(_given("going")))
_GIVEN_AND_NOTED = _GIVEN.add_cte(_NOTED.cte("noted"))
_FOUND = select(
    _entering(select(customers.c.id).join(_found, _found.c.customer_id == customers.c.id).where(_found.c.enters)),
    _leaving(select(_found.c.customer_id).where(~_found.c.enters)),
)
_ALL = select(_leaving(select(customers.c.id)))
