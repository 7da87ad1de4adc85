"""What comes back from messages: opens, clicks, unsubscribes, delivery reports and replies.

Each becomes an event on the customer, once however often it is reported, and is routed like any other. What names a
touch that is not known (a database was reset, say) is dropped with a note in the log.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.entering.audience import Audience
from activities.messages.links import Click, Unsubscribe
from records.messages import touches
from records.messages.touches import Touch
from records.people import consents, customers, identities

STOP = {"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "stopp", "arret", "退订", "td", "t", "r"}
START = {"start", "unstop"}
DELIVERED = {"delivered", "read"}
FAILED = {"failed", "undelivered"}

log = logging.getLogger(__name__)


class Receipts:
    """Takes receipts from links and providers. `at` is when it happened, timezone-aware."""

    def __init__(self, database: AsyncEngine, audience: Audience) -> None:
        self._database = database
        self._audience = audience

    async def opened(self, touch_key: str, at: datetime) -> None:
        """A mail's pixel was fetched: `email.opened`, once a touch."""
        if touch := await self._touch(key=touch_key):
            await self._event(touch, "email.opened", f"open/{touch_key}", at)

    async def clicked(self, click: Click, at: datetime) -> None:
        """A tracked link was followed: `email.clicked`, once a touch and address."""
        if touch := await self._touch(key=click.touch_key):
            digest = hashlib.sha256(click.url.encode()).hexdigest()[:16]
            await self._event(touch, "email.clicked", f"click/{click.touch_key}/{digest}", at, {"url": click.url})

    async def unsubscribed(self, link: Unsubscribe, at: datetime) -> None:
        """The owner of the address wants no more: consent is withdrawn, then `email.unsubscribed` (or `sms.`)."""
        async with self._database.begin() as db:
            customer = await identities.current(db, link.customer_id)
            if await consents.granted(db, customer, link.channel):
                source = f"unsubscribe link of {link.touch_key}"
                await consents.record(db, customer, link.channel, False, source, at)
            touch = await touches.by_key(db, link.touch_key)
        await self._audience.ingest(
            customer,
            f"{link.channel}.unsubscribed",
            occurred_at=at,
            received_at=at,
            key=f"unsubscribe/{link.touch_key}",
            properties={"message": touch.message} if touch else {},
            touch_id=touch.id if touch else None,
        )

    async def sms_status(self, key: str | None, provider_id: str, status: str, code: str | None, at: datetime) -> None:
        """A delivery report: `sms.delivered` or `sms.failed`; those in between say nothing new."""
        name = "sms.delivered" if status in DELIVERED else "sms.failed" if status in FAILED else None
        if name and (touch := await self._touch(key=key, provider_id=provider_id)):
            await self._event(touch, name, f"{name}/{touch.key}", at, {"code": code} if code else None)

    async def sms_reply(self, phone: str, text: str, provider_id: str, at: datetime) -> None:
        """A text that came in: `sms.replied`; a word such as STOP withdraws the consent instead, START gives it."""
        word = text.strip().strip(".!").lower()
        name = "sms.unsubscribed" if word in STOP else "sms.subscribed" if word in START else "sms.replied"
        async with self._database.begin() as db:
            try:
                customer = await customers.find(db, f"phone:{phone}")
            except identities.UnknownCustomer:
                log.warning("a text came from a number that no customer has; message %s", provider_id)
                return
            if name != "sms.replied":
                await consents.record(db, customer.id, "sms", name == "sms.subscribed", f"text: {word}", at)
            sent = (one for one in await touches.recent(db, customer.id, 50) if one.channel == "sms")
            touch = next(sent, None)
        await self._audience.ingest(
            customer.id,
            name,
            occurred_at=at,
            received_at=at,
            key=f"sms-in/{provider_id}",
            properties={"text": text[:1600]} | ({"message": touch.message} if touch else {}),
            touch_id=touch.id if touch else None,
        )

    async def _touch(self, *, key: str | None = None, provider_id: str | None = None) -> Touch | None:
        async with self._database.connect() as db:
            touch = await touches.by_key(db, key) if key else None
            touch = touch or (await touches.by_provider_id(db, provider_id) if provider_id else None)
        if touch is None:
            log.warning("a receipt names no touch that is known: %s", key or provider_id)
        return touch

    async def _event(
        self, touch: Touch, name: str, key: str, at: datetime, more: Mapping[str, Any] | None = None
    ) -> None:
        # Clocks differ between machines, and in a rehearsal by weeks: nothing comes back before it went.
        at = max(at, touch.settled_at or touch.claimed_at)
        await self._audience.ingest(
            touch.customer_id,
            name,
            occurred_at=at,
            received_at=at,
            key=key,
            properties={"message": touch.message, **(more or {})},
            touch_id=touch.id,
        )
