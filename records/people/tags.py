"""Tags of a customer: short words that segments and journeys ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import Text, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from records import tables
from records.tables import customers


async def tag(
    db: AsyncConnection,
    customer_id: int,
    tag: str,
    *,
    because: str | None,
    enrolment_id: int | None = None,
    now: datetime,
) -> bool:
    """Adds a tag; False when it was there already."""
    return await _retag(db, "tag", customer_id, tag, because, enrolment_id, now)


async def untag(
    db: AsyncConnection,
    customer_id: int,
    tag: str,
    *,
    because: str | None,
    enrolment_id: int | None = None,
    now: datetime,
) -> bool:
    """Takes a tag away; False when it was not there."""
    return await _retag(db, "untag", customer_id, tag, because, enrolment_id, now)


async def _retag(
    db: AsyncConnection,
    kind: Literal["tag", "untag"],
    customer_id: int,
    tag: str,
    because: str | None,
    enrolment_id: int | None,
    now: datetime,
) -> bool:
    has = customers.c.tags.contains([tag])
    adds = kind == "tag"
    tags = func.array_append(customers.c.tags, tag) if adds else func.array_remove(customers.c.tags, tag)
    changed = (
        update(customers)
        .where(customers.c.id == customer_id, ~has if adds else has)
        .values(tags=tags, updated_at=now)
        .returning(customers.c.id)
        .cte("changed")
    )
    columns = {
        "customer_id": changed.c.id,
        "kind": literal(kind),
        "name": literal(tag),
        "because": literal(because, Text),
        "enrolment_id": literal(enrolment_id, tables.changes.c.enrolment_id.type),
        "at": literal(now, tables.changes.c.at.type),
    }
    kept = insert(tables.changes).from_select(list(columns), select(*columns.values()))
    return (await db.execute(kept.returning(tables.changes.c.id))).one_or_none() is not None
