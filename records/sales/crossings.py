"""Thresholds that were crossed by two records becoming one: each was below it, and their points together are not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from records.audience.scores import ScoreChange
from records.tables import customers, merges


@dataclass(frozen=True, slots=True)
class Crossing:
    """A customer whose points were added up by a merge: from the higher of the two scores to what it has now."""

    customer_id: int
    change: ScoreChange


async def by_merging(db: AsyncConnection, threshold: int, since: datetime) -> list[Crossing]:
    """Those who came to a threshold by a merge after `since`, have as much now, and were not handed to sales; their
    rows stay locked until the transaction ends."""
    of_gone = merges.c.before["gone"]["score"].astext.cast(BigInteger)
    of_kept = merges.c.before["fields"]["score"][0].astext.cast(BigInteger)
    higher = func.max(func.greatest(of_gone, of_kept)).label("higher")
    found = (
        select(merges.c.kept_id, higher)
        .where(merges.c.at > since, merges.c.undone_at.is_(None), merges.c.before["fields"].has_key("score"))
        .group_by(merges.c.kept_id)
        .subquery()
    )
    rows = (
        select(found.c.kept_id, found.c.higher, customers.c.score)
        .join_from(found, customers, customers.c.id == found.c.kept_id)
        .where(customers.c.qualified_at.is_(None), found.c.higher < threshold, customers.c.score >= threshold)
        .order_by(found.c.kept_id)
        .with_for_update(of=customers, key_share=True)
    )
    return [Crossing(row.kept_id, ScoreChange(row.higher, row.score)) for row in await db.execute(rows)]
