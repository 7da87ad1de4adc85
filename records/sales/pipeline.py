"""Deals under way: the stage, the amount and the expected close of tasks that are not done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from records.sales.tasks import OPEN, whose
from records.tables import tasks

_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Month:
    """What is expected to close in a month (`YYYY-MM`; None: no day is named): deals, their amount, and that weighted
    by the chance of their stages."""

    month: str | None
    count: int
    amount: Decimal
    weighted: Decimal


@dataclass(frozen=True, slots=True)
class StageSum:
    """What stands at a stage."""

    stage: str
    count: int
    amount: Decimal
    weighted: Decimal


async def forecast(db: AsyncConnection, chances: Mapping[str, Decimal]) -> list[Month]:
    """What the deals under way come to by the month of their expected close; those without a day last.

    A stage without a chance counts for nothing.
    """
    month = func.to_char(tasks.c.expected_close, "YYYY-MM").label("month")
    amount = func.coalesce(func.sum(tasks.c.amount), 0).label("amount")
    found = (
        select(month, tasks.c.pipeline, func.count().label("deals"), amount)
        .where(tasks.c.pipeline.is_not(None), tasks.c.status.in_(OPEN))
        .group_by(month, tasks.c.pipeline)
    )
    sums: dict[str | None, Month] = {}
    for row in await db.execute(found):
        had = sums.get(row.month, Month(row.month, 0, Decimal(0), Decimal(0)))
        weighted = row.amount * chances.get(row.pipeline, Decimal(0))
        sums[row.month] = Month(row.month, had.count + row.deals, had.amount + row.amount, had.weighted + weighted)
    return [
        Month(one.month, one.count, one.amount, _rounded(one.weighted))
        for one in sorted(sums.values(), key=lambda one: (one.month is None, one.month))
    ]


async def by_stage(db: AsyncConnection, chances: Mapping[str, Decimal], rep: str | None = None) -> list[StageSum]:
    """What stands at each stage, in the order of the pipeline; all reps together where none is named."""
    amount = func.coalesce(func.sum(tasks.c.amount), 0).label("amount")
    found = select(tasks.c.pipeline.label("stage"), func.count().label("deals"), amount).where(
        tasks.c.pipeline.is_not(None), tasks.c.status.in_(OPEN)
    )
    if rep is not None:
        found = found.where(whose() == rep)
    order = list(chances)
    rows = (await db.execute(found.group_by(tasks.c.pipeline))).all()
    rows = sorted(rows, key=lambda row: (order.index(row.stage) if row.stage in order else len(order), row.stage))
    return [
        StageSum(row.stage, row.deals, row.amount, _rounded(row.amount * chances.get(row.stage, Decimal(0))))
        for row in rows
    ]


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)
