"""Moving runs from one version of a journey to another: where they stand, and the orders that tell them to go."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, not_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.steps.ways import KINDS
from records.runs import orders
from records.runs.enrolments import OPEN
from records.tables import enrolments, touches
from records.tables import orders as given

ENTRY = "entry"
"""Where a run stands that has not begun."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Who went where on one version of a journey: how many runs under way stand `here` at each step (at `ENTRY` those
    that have not begun), how many have `passed` each step at least once, how many `entered` in all, and what became of
    those that have ended, the most frequent first."""

    here: Mapping[str, int]
    passed: Mapping[str, int]
    outcomes: Mapping[str, int]
    entered: int


TRAFFIC = text("""
    WITH runs AS (
        SELECT id, status, step, outcome FROM enrolments WHERE journey = :journey AND version = :version
    )
    SELECT 'here' AS what, coalesce(step, :entry) AS name, count(*) AS runs FROM runs
    WHERE status = ANY (:open) GROUP BY 2
    UNION ALL
    SELECT 'passed', p.step, count(DISTINCT p.enrolment_id) FROM path p JOIN runs r ON r.id = p.enrolment_id
    WHERE p.kind = ANY (:kinds) GROUP BY 2
    UNION ALL
    SELECT 'ended', outcome, count(*) FROM runs WHERE outcome IS NOT NULL GROUP BY 2
    UNION ALL
    SELECT 'entered', '', count(*) FROM runs
    ORDER BY 1, 3 DESC, 2
""")


async def traffic(db: AsyncConnection, journey: str, version: int) -> Traffic:
    """Who went where, of all runs that are on a version now."""
    given = {"journey": journey, "version": version, "entry": ENTRY, "open": list(OPEN), "kinds": list(KINDS)}
    found: dict[str, dict[str, int]] = {"here": {}, "passed": {}, "ended": {}, "entered": {}}
    for what, name, runs in await db.execute(TRAFFIC, given):
        found[what][name] = runs
    return Traffic(found["here"], found["passed"], found["ended"], found["entered"][""])


async def open_runs(db: AsyncConnection, journey: str) -> dict[int, int]:
    """How many runs are under way on each version that has some."""
    query = (
        select(enrolments.c.version, func.count())
        .where(enrolments.c.journey == journey, enrolments.c.status.in_(OPEN))
        .group_by(enrolments.c.version)
        .order_by(enrolments.c.version)
    )
    return {row[0]: row[1] for row in await db.execute(query)}


async def standing(db: AsyncConnection, journey: str, version: int) -> dict[str, int]:
    """How many runs under way on a version stand at each step; those that have not begun stand at `ENTRY`."""
    step = func.coalesce(enrolments.c.step, ENTRY)
    query = select(step, func.count()).where(_on(journey, version)).group_by(step)
    return {row[0]: row[1] for row in await db.execute(query)}


async def received(
    db: AsyncConnection, journey: str, version: int, messages: Collection[str]
) -> dict[str, dict[str, int]]:
    """How many runs under way on a version were sent each of these messages, by the step at which they stand."""
    step = func.coalesce(enrolments.c.step, ENTRY)
    query = (
        select(step, touches.c.message, func.count(enrolments.c.id.distinct()))
        .join_from(enrolments, touches, touches.c.enrolment_id == enrolments.c.id)
        .where(_on(journey, version), touches.c.message.in_(messages), touches.c.status.in_(("sent", "uncertain")))
        .group_by(step, touches.c.message)
        .order_by(step, touches.c.message)
    )
    found: dict[str, dict[str, int]] = {}
    for name, message, runs in await db.execute(query):
        found.setdefault(name, {})[message] = runs
    return found


async def order(
    db: AsyncConnection, journey: str, version: int, args: Mapping[str, Any], *, by: str, because: str | None,
    now: datetime,
) -> int:  # fmt: skip
    """Tell all runs under way on a version to go over to another; returns how many were told now.

    A run that has been told the same and has not gone yet is not told twice; one that has been told to go elsewhere no
    longer goes there.
    """
    mine = and_(given.c.enrolment_id == enrolments.c.id, given.c.kind == "migrate", given.c.taken_at.is_(None))
    stale = (
        update(given)
        .where(mine, _on(journey, version), given.c.args != dict(args))
        .values(taken_at=now, refusal=f"withdrawn: {by} said otherwise later")
    )
    await db.execute(stale)
    chosen = and_(_on(journey, version), not_(exists(select(given.c.id).where(mine).correlate(enrolments))))
    return await orders.give_many(db, chosen, "migrate", args, by=by, because=because, now=now)


def _on(journey: str, version: int) -> ColumnElement[bool]:
    return and_(
        enrolments.c.journey == journey, enrolments.c.version == version, enrolments.c.status.in_(OPEN)
    )  # fmt: skip
