"""What happened, as it came in: stored once, routed to the journeys afterwards, and marked when that is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.conditions import PropertyTest
from records.conditions import event_meets
from records.tables import events, shown


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event. `occurred_at` is the sender's time, `received_at` ours; `touch_id` is set on receipts."""

    id: int
    customer_id: int
    name: str
    occurred_at: datetime
    received_at: datetime
    key: str | None
    value: Decimal | None
    properties: dict[str, Any]
    touch_id: int | None
    routed_at: datetime | None


async def store(
    db: AsyncConnection,
    *,
    customer_id: int,
    name: str,
    occurred_at: datetime,
    received_at: datetime,
    key: str | None = None,
    value: Decimal | float | None = None,
    properties: Mapping[str, Any] | None = None,
    touch_id: int | None = None,
) -> StoredEvent | None:
    """Stores an event; None when one with the same `key` is there already. Without a key nothing is compared."""
    row = {
        "customer_id": customer_id,
        "name": name,
        "occurred_at": occurred_at,
        "received_at": received_at,
        "key": key,
        "value": value if value is None else Decimal(str(value)),
        "properties": dict(properties or {}),
        "touch_id": touch_id,
    }
    statement = insert(events).values(row).on_conflict_do_nothing(index_elements=["key"])
    stored = (await db.execute(statement.returning(*shown(events)))).one_or_none()
    return None if stored is None else StoredEvent(**stored._mapping)


async def meets(db: AsyncConnection, event_id: int, tests: Mapping[str, PropertyTest]) -> bool:
    """Whether a stored event's properties meet these tests."""
    if not tests:
        return True
    found = select(events.c.id).where(events.c.id == event_id, *event_meets(tests))
    return (await db.execute(found)).one_or_none() is not None


async def unrouted(db: AsyncConnection, *, limit: int, older_than: datetime) -> list[StoredEvent]:
    """Events received up to `older_than` that no journey has heard of yet, oldest first."""
    waiting = select(*shown(events)).where(events.c.routed_at.is_(None), events.c.received_at <= older_than)
    return [StoredEvent(**row._mapping) for row in await db.execute(waiting.order_by(events.c.id).limit(limit))]


async def mark_routed(db: AsyncConnection, ids: Iterable[int], at: datetime) -> None:
    """Notes that the journeys have heard of these events."""
    heard = update(events).where(events.c.id.in_(list(ids)), events.c.routed_at.is_(None))
    await db.execute(heard.values(routed_at=at))
