"""The way a run took, line by line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from records.tables import path


@dataclass(frozen=True, slots=True)
class PathStep:
    """One line of the way a run took."""

    turn: int
    seq: int
    step: str
    visit: int
    kind: str
    at: datetime
    detail: dict[str, Any]


async def taken(db: AsyncConnection, enrolment: int) -> list[PathStep]:
    """The way a run took, in order."""
    query = (
        select(path.c.turn, path.c.seq, path.c.step, path.c.visit, path.c.kind, path.c.at, path.c.detail)
        .where(path.c.enrolment_id == enrolment)
        .order_by(path.c.turn, path.c.seq)
    )
    return [PathStep(**row._mapping) for row in await db.execute(query)]
