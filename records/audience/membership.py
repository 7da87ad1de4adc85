"""Who enters a segment and who leaves it. Membership changes set by set; each change is an event, stored with it.

An evaluation is one transaction under a lock of the segment: two of them at once follow one another, and whoever
enters is told of once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Select,
    SelectBase,
    Text,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.conditions import Condition, InSegment
from journeys.segments import Segment
from records.audience import feed, moving
from records.audience.feed import Mark
from records.audience.segments import UnknownSegment
from records.conditions import Of, compile_condition, needs_looking_up, without_looking_up
from records.tables import customers, segment_members, segments

FEW = 20_000
"""So many customers whose answer could have changed are asked one by one; when they are more, everybody is asked."""
RARE = 5_000
"""So many of everybody are asked one by one, when the rest cannot meet a condition by what their rows say."""
WHOLE_EVERY = timedelta(days=1)
"""How often all customers are asked, in case somebody wrote to the records past the triggers that note it."""
MEMORY = "64MB"
"""For each part of a plan that goes through everybody: customers by the hundred thousand are held in it."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """How many an evaluation let in and out, and how many customers it asked: None for all of them."""

    segment: str
    entered: int
    left: int
    asked: int | None = field(default=None, compare=False)


async def hold(db: AsyncConnection, name: str) -> Segment:
    """What a segment in force means, which stays so until the transaction ends. Raises `UnknownSegment`."""
    mine = select(segments.c.definition).where(segments.c.name == name).with_for_update(key_share=True)
    found = (await db.execute(mine)).scalar_one_or_none()
    if found is None:
        raise UnknownSegment(f"The segment {name!r} is not in force any more.")
    return Segment.model_validate(found)


async def evaluate(
    db: AsyncConnection, segment: Segment, now: datetime, customer_ids: Sequence[int] | None = None
) -> Evaluated:
    """Let in whoever meets the condition at `now` and let out whoever does not: all customers, or these only.

    The events `segment.entered` and `segment.left` are stored with it, for the router to take up.
    """
    mark, _, _ = await _marks(db, segment.segment, now)
    if customer_ids is not None:
        these = select(func.unnest(literal(list(customer_ids), ARRAY(BigInteger))).label("customer_id"))
        asked = await _ask(db, segment, these, now, FEW)
        return asked if asked is not None else await _ask_all(db, segment, now)
    done = await _ask_all(db, segment, now)
    await moving.keep(db, segment.segment, mark)
    return done


async def catch_up(db: AsyncConnection, segment: Segment, now: datetime) -> Evaluated:
    """Bring the members up to `now` by asking those whose answer could have changed since the last time: all, when the
    segment means something else since, when they are many, and once a day."""
    mark, last, whole_at = await _marks(db, segment.segment, now, lossy=True)
    done = None
    if last is not None and whole_at is not None and abs(now - whole_at) < WHOLE_EVERY and last.reaches(mark):
        done = await _ask(db, segment, feed.changed(segment.where, last, now), now, FEW, mark)
    if done is None:
        done = await _ask_all(db, segment, now)
        await moving.keep(db, segment.segment, mark)
    return done


async def empty(db: AsyncConnection, segment: str, now: datetime) -> int:
    """Let everybody out of a segment, with their events; returns how many that were."""
    await _marks(db, segment, now)
    return await moving.let_all_out(db, segment, now)


async def _marks(
    db: AsyncConnection, segment: str, now: datetime, *, lossy: bool = False
) -> tuple[Mark, Mark | None, datetime | None]:
    """How far this evaluation looks, how far the last one looked, and when all customers were asked. No other one
    begins before this one has ended.

    What a `lossy` one did may be lost with the machine, but then all of it, and the next one finds the same. What is
    done because of it is written later, and kept only together with it.
    """
    c = segments.c
    hasty = [func.set_config("synchronous_commit", "off", True)] if lossy else []
    query = select(feed.SEEN, feed.SERVER, cast(c.seen, Text), c.seen_on, c.seen_at, c.evaluated_at, *hasty)
    row = (await db.execute(query.where(c.name == segment).with_for_update(key_share=True))).one_or_none()
    if row is None:
        raise UnknownSegment(f"The segment {segment!r} is not in force any more.")
    seen, server, last_seen, last_server, last_at, whole_at = row[:6]
    last = Mark(int(last_seen), last_server, last_at) if last_seen is not None else None
    return Mark(int(seen), server, now), last, whole_at


async def _ask(
    db: AsyncConnection, segment: Segment, who: SelectBase, now: datetime, most: int, mark: Mark | None = None
) -> Evaluated | None:
    """Ask these customers one by one, and let in and out; None, and nothing is done, when they are too many for that.
    The `mark` is noted with it."""
    some = who.subquery()
    first = select(some.c.customer_id).limit(most + 1).subquery()
    # In their order: neighbours stand on the same pages.
    counted = select(first.c.customer_id, func.count().label("times")).group_by(first.c.customer_id)
    each = counted.order_by(first.c.customer_id).cte("each")
    times = select(func.coalesce(func.sum(each.c.times), 0)).scalar_subquery()
    member = compile_condition(InSegment(segment=[segment.segment]), now, of=Of.FEW)
    meets = compile_condition(segment.where, now, of=Of.FEW)
    wrong = (
        select(customers.c.id, member.label("member"))
        .join_from(each, customers, customers.c.id == each.c.customer_id)
        .where(times <= most, member != meets)
        .with_for_update(read=True, key_share=True, of=customers)  # nobody erases them meanwhile
        .cte("wrong")
    )
    people = select(func.count()).select_from(each).scalar_subquery()
    ids = func.array_agg(aggregate_order_by(wrong.c.id, wrong.c.id))
    found = select(times > most, people, ids.filter(~wrong.c.member), ids.filter(wrong.c.member)).select_from(wrong)
    too_many, asked, coming, going = (await db.execute(found)).one()
    if too_many:
        return None
    entered, left = await moving.let(db, segment.segment, now, coming=coming or [], going=going or [], mark=mark)
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
    return Evaluated(segment.segment, *await moving.let_found(db, segment.segment, now, moves))


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
