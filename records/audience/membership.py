"""Who enters a segment and who leaves it. Membership changes set by set; each change is an event, stored with it.

An evaluation is one transaction under a lock of the segment: two of them at once follow one another, and whoever
enters is told of once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Select,
    SelectBase,
    Text,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.conditions import Condition, InSegment
from journeys.segments import Segment
from records.audience import feed, moving
from records.audience.feed import Mark
from records.audience.segments import UnknownSegment
from records.conditions import Of, compile_condition, needs_looking_up, without_looking_up
from records.moments import Moments
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


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a segment in force means, and the text of it, by which statements are kept: building one takes as long as
    asking two hundred."""

    text: str
    segment: Segment = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Look:
    """What an evaluation goes by: the meaning, how far it looks, how far the last one looked, and when everybody was
    asked."""

    meaning: _Meaning
    mark: Mark
    last: Mark | None
    whole_at: datetime | None

    @property
    def segment(self) -> Segment:
        return self.meaning.segment


async def evaluate(
    db: AsyncConnection, name: str, now: datetime, customer_ids: Sequence[int] | None = None
) -> Evaluated:
    """Let in whoever meets the condition of a segment in force at `now` and let out whoever does not: all customers, or
    these only. Raises `UnknownSegment`.

    The events `segment.entered` and `segment.left` are stored with it, for the router to take up.
    """
    look = await _begin(db, name, now)
    if customer_ids is not None:
        done = await _these(look.meaning).carry_out(db, look, {"these": list(customer_ids)}, FEW)
        return done if done is not None else await _ask_all(db, look)
    done = await _ask_all(db, look)
    await moving.keep(db, name, look.mark)
    return done


async def catch_up(db: AsyncConnection, name: str, now: datetime) -> Evaluated:
    """Bring the members up to `now` by asking those whose answer could have changed since the last time: all, when the
    segment means something else since, when they are many, and once a day. Raises `UnknownSegment`."""
    look = await _begin(db, name, now, lossy=True)
    last, whole_at, done = look.last, look.whole_at, None
    if last is not None and whole_at is not None and abs(now - whole_at) < WHOLE_EVERY and last.reaches(look.mark):
        done = await _changed(look.meaning).carry_out(db, look, feed.since_mark(last), FEW)
    if done is None:
        done = await _ask_all(db, look)
        await moving.keep(db, name, look.mark)
    return done


async def empty(db: AsyncConnection, name: str, now: datetime) -> int:
    """Let everybody out of a segment, with their events; returns how many that were. Raises `UnknownSegment`."""
    mine = select(segments.c.name).where(segments.c.name == name).with_for_update(key_share=True)
    if (await db.execute(mine)).one_or_none() is None:
        raise _unknown(name)
    return await moving.let_all_out(db, name, now)


async def _begin(db: AsyncConnection, name: str, now: datetime, *, lossy: bool = False) -> _Look:
    """Hold a segment as it is in force: it means the same, and no other evaluation begins, until this one has ended.

    What a `lossy` one did may be lost with the machine, but then all of it, and the next one finds the same. What is
    done because of it is written later, and kept only together with it.
    """
    c = segments.c
    hasty = [func.set_config("synchronous_commit", "off", True)] if lossy else []
    query = select(cast(c.definition, Text), feed.SEEN, feed.SERVER, cast(c.seen, Text), c.seen_on, c.seen_at,
                   c.evaluated_at, *hasty)  # fmt: skip
    row = (await db.execute(query.where(c.name == name).with_for_update(key_share=True))).one_or_none()
    if row is None:
        raise _unknown(name)
    meant, seen, server, last_seen, last_server, last_at, whole_at = row[:7]
    last = Mark(int(last_seen), last_server, last_at) if last_seen is not None else None
    return _Look(_read(meant), Mark(int(seen), server, now), last, whole_at)


@lru_cache(maxsize=256)
def _read(meant: str) -> _Meaning:
    return _Meaning(meant, Segment.model_validate(json.loads(meant)))


def _unknown(name: str) -> UnknownSegment:
    return UnknownSegment(f"The segment {name!r} is not in force any more.")


@dataclass(frozen=True, slots=True)
class _Asking:
    """A statement that asks some customers one by one, and lets in and out; and the moments that it asks for."""

    statement: Select[*tuple[Any, ...]]
    moments: Moments

    async def carry_out(self, db: AsyncConnection, look: _Look, given: dict[str, Any], most: int) -> Evaluated | None:
        """None, and nothing is done, when they are more than `most`."""
        name, mark, then = look.segment.segment, look.mark, (look.last or look.mark).at
        given = moving.given(name, mark.at, mark) | self.moments.values(then, mark.at) | given | {"most": most}
        too_many, asked, entered, left = (await db.execute(self.statement, given)).one()
        return None if too_many else Evaluated(name, entered, left, asked)


