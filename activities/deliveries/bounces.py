"""Addresses that turned out not to exist while a message was handed over."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from records import events
from records.events import StoredEvent
from records.people import suppressions


async def bounced(
    db: AsyncConnection,
    customer: int,
    channel: str,
    address: str,
    *,
    message: str,
    key: str,
    reason: str,
    now: datetime,
) -> StoredEvent | None:
    """Let an address be written to no more, by any journey; the event that tells of it, once for each message."""
    await suppressions.add(db, channel, address, reason="bounced", source=reason, at=now)
    return await events.store(
        db, customer_id=customer, name="email.bounced" if channel == "email" else "sms.failed",
        occurred_at=now, received_at=now, key=f"bounce/{key}", properties={"message": message, "reason": reason},
    )  # fmt: skip
