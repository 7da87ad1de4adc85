"""What was sent, or would have been: reading the ledger. `records.messages.ledger` writes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from records.tables import shown, touches


@dataclass(frozen=True, slots=True)
class Touch:
    """One message to one customer. `claimed_at` is before the send, `settled_at` after; `key` is its Message-ID."""

    id: int
    customer_id: int
    enrolment_id: int | None
    journey: str | None
    version: int | None
    step: str | None
    visit: int | None
    channel: str
    message: str
    status: Literal["claimed", "sent", "skipped", "failed", "uncertain"]
    because: str | None
    address: str | None
    subject: str | None
    locale: str | None
    key: str
    provider_id: str | None
    claimed_at: datetime
    settled_at: datetime | None
    attempts: int
    transactional: bool
    broadcast_id: int | None
    variant: str | None


async def for_customer(db: AsyncConnection, customer_id: int, limit: int = 100) -> list[Touch]:
    """Everything in the ledger about a customer, skipped and failed messages too, newest first."""
    mine = select(*shown(touches)).where(touches.c.customer_id == customer_id)
    newest = mine.order_by(touches.c.claimed_at.desc(), touches.c.id.desc()).limit(limit)
    return [Touch(**row._mapping) for row in await db.execute(newest)]


async def recent(db: AsyncConnection, customer_id: int, limit: int = 5) -> list[Touch]:
    """The messages that went out to a customer, newest first."""
    mine = select(*shown(touches)).where(touches.c.customer_id == customer_id, touches.c.status == "sent")
    newest = mine.order_by(touches.c.claimed_at.desc(), touches.c.id.desc()).limit(limit)
    return [Touch(**row._mapping) for row in await db.execute(newest)]


async def uncertain(db: AsyncConnection, limit: int = 1000) -> list[Touch]:
    """The messages of which nobody can say whether they went, oldest first: for an operator to decide."""
    held = select(*shown(touches)).where(touches.c.status == "uncertain").order_by(touches.c.claimed_at).limit(limit)
    return [Touch(**row._mapping) for row in await db.execute(held)]


async def by_provider_id(db: AsyncConnection, provider_id: str) -> Touch | None:
    """The touch that a provider's callback speaks of."""
    query = select(*shown(touches)).where(touches.c.provider_id == provider_id).order_by(touches.c.id.desc()).limit(1)
    row = (await db.execute(query)).one_or_none()
    return None if row is None else Touch(**row._mapping)


async def by_key(db: AsyncConnection, key: str) -> Touch | None:
    """The touch with this Message-ID or idempotency key."""
    row = (await db.execute(select(*shown(touches)).where(touches.c.key == key))).one_or_none()
    return None if row is None else Touch(**row._mapping)
