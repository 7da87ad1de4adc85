"""What the end of a task does to the customer: stage, tags and what is left of the score."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.sales import Effect, Sales, rule_of
from records.audience import scores
from records.people import customers, tags, upserts
from records.sales import assignments, tasks


async def affect(
    db: AsyncConnection, sales: Sales, customer_id: int, effect: Effect, because: str, now: datetime
) -> None:
    """Carry out an effect, with the reason beside each change. A score is brought down by an entry of its own, and
    never up."""
    if effect.score is not None:
        score = (await customers.get(db, customer_id)).score
        if score > effect.score:
            change = await scores.add(db, customer_id, effect.score - score, because, now)
            if change is not None:
                await rearm(db, sales, customer_id, change.after)
    if effect.stage is not None:
        await upserts.set_fields(db, customer_id, {"stage": effect.stage}, because=because, now=now)
    for tag in effect.tag or []:
        await tags.tag(db, customer_id, tag, because=because, now=now)


async def rearm(db: AsyncConnection, sales: Sales, customer_id: int, score: int) -> None:
    """Let be handed over again who fell to a score below the mark of the rule that took them last."""
    marks = [rule.again_below for rule in sales.rules if rule.again_below is not None]
    if not marks or score >= max(marks):
        return
    taker = rule_of(sales, await tasks.last_rule(db, customer_id))
    mark = taker.again_below if taker is not None else min(marks)
    if mark is not None and score < mark:
        await assignments.rearm(db, customer_id)
