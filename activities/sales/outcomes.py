"""What the end of a task does to the customer: stage, tags and what is left of the score."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.sales import Effect
from records.audience import scores
from records.people import customers
from records.sales.assignments import rearm


async def affect(
    db: AsyncConnection, customer_id: int, effect: Effect, because: str, now: datetime, again_below: int | None = None
) -> None:
    """Carry out an effect, with the reason beside each change.

    A score is brought down by an entry of its own and never up; who falls below `again_below` by it may be handed
    over anew.
    """
    if effect.score is not None:
        score = (await customers.get(db, customer_id)).score
        if score > effect.score:
            change = await scores.add(db, customer_id, effect.score - score, because, now)
            if change is not None and again_below is not None and change.after < again_below:
                await rearm(db, customer_id)
    if effect.stage is not None:
        await customers.set_fields(db, customer_id, {"stage": effect.stage}, because=because, now=now)
    for tag in effect.tag or []:
        await customers.tag(db, customer_id, tag, because=because, now=now)
