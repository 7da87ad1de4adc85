"""The figures of journeys and of the whole workspace."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class JourneySummary:
    """What became of those who entered one journey.

    Runs: `enrolled` counts all of them; `active` ones wait or are about to begin; the others `finished`, `exited`
    or `failed`; `converted` ones left with that outcome. Messages: `sent`, `skipped`, `uncertain`; `opened` and
    `clicked` count messages, not the times. `qualified` counts customers who became qualified after they entered.
    """

    journey: str
    title: str
    status: str
    live_version: int
    versions: list[int]
    enrolled: int
    active: int
    finished: int
    exited: int
    failed: int
    converted: int
    qualified: int
    outcomes: dict[str, int]
    sent: int
    skipped: int
    uncertain: int
    opened: int
    clicked: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The workspace at a glance. `unrouted` events have not reached the journeys yet."""

    customers: int
    qualified: int
    active: int
    sent: int
    opened: int
    clicked: int
    uncertain: int
    suppressed: int
    open_tasks: int
    unrouted: int


JOURNEYS = text("""
    WITH runs AS (
        SELECT e.journey,
               count(*) AS enrolled,
               count(*) FILTER (WHERE e.status IN ('pending', 'active')) AS active,
               count(*) FILTER (WHERE e.status = 'finished') AS finished,
               count(*) FILTER (WHERE e.status = 'exited') AS exited,
               count(*) FILTER (WHERE e.status = 'failed') AS failed,
               count(*) FILTER (WHERE e.outcome = 'converted') AS converted,
               count(DISTINCT e.customer_id) FILTER (WHERE c.qualified_at >= e.enrolled_at) AS qualified
        FROM enrolments e JOIN customers c ON c.id = e.customer_id
        GROUP BY e.journey
    ), ends AS (
        SELECT journey, jsonb_object_agg(outcome, runs ORDER BY outcome) AS outcomes
        FROM (SELECT journey, outcome, count(*) AS runs FROM enrolments
              WHERE outcome IS NOT NULL GROUP BY journey, outcome) AS by_outcome
        GROUP BY journey
    ), receipts AS (
        SELECT touch_id, bool_or(name = 'email.opened') AS opened, bool_or(name = 'email.clicked') AS clicked
        FROM events WHERE touch_id IS NOT NULL AND name IN ('email.opened', 'email.clicked')
        GROUP BY touch_id
    ), messages AS (
        SELECT t.journey,
               count(*) FILTER (WHERE t.status = 'sent') AS sent,
               count(*) FILTER (WHERE t.status = 'skipped') AS skipped,
               count(*) FILTER (WHERE t.status = 'uncertain') AS uncertain,
               count(*) FILTER (WHERE r.opened) AS opened,
               count(*) FILTER (WHERE r.clicked) AS clicked
        FROM touches t LEFT JOIN receipts r ON r.touch_id = t.id
        GROUP BY t.journey
    ), versions AS (
        SELECT journey, array_agg(version ORDER BY version) AS versions FROM journey_versions GROUP BY journey
    )
    SELECT j.name AS journey, j.title, j.status, j.live_version, v.versions,
           coalesce(runs.enrolled, 0) AS enrolled, coalesce(runs.active, 0) AS active,
           coalesce(runs.finished, 0) AS finished, coalesce(runs.exited, 0) AS exited,
           coalesce(runs.failed, 0) AS failed, coalesce(runs.converted, 0) AS converted,
           coalesce(runs.qualified, 0) AS qualified, coalesce(ends.outcomes, '{}') AS outcomes,
           coalesce(m.sent, 0) AS sent, coalesce(m.skipped, 0) AS skipped,
           coalesce(m.uncertain, 0) AS uncertain, coalesce(m.opened, 0) AS opened,
           coalesce(m.clicked, 0) AS clicked
    FROM journeys j
    JOIN versions v ON v.journey = j.name
    LEFT JOIN runs ON runs.journey = j.name
    LEFT JOIN ends ON ends.journey = j.name
    LEFT JOIN messages m ON m.journey = j.name
    ORDER BY j.name
""")

OVERVIEW = text("""
    SELECT (SELECT count(*) FROM customers) AS customers,
           (SELECT count(*) FROM customers WHERE qualified_at IS NOT NULL) AS qualified,
           (SELECT count(*) FROM enrolments WHERE status IN ('pending', 'active')) AS active,
           (SELECT count(*) FROM touches WHERE status = 'sent') AS sent,
           (SELECT count(DISTINCT touch_id) FROM events
            WHERE touch_id IS NOT NULL AND name = 'email.opened') AS opened,
           (SELECT count(DISTINCT touch_id) FROM events
            WHERE touch_id IS NOT NULL AND name = 'email.clicked') AS clicked,
           (SELECT count(*) FROM touches WHERE status = 'uncertain') AS uncertain,
           (SELECT count(*) FROM suppressions) AS suppressed,
           (SELECT count(*) FROM tasks WHERE status <> 'done') AS open_tasks,
           (SELECT count(*) FROM events WHERE routed_at IS NULL) AS unrouted
""")


async def journey_summary(db: AsyncConnection) -> list[JourneySummary]:
    """One summary a journey, archived ones too, by name."""
    return [JourneySummary(**row._mapping) for row in await db.execute(JOURNEYS)]


async def overview(db: AsyncConnection) -> Overview:
    """The figures of the whole workspace."""
    return Overview(**(await db.execute(OVERVIEW)).one()._mapping)
