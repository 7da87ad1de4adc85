"""The figures of journeys and of the whole workspace."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class JourneySummary:
    """What became of those who entered one journey.

    Runs: `enrolled` counts all of them; `active` ones wait or are about to begin; the others `finished`, `exited`
    or `failed`; `converted` ones left with that outcome. Messages: `sent`, `skipped`, `uncertain`; `opened` and
    `clicked` count messages, not the times. `qualified` counts customers who became qualified after they entered.

    `status` is live, paused or archived. `open_runs` are the active ones by version. `goals` are the runs that reached
    the goal, with `goal_value` in all; those `held_out` are not among them, and have `held_out_goals` of their own to
    be measured against.
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
    open_runs: dict[str, int]
    goals: int
    goal_value: Decimal
    held_out: int
    held_out_goals: int


@dataclass(frozen=True, slots=True)
class Credit:
    """What one message of a journey did for its goal.

    `touches` were sent. `last_goals` and `last_value` go in full to the last message before the goal; `shared_goals`
    and `shared_value` in equal parts to all messages before it. `message` is None for the goals that no message went
    before. Goals of contacts that are held out are in none of them.
    """

    message: str | None
    touches: int
    last_goals: int
    last_value: Decimal
    shared_goals: float
    shared_value: Decimal


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
               count(DISTINCT e.customer_id) FILTER (WHERE c.qualified_at >= e.enrolled_at) AS qualified,
               count(*) FILTER (WHERE e.held_out) AS held_out
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
    ), going AS (
        SELECT journey, jsonb_object_agg(version, runs ORDER BY version) AS open_runs
        FROM (SELECT journey, version, count(*) AS runs FROM enrolments
              WHERE status IN ('pending', 'active') GROUP BY journey, version) AS by_version
        GROUP BY journey
    ), reached AS (
        SELECT journey,
               count(*) FILTER (WHERE NOT held_out) AS goals,
               sum(value) FILTER (WHERE NOT held_out) AS goal_value,
               count(*) FILTER (WHERE held_out) AS held_out_goals
        FROM goals GROUP BY journey
    )
    SELECT j.name AS journey, j.title, j.live_version, v.versions,
           CASE WHEN j.status = 'live' AND h.name IS NOT NULL THEN 'paused' ELSE j.status END AS status,
           coalesce(runs.enrolled, 0) AS enrolled, coalesce(runs.active, 0) AS active,
           coalesce(runs.finished, 0) AS finished, coalesce(runs.exited, 0) AS exited,
           coalesce(runs.failed, 0) AS failed, coalesce(runs.converted, 0) AS converted,
           coalesce(runs.qualified, 0) AS qualified, coalesce(ends.outcomes, '{}') AS outcomes,
           coalesce(m.sent, 0) AS sent, coalesce(m.skipped, 0) AS skipped,
           coalesce(m.uncertain, 0) AS uncertain, coalesce(m.opened, 0) AS opened,
           coalesce(m.clicked, 0) AS clicked, coalesce(going.open_runs, '{}') AS open_runs,
           coalesce(g.goals, 0) AS goals, coalesce(g.goal_value, 0) AS goal_value,
           coalesce(runs.held_out, 0) AS held_out, coalesce(g.held_out_goals, 0) AS held_out_goals
    FROM journeys j
    JOIN versions v ON v.journey = j.name
    LEFT JOIN runs ON runs.journey = j.name
    LEFT JOIN ends ON ends.journey = j.name
    LEFT JOIN messages m ON m.journey = j.name
    LEFT JOIN going ON going.journey = j.name
    LEFT JOIN reached g ON g.journey = j.name
    LEFT JOIN holds h ON h.kind = 'journey' AND h.name = j.name AND h.mode = 'pause'
    ORDER BY j.name
""")

CREDITS = text("""
    WITH reached AS (
        SELECT enrolment_id, coalesce(value, 0) AS value, touch_ids FROM goals WHERE journey = :journey AND NOT held_out
    ), parts AS (
        SELECT r.value, t.message,
               count(*) OVER (PARTITION BY r.enrolment_id) AS touches,
               row_number() OVER (PARTITION BY r.enrolment_id ORDER BY t.claimed_at DESC, t.id DESC) AS back
        FROM reached r JOIN touches t ON t.id = ANY (r.touch_ids)
    ), credits AS (
        SELECT message,
               count(*) FILTER (WHERE back = 1) AS last_goals,
               coalesce(sum(value) FILTER (WHERE back = 1), 0) AS last_value,
               sum(1.0 / touches)::double precision AS shared_goals,
               sum(value / touches) AS shared_value
        FROM parts GROUP BY message
    ), sent AS (
        SELECT message, count(*) AS touches FROM touches WHERE journey = :journey AND status = 'sent' GROUP BY message
    )
    SELECT s.message, s.touches, coalesce(c.last_goals, 0) AS last_goals, coalesce(c.last_value, 0) AS last_value,
           coalesce(c.shared_goals, 0) AS shared_goals, round(coalesce(c.shared_value, 0), 2) AS shared_value
    FROM sent s LEFT JOIN credits c ON c.message = s.message
    UNION ALL
    SELECT NULL, 0, count(*), coalesce(sum(value), 0), count(*), coalesce(sum(value), 0)
    FROM reached r WHERE NOT EXISTS (SELECT FROM touches t WHERE t.id = ANY (r.touch_ids)) HAVING count(*) > 0
    ORDER BY last_goals DESC, message NULLS LAST
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
           (SELECT count(*) FROM tasks WHERE status IN ('open', 'claimed')) AS open_tasks,
           (SELECT count(*) FROM events WHERE routed_at IS NULL) AS unrouted
""")


async def journey_summary(db: AsyncConnection) -> list[JourneySummary]:
    """One summary a journey, archived ones too, by name."""
    return [JourneySummary(**row._mapping) for row in await db.execute(JOURNEYS)]


async def attribution(db: AsyncConnection, journey: str) -> list[Credit]:
    """What each message of a journey, in all its versions, did for its goal; the one that did most comes first."""
    return [Credit(**row._mapping) for row in await db.execute(CREDITS, {"journey": journey})]


async def overview(db: AsyncConnection) -> Overview:
    """The figures of the whole workspace."""
    return Overview(**(await db.execute(OVERVIEW)).one()._mapping)
