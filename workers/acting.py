"""What contacts and sales do, done to the records as in production: used by the demo and by rehearsals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from activities.deliveries.receipts import Receipts
from activities.messages.links import Unsubscribe
from activities.sales.desk import NEEDS_REASON
from journeys.sales import Outcome
from records.messages import touches
from records.messages.touches import Touch
from records.people import consents, customers, suppressions
from records.people.suppressions import Reason
from records.sales import tasks
from workers.composition import Composition

REPS = ("lena", "marcus")
"""Who sells."""
OUTCOMES = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that happens to a customer: an event, the message that it answers, what it is worth."""

    event: str
    message: str | None = None
    value: float | None = None
    properties: dict[str, Any] | None = None


class Impossible(Exception):
    """It cannot happen: nobody opens a mail that did not come. The message says why."""


class Actors:
    """Lets things happen to customers."""

    def __init__(self, parts: Composition) -> None:
        self._parts = parts
        self._receipts = Receipts(parts.engine, parts.audience)

    async def act(self, customer: int, deed: Deed, at: datetime, key: str | None = None) -> None:
        """Let it happen at `at`: an answer to a message is tied to it; who unsubscribes withdraws the consent; who
        texts STOP does; an address that bounces is suppressed; a task that is done is finished by sales.

        Raises:
            Impossible: the message was not sent, or there is no task to do.
        """
        touch = await self._touch(customer, deed.message) if deed.message else None
        if deed.message and touch is None:
            raise Impossible(f"{deed.message} was not sent to this customer before")
        properties = {**(deed.properties or {}), **({"message": deed.message} if deed.message else {})}
        match deed.event.split("."):
            case ["task", "done"]:
                await self._sell(customer, properties, at)
                return
            case [channel, "unsubscribed"] if touch is not None and channel == touch.channel:
                await self._receipts.unsubscribed(Unsubscribe(customer, touch.channel, touch.key), at)
                return
            case [("email" | "sms") as channel, ("unsubscribed" | "subscribed") as what]:
                async with self._parts.engine.begin() as db:
                    await consents.record(db, customer, channel, what == "subscribed", deed.event, at)
            case [("email" | "sms") as channel, ("bounced" | "complained") as what]:
                await self._suppress(customer, channel, what, at)
            case ["sms", "replied"] if isinstance(text := properties.get("text"), str):
                if phone := await self._phone(customer):
                    await self._receipts.sms_reply(phone, text, key or f"{customer}/{at.isoformat()}", at)
                    return
        await self._parts.audience.ingest(
            customer, deed.event, occurred_at=at, received_at=at, key=key, value=deed.value, properties=properties,
            touch_id=touch.id if touch else None,
        )  # fmt: skip

    async def _touch(self, customer: int, message: str) -> Touch | None:
        """The customer's latest touch with this message that went out."""
        async with self._parts.engine.connect() as db:
            sent = await touches.for_customer(db, customer, limit=1000)
        return next((touch for touch in sent if touch.message == message and touch.status == "sent"), None)

    async def _phone(self, customer: int) -> str | None:
        async with self._parts.engine.connect() as db:
            return (await customers.get(db, customer)).phone

    async def _suppress(self, customer: int, channel: str, reason: Reason, at: datetime) -> None:
        async with self._parts.engine.begin() as db:
            person = await customers.get(db, customer)
            address = person.email if channel == "email" else person.phone
            if address:
                await suppressions.add(db, channel, address, reason=reason, source=f"{channel}.{reason}", at=at)

    async def _sell(self, customer: int, properties: dict[str, Any], at: datetime) -> None:
        """Sales works on the customer's newest open task."""
        rep, outcome = REPS[customer % len(REPS)], properties.get("outcome", "nurture")
        if outcome not in OUTCOMES:
            raise Impossible(f"a task ends as {', '.join(OUTCOMES)}, not as {outcome!r}")
        async with self._parts.engine.connect() as db:
            found = await tasks.listing(db, status="open", limit=100_000)
            mine = [task for task in found if task.customer_id == customer]
            if not mine:
                raise Impossible("there is no open task about this customer")
        task, desk, sales = mine[-1].id, self._parts.desk, self._parts.sales
        if sales is not None and sales.reps:
            rep = mine[-1].assigned_to or sales.reps[customer % len(sales.reps)].name
        await desk.claim(task, rep, at)
        reason = str(properties.get("reason") or properties.get("note") or "not said")
        await desk.finish(
            task, rep, outcome, now=at, note=properties.get("note"),
            reason=reason if outcome in NEEDS_REASON else None,
        )  # fmt: skip
