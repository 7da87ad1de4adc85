"""How far something that goes by the clock has come, so that an outage is made up for from there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from records.tables import clocks


async def read(db: AsyncConnection, prefix: str) -> dict[str, datetime]:
    """The clocks whose names begin so, by the rest of their names (UTC)."""
    query = select(clocks.c.name, clocks.c.at).where(clocks.c.name.startswith(prefix, autoescape=True))
    return {row.name.removeprefix(prefix): row.at for row in await db.execute(query)}


async def move(db: AsyncConnection, names: Iterable[str], at: datetime) -> None:
    """Set clocks forward to a moment; none goes back."""
    rows = [{"name": name, "at": at} for name in sorted(names)]
    if not rows:
        return
    fresh = insert(clocks).values(rows)
    await db.execute(
        fresh.on_conflict_do_update(index_elements=["name"], set_={"at": func.greatest(clocks.c.at, fresh.excluded.at)})
    )