@lru_cache(maxsize=256)
def _these(meaning: _Meaning) -> _Asking:
    """Asks these."""
    who = select(func.unnest(bindparam("these", type_=ARRAY(BigInteger))).label("customer_id"), *feed.EITHER_WAY)
    return _asking(meaning.segment, who, Moments(), noted=False)


@lru_cache(maxsize=256)
def _changed(meaning: _Meaning) -> _Asking:
    """Asks those whose answer could have changed since a mark, and notes how far it has looked."""
    moments = Moments()
    return _asking(meaning.segment, feed.changed(meaning.segment.where, moments), moments, noted=True)


def _asking(segment: Segment, who: SelectBase, moments: Moments, *, noted: bool) -> _Asking:
    most = bindparam("most", type_=BigInteger())
    some = who.subquery().c
    first = select(some.customer_id, some.comes, some.goes).limit(most + 1).subquery().c
    ways = (
        func.count().label("times"),
        func.bool_or(first.comes).label("comes"),
        func.bool_or(first.goes).label("goes"),
    )
    # In their order: neighbours stand on the same pages.
    counted = select(first.customer_id, *ways).group_by(first.customer_id).order_by(first.customer_id)
    each = counted.cte("each")
    times = select(func.coalesce(func.sum(each.c.times), 0)).scalar_subquery()
    member = compile_condition(InSegment(segment=[segment.segment]), moments, of=Of.FEW)
    meets = compile_condition(segment.where, moments, of=Of.FEW)
    # Whether somebody is a member is asked of few: of those who meet it, and of those who may have changed that way.
    differs = case((and_(~each.c.comes, ~member), false()), (meets, ~member), else_=and_(each.c.goes, member))
    wrong = (
        select(customers.c.id, member.label("member"))
        .join_from(each, customers, customers.c.id == each.c.customer_id)
        .where(times <= most, differs)
        .with_for_update(read=True, key_share=True, of=customers)  # nobody erases them meanwhile
        .cte("wrong")
    )
    people = select(func.count()).select_from(each).scalar_subquery()
    entered = moving.entering(select(wrong.c.id).where(~wrong.c.member))
    left = moving.leaving(select(wrong.c.id).where(wrong.c.member))
    statement = select(times > most, people, entered, left)
    return _Asking(statement.add_cte(moving.NOTED.cte("noted")) if noted else statement, moments)


async def _ask_all(db: AsyncConnection, look: _Look) -> Evaluated:
    """Ask all customers at once; or one by one when few are left to ask."""
    await db.execute(text(f"SET LOCAL work_mem = '{MEMORY}'"))
    segment, now, moments = look.segment, look.mark.at, Moments()
    few = _few(segment, moments)
    asking = _asking(segment, few, moments, noted=False) if few is not None else None
    done = await asking.carry_out(db, look, {}, RARE) if asking is not None else None
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


def _few(segment: Segment, moments: Moments) -> SelectBase | None:
    """Who is a member, and who may meet it by what the rows of customers say; None where they say nothing, or all."""
    sure = without_looking_up(segment.where)
    if sure is None or not needs_looking_up(segment.where):
        return None
    members = select(segment_members.c.customer_id, *feed.EITHER_WAY)
    maybe = select(customers.c.id, *feed.EITHER_WAY).where(compile_condition(sure, moments, exact=False))
    return union_all(members.where(segment_members.c.segment == segment.segment), maybe)


class Differences:
    """Where some segments and their members differ: a question about one customer, built once and asked often."""

    def __init__(self, wanted: Sequence[Segment]) -> None:
        self._moments = Moments()
        columns = []
        for one in wanted:
            member = compile_condition(InSegment(segment=[one.segment]), self._moments)
            columns.append((member != compile_condition(one.where, self._moments)).label(one.segment))
        self._query = select(*columns).where(customers.c.id == bindparam("customer", type_=BigInteger()))
        self.segments = wanted

    async def of(self, db: AsyncConnection, customer_id: int, now: datetime) -> list[str]:
        """The segments in which a customer is and should not be at `now`, or should be and is not."""
        if not self.segments:
            return []
        given = self._moments.values(now, now) | {"customer": customer_id}
        row = (await db.execute(self._query, given)).one_or_none()
        return [name for name, differs in row._mapping.items() if differs] if row is not None else []
