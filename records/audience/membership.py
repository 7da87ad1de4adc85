"""Who enters a segment and who leaves it. Membership changes set by set; each change is an event, stored with it.

An evaluation is one transaction under a lock of the segment: two of them at once follow one another, and whoever
enters is told of once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    MetaData,
    Select,
    SelectBase,
    Table,
    Text,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_unless_there
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.conditions import Condition, InSegment
from journeys.definition import ENTERED, LEFT
from journeys.segments import Segment
from records.audience import feed
from records.audience.feed import Mark
from records.audience.planning import create_as
from records.audience.segments import UnknownSegment
from records.conditions import Of, compile_condition, needs_looking_up, without_looking_up
from records.tables import Transaction, customers, events, segment_members, segments

FEW = 20_000
"""So many customers whose answer could have changed are asked one by one; when they are more, everybody is asked."""
RARE = 5_000
"""So many of everybody are asked one by one, when the rest cannot meet a condition by what their rows say."""
WHOLE_EVERY = timedelta(days=1)
"""How often all customers are asked, in case somebody wrote to the records past the triggers that note it."""
MEMORY = "64MB"
"""For each part of a plan that goes through everybody: customers by the hundred thousand are held in it."""

_moves = Table("segment_moves", MetaData(), Column("customer_id", BigInteger), Column("enters", Boolean))


@dataclass(frozen=True, slots=True)
class Evaluated:
    """How many an evaluation let in and out, and how many customers it asked: None for all of them."""

    segment: str
    entered: int
    left: int
    asked: int | None = field(default=None, compare=False)


async def evaluate(
    db: AsyncConnection, segment: Segment, now: datetime, customer_ids: Sequence[int] | None = None
) -> Evaluated:
    """Let in whoever meets the condition at `now` and let out whoever does not: all customers, or these only.

    The events `segment.entered` and `segment.left` are stored with it, for the router to take up.
    """
    await _lock(db, segment.segment)
    if customer_ids is not None:
        these = select(func.unnest(_array(customer_ids)).label("customer_id"))
        asked = await _ask(db, segment, these, now, FEW)
        return asked if asked is not None else await _ask_all(db, segment, now)
    mark, _, _ = await _marks(db, segment.segment, now)
    done = await _ask_all(db, segment, now)
    await _keep(db, segment.segment, mark, whole=True)
    return done


async def catch_up(db: AsyncConnection, segment: Segment, now: datetime) -> Evaluated:
    """Bring the members up to `now` by asking those whose answer could have changed since the last time: all, when the
    segment means something else since, when they are many, and once a day."""
    # Should the machine lose this it loses all of it, and the next evaluation finds the same. What is done because of
    # it is written later, and kept only together with it.
    await db.execute(select(func.set_config("synchronous_commit", "off", True)))
    await _lock(db, segment.segment)
    mark, last, whole_at = await _marks(db, segment.segment, now)
    done = None
    if last is not None and whole_at is not None and abs(now - whole_at) < WHOLE_EVERY and last.reaches(mark):
        done = await _ask(db, segment, feed.changed(segment.where, last, now), now, FEW)
    whole = done is None
    if done is None:
        done = await _ask_all(db, segment, now)
    await _keep(db, segment.segment, mark, whole=whole)
    return done


async def empty(db: AsyncConnection, segment: str, now: datetime) -> int:
    """Let everybody out of a segment, with their events; returns how many that were."""
    await _lock(db, segment)
    return await _leave(db, segment, select(customers.c.id), now)


async def _lock(db: AsyncConnection, segment: str) -> None:
    await db.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"segment/{segment}"})


async def _marks(db: AsyncConnection, segment: str, now: datetime) -> tuple[Mark, Mark | None, datetime | None]:
    """How far this evaluation looks, how far the last one looked, and when all customers were asked."""
    c = segments.c
    query = select(feed.SEEN, feed.SERVER, cast(c.seen, Text), c.seen_on, c.seen_at, c.evaluated_at)
    row = (await db.execute(query.where(c.name == segment))).one_or_none()
    if row is None:
        raise UnknownSegment(f"The segment {segment!r} is not in force any more.")
    seen, server, last_seen, last_server, last_at, whole_at = row
    last = Mark(int(last_seen), last_server, last_at) if last_seen is not None else None
    return Mark(int(seen), server, now), last, whole_at


async def _keep(db: AsyncConnection, segment: str, mark: Mark, *, whole: bool) -> None:
    """Note how far this evaluation has looked."""
    seen = {"seen": cast(str(mark.seen), Transaction()), "seen_on": mark.server, "seen_at": mark.at}
    asked = {"evaluated_at": mark.at} if whole else {}
    await db.execute(update(segments).where(segments.c.name == segment).values(**seen, **asked))


async def _ask(db: AsyncConnection, segment: Segment, who: SelectBase, now: datetime, most: int) -> Evaluated | None:
    """Ask these customers one by one; None when they are too many for that."""
    some = select(who.subquery().c.customer_id).limit(most + 1).cte("some")
    count = select(func.count()).select_from(some).scalar_subquery()
    each = select(some.c.customer_id).distinct().subquery()
    member = compile_condition(InSegment(segment=[segment.segment]), now, of=Of.FEW)
    meets = compile_condition(segment.where, now, of=Of.FEW)
    moving = (
        select(customers.c.id, member.label("member"))
        .join_from(each, customers, customers.c.id == each.c.customer_id)
        .where(count <= most, member != meets)
        .subquery()
    )
    ids = func.array_agg(moving.c.id)
    people = select(func.count(some.c.customer_id.distinct())).scalar_subquery()
    found = select(count > most, people, ids.filter(~moving.c.member), ids.filter(moving.c.member)).select_from(moving)
    too_many, asked, coming, going = (await db.execute(found)).one()
    if too_many:
        return None
    entered = await _enter(db, segment.segment, select(func.unnest(_array(coming))), now) if coming else 0
    left = await _leave(db, segment.segment, select(func.unnest(_array(going))), now) if going else 0
    return Evaluated(segment.segment, entered, left, asked)


async def _ask_all(db: AsyncConnection, segment: Segment, now: datetime) -> Evaluated:
    """Ask all customers at once; or one by one when few are left to ask."""
    await db.execute(text(f"SET LOCAL work_mem = '{MEMORY}'"))
    few = _few(segment, now)
    done = await _ask(db, segment, few, now, RARE) if few is not None else None
    if done is not None:
        return replace(done, asked=None)
    meets = question(segment.where, now).subquery("meets")
    mine = select(segment_members.c.customer_id).where(segment_members.c.segment == segment.segment)
    members = mine.subquery("members")
    moves = (
        select(func.coalesce(meets.c.id, members.c.customer_id), meets.c.id.is_not(None))
        .select_from(meets.join(members, meets.c.id == members.c.customer_id, full=True))
        .where(or_(meets.c.id.is_(None), members.c.customer_id.is_(None)))
    )
    await db.execute(create_as(_moves, moves))
    entered = await _enter(db, segment.segment, select(_moves.c.customer_id).where(_moves.c.enters), now)
    left = await _leave(db, segment.segment, select(_moves.c.customer_id).where(~_moves.c.enters), now)
    await db.execute(text("DROP TABLE segment_moves"))
    return Evaluated(segment.segment, entered, left)


def question(where: Condition, now: datetime) -> Select[tuple[int]]:
    """The ids of all who meet a condition."""
    return select(customers.c.id).where(compile_condition(where, now, of=Of.ALL, exact=False))


def _few(segment: Segment, now: datetime) -> SelectBase | None:
    """Who is a member, and who may meet it by what the rows of customers say; None where they say nothing, or all."""
    sure = without_looking_up(segment.where)
    if sure is None or not needs_looking_up(segment.where):
        return None
    members = select(segment_members.c.customer_id).where(segment_members.c.segment == segment.segment)
    return union_all(members, select(customers.c.id).where(compile_condition(sure, now, exact=False)))


def _array(ids: Sequence[int]) -> ColumnElement[list[int]]:
    return literal(list(ids), ARRAY(BigInteger))


async def _enter(db: AsyncConnection, segment: str, who: Select[Any], now: datetime) -> int:
    since = literal(now, segment_members.c.since.type)
    coming = select(literal(segment, Text), customers.c.id, since).where(customers.c.id.in_(who))
    columns = ["segment", "customer_id", "since"]
    came = (
        insert_unless_there(segment_members).from_select(columns, coming).on_conflict_do_nothing()
        .returning(segment_members.c.customer_id, segment_members.c.since).cte("came")
    )  # fmt: skip
    return await _tell(db, segment, ENTERED, came, now)


async def _leave(db: AsyncConnection, segment: str, who: Select[Any], now: datetime) -> int:
    went = (
        delete(segment_members)
        .where(segment_members.c.segment == segment, segment_members.c.customer_id.in_(who))
        .returning(segment_members.c.customer_id, segment_members.c.since)
        .cte("went")
    )
    return await _tell(db, segment, LEFT, went, now)


async def _tell(db: AsyncConnection, segment: str, event: str, who: Any, now: datetime) -> int:
    """Store one event for each, under a key of the membership's own; returns how many memberships changed."""
    word = event.removeprefix("segment.")
    since = func.to_char(func.timezone("UTC", who.c.since), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    key = func.concat_ws("/", literal("segment"), literal(segment), who.c.customer_id, literal(word), since)
    told = select(
        who.c.customer_id, literal(event), literal(now, events.c.occurred_at.type),
        literal(now, events.c.received_at.type), key, func.jsonb_build_object(literal("segment"), literal(segment)),
    )  # fmt: skip
    columns = ["customer_id", "name", "occurred_at", "received_at", "key", "properties"]
    statement = insert_unless_there(events).from_select(columns, told).on_conflict_do_nothing(index_elements=["key"])
    stored = statement.cte("stored")
    changed = select(func.count()).select_from(who).add_cte(stored)
    return int((await db.execute(changed)).scalar_one())


async def differing(db: AsyncConnection, wanted: Sequence[Segment], customer_id: int, now: datetime) -> list[str]:
    """The segments in which a customer is and should not be, or should be and is not, by one query."""
    if not wanted:
        return []
    columns = []
    for one in wanted:
        member = compile_condition(InSegment(segment=[one.segment]), now)
        columns.append((member != compile_condition(one.where, now)).label(one.segment))
    row = (await db.execute(select(*columns).where(customers.c.id == customer_id))).one_or_none()
    return [name for name, differs in row._mapping.items() if differs] if row is not None else []
