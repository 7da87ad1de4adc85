"""What other rules would make of everybody's scores, before they come into force."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.scoring import MOST, Scoring
from records.audience.scoring import materialized, worked_out
from records.memory import roomy
from records.tables import customers


@dataclass(frozen=True, slots=True)
class GradeMove:
    """How many customers come from one grade to another; `old` is None for those who had none."""

    old: str | None
    new: str
    customers: int


@dataclass(frozen=True, slots=True)
class Mover:
    """A customer, with the score before and after."""

    customer_id: int
    external_id: str | None
    email: str | None
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What rules would change if they came into force now. `risen` and `fallen` are points in all; `up` and `down`
    count who would reach the threshold of the handoff and who would fall below it."""

    customers: int
    rise: int
    risen: int
    fall: int
    fallen: int
    up: int
    down: int
    grades: list[GradeMove]
    most: list[Mover]


async def preview(db: AsyncConnection, rules: Scoring, now: datetime, threshold: int | None, most: int) -> Preview:
    """What these rules would change, with the `most` customers whom they would change most; nothing is written."""
    await roomy(db)
    fresh = materialized(worked_out(rules, now, lambda _: true()), "fresh")
    c, by = fresh.c, fresh.c.score - fresh.c.before
    bound = threshold if threshold is not None else 2 * MOST
    counted = select(
        c.graded, c.grade,
        func.count().label("customers"),
        func.count().filter(by > 0).label("rise"), func.coalesce(func.sum(by).filter(by > 0), 0).label("risen"),
        func.count().filter(by < 0).label("fall"), func.coalesce(func.sum(-by).filter(by < 0), 0).label("fallen"),
        func.count().filter(c.before < bound, c.score >= bound).label("up"),
        func.count().filter(c.before >= bound, c.score < bound).label("down"),
    ).group_by(c.graded, c.grade)  # fmt: skip
    far = func.abs(by).desc(), c.id
    top = select(c.id, c.before, c.score).where(by != 0).order_by(*far).limit(most).subquery("top")
    line = func.jsonb_build_array(top.c.id, customers.c.external_id, customers.c.email, top.c.before, top.c.score)
    in_order = aggregate_order_by(line, func.abs(top.c.score - top.c.before).desc(), top.c.id)
    movers = select(func.jsonb_agg(in_order)).join_from(top, customers, customers.c.id == top.c.id).scalar_subquery()
    rows = (await db.execute(counted.add_columns(movers.label("most")))).all()

    def total(name: str) -> int:
        return sum(int(getattr(row, name)) for row in rows)

    grades = sorted((GradeMove(row.graded, row.grade, row.customers) for row in rows), key=_in_order)
    return Preview(
        total("customers"), total("rise"), total("risen"), total("fall"), total("fallen"), total("up"), total("down"),
        grades, [Mover(*one) for one in (rows[0].most or [])] if rows else [],
    )  # fmt: skip


def _in_order(move: GradeMove) -> tuple[str, str]:
    return move.old or "", move.new
