"""Who enters a segment and who leaves it. Membership changes set by set; each change is an event, stored with it.

An evaluation is one transaction under a lock of the segment: two of them at once follow one another, and whoever
enters is told of once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    MetaData,
    Select,
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
from records import feed
from records.conditions import Of, compile_condition, needs_looking_up, without_looking_up
from records.feed import Mark
from records.planning import create_as
from records.tables import Transaction, customers, events, segment_members, segments

FEW = 20_000
"""So many customers are asked one by one; more are asked together."""
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
        return await _ask(db, segment, customer_ids, now)
    mark = await feed.look(db, now)
    done = await _ask_all(db, segment, now)
    await _keep(db, segment.segment, mark, whole=True)
    return done


async def catch_up(db: AsyncConnection, segment: Segment, now: datetime) -> Evaluated:
    """Bring the members up to `now` by asking those whose answer could have changed since the last time: all, when the
    segment means something else since, when they are many, and once a day."""
    # Should the machine lose this it loses all of it, and the next evaluation finds the same. What is done because of
    # it is written later, and kept only together with it.
    await db.execute(text("SET LOCAL synchronous_commit = off"))
    await _lock(db, segment.segment)
    query = select(
        segments.c.evaluated_at, cast(segments.c.seen, Text).label("seen"), segments.c.seen_at, segments.c.seen_on
    )
    last = (await db.execute(query.where(segments.c.name == segment.segment))).one_or_none()
    if last is None:
        return Evaluated(segment.segment, 0, 0, 0)
    mark = await feed.look(db, now)
    ids = None
    if last.seen is not None and last.evaluated_at is not None and abs(now - last.evaluated_at) < WHOLE_EVERY:
        before = Mark(int(last.seen), last.seen_on, last.seen_at)
        if before.reaches(mark):
            ids = await feed.changed(db, segment.where, before, now, limit=FEW)
    done = await (_ask_all(db, segment, now) if ids is None else _ask(db, segment, ids, now))
    await _keep(db, segment.segment, mark, whole=ids is None)
    return done


async def empty(db: AsyncConnection, segment: str, now: datetime) -> int:
    """Let everybody out of a segment, with their events; returns how many that were."""
    await _lock(db, segment)
    return await _leave(db, segment, select(customers.c.id), now)


async def _lock(db: AsyncConnection, segment: str) -> None:
    await db.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"segment/{segment}"})


async def _keep(db: AsyncConnection, segment: str, mark: Mark, *, whole: bool) -> None:
    """Note how far this evaluation has looked."""
    seen = {"seen": cast(str(mark.seen), Transaction()), "seen_on": mark.server, "seen_at": mark.at}
    asked = {"evaluated_at": mark.at} if whole else {}
    await db.execute(update(segments).where(segments.c.name == segment).values(**seen, **asked))


async def _ask(db: AsyncConnection, segment: Segment, customer_ids: Sequence[int], now: datetime) -> Evaluated:
    """Ask these customers, one by one."""
    moving = _misplaced(segment, now).where(customers.c.id == func.any(_array(customer_ids)))
    coming: list[int] = []
    going: list[int] = []
    for row in await db.execute(moving) if customer_ids else ():
        (going if row.member else coming).append(row.id)
    entered = await _enter(db, segment.segment, select(func.unnest(_array(coming))), now) if coming else 0
    left = await _leave(db, segment.segment, select(func.unnest(_array(going))), now) if going else 0
    return Evaluated(segment.segment, entered, left, len(customer_ids))


def _misplaced(segment: Segment, now: datetime) -> Select[tuple[int, bool]]:
    """Who is a member and should not be, or should be and is not."""
    member = compile_condition(InSegment(segment=[segment.segment]), now, of=Of.FEW)
    meets = compile_condition(segment.where, now, of=Of.FEW)
    return select(customers.c.id, member.label("member")).where(member != meets)


async def _ask_all(db: AsyncConnection, segment: Segment, now: datetime) -> Evaluated:
    """Ask all customers at once; or one by one when few are left to ask."""
    await db.execute(text(f"SET LOCAL work_mem = '{MEMORY}'"))
    few = await _few(db, segment, now)
    if few is not None:
        done = await _ask(db, segment, few, now)
        return Evaluated(done.segment, done.entered, done.left)
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


async def _few(db: AsyncConnection, segment: Segment, now: datetime) -> list[int] | None:
    """Those whom it concerns when they are few: who may meet it by what their rows say, and who is a member."""
    sure = without_looking_up(segment.where)
    if sure is None or not needs_looking_up(segment.where):
        return None
    members = select(segment_members.c.customer_id).where(segment_members.c.segment == segment.segment)
    may = select(customers.c.id).where(compile_condition(sure, now, exact=False))
    most = union_all(members, may).limit(FEW + 1).subquery()
    found = (await db.execute(select(func.array_agg(most.c.customer_id)))).scalar_one() or []
    return list({*found}) if len(found) <= FEW else None


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
