"""What the benchmarks count."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.counting import Cost, Counter


def test_a_step_costs_what_more_such_steps_cost_beyond_fewer() -> None:
    few, many = Cost(10, 9, 3), Cost(34, 21, 7)
    step = many.per_step(few, 4)
    assert step == Cost(6, 3, 1)
    assert few.besides(step, 1) == Cost(4, 6, 2)


async def test_statements_are_counted_and_the_transactions_that_hold_them(engine: AsyncEngine) -> None:
    counter = Counter()
    counter.listen(engine)
    async with engine.begin() as db:
        await db.execute(text("SELECT 1"))
        await db.execute(text("SELECT 2"))
    async with engine.connect() as db:
        await db.execute(text("SELECT 3"))
    assert counter.read(0) == Cost(0, 3, 2)
