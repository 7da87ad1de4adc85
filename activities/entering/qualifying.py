"""Who qualifies for a journey already when it is published."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.conditions import AllOf, Condition, InSegment
from journeys.definition import Entry, SegmentEntry, Trigger
from journeys.program import Program
from records.runs import occasions
from records.runs.occasions import Qualifying


async def count(db: AsyncConnection, program: Program, now: datetime, since: datetime) -> int:
    """How many customers qualify for a journey already: members of a segment by which it is entered, and those who had
    an event by which it is entered after `since`. Days, schedules and the API bring nobody in afterwards."""
    who = qualifying(program, since)
    if who is None:
        return 0
    journey = program.journey
    return await occasions.count_qualifying(db, journey.journey, journey.re_enter, who, now)


def qualifying(program: Program, since: datetime) -> Qualifying | None:
    """Whom a backfill of a journey takes in; None when none of its ways in lets anybody qualify beforehand."""
    where: list[Condition] = []
    triggers: list[Trigger] = []
    for way in program.journey.enter:
        if isinstance(way, SegmentEntry):
            where.append(_both(InSegment(segment=[way.segment]), way.where))
        elif isinstance(way, Entry):
            triggers.append(Trigger(way.on, way.with_, way.where))
    return Qualifying(where, triggers, since) if where or triggers else None


def _both(one: Condition, other: Condition | None) -> Condition:
    return one if other is None else AllOf(all=[one, other])
