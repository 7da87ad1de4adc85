"""How fast messages may leave, over all workers and broadcasts that share a pace.

A pace is a row with the moment from which on it is free. Whoever wants to send takes the next so many places, and waits
until they come. The moment is that of the database's own clock: business time may be another.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import Interval, extract, func, literal, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from records.tables import paces


async def reserve(db: AsyncConnection, rates: Mapping[str, float], count: int) -> float:
    """Take places for so many messages at each pace (`rates`: a second); the seconds until all have come."""
    wait = 0.0
    now = func.clock_timestamp()
    for name, rate in sorted(rates.items()):
        span = literal(timedelta(seconds=count / rate), Interval)
        place = insert(paces).values(name=name, free_at=now + span)
        taken = place.on_conflict_do_update(
            index_elements=["name"], set_={"free_at": func.greatest(paces.c.free_at, now) + span}
        ).returning(extract("epoch", paces.c.free_at - span - now))
        wait = max(wait, float((await db.execute(taken)).scalar_one()))
    return wait


async def give_back(db: AsyncConnection, rates: Mapping[str, float], count: int) -> None:
    """Free places that were taken and are not needed, for whoever comes next."""
    for name, rate in sorted(rates.items()):
        span = literal(timedelta(seconds=count / rate), Interval)
        await db.execute(update(paces).where(paces.c.name == name).values(free_at=paces.c.free_at - span))
