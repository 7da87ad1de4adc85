"""Answers from the records to what the interpreter asks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.interpreter import Ask, questions
from records import conditions
from records.people import customers


async def answer(db: AsyncConnection, customer_id: int, ask: Ask, now: datetime) -> Any:
    """A field's value, or the answer of each leaf of the conditions by what it says. `now` (UTC) is the turn's."""
    if ask.field is not None:
        return await customers.field(db, customer_id, ask.field)
    asked = questions(ask)
    return dict(zip(asked, await conditions.answers(db, customer_id, list(asked.values()), now), strict=True))
