"""The touch ledger: claim, send, record. Never silently twice, never silently lost.

A touch is one row per (enrolment, step, visit). It is `claimed` before anything leaves and settled after: `sent`,
`failed` or `skipped`. A claim found at the next attempt means that a crash came in between; whether the message went
cannot be known from here (SMTP, RFC 5321 section 4.5.3.2.6, has no way to ask), so it stands as `uncertain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, and_, bindparam, delete, false, func, insert, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from records.sales.tasks import held
from records.tables import consents, customers, enrolments, identities, shown, suppressions, touches

Settled = Literal["sent", "failed", "skipped", "uncertain"]


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a touch in the ledger."""

    enrolment_id: int
    step: str
    visit: int


@dataclass(frozen=True, slots=True)
class Touch:
    """What stands in a slot."""

    id: int
    status: str
    key: str
    message: str
    because: str | None


@dataclass(frozen=True, slots=True)
class Recipient:
    """A customer as a channel sees it: `row` holds every column, `granted` the latest consent (None: never asked),
    `with_sales` whether sales holds the lead and marketing stops for so long."""

    row: dict[str, Any]
    address: str | None
    granted: bool | None
    suppressed: str | None
    with_sales: bool = False
    elsewhere: str | None = None
    """What closed another address of the same person for marketing: `unsubscribed` or `complained`."""

    def refusal(self, channel: str, rule: str | None, *, transactional: bool) -> str | None:
        """Why nothing may be sent to this customer on the channel, in words, or None when it may.

        `rule` is the workspace's for the channel: `opt_in` needs a consent, `opt_out` only that none was withdrawn. A
        transactional message needs neither; an address that bounced or complained gets none of them.
        """
        if not self.address:
            return "no e-mail address" if channel == "email" else "no phone number"
        if self.suppressed and not (transactional and self.suppressed == "unsubscribed"):
            return f"the address is suppressed: {self.suppressed}"
        if transactional:
            return None
        if self.elsewhere:
            return f"another address of this person is suppressed: {self.elsewhere}"
        if self.granted is None and rule != "opt_out":
            return f"no consent to {channel}"
        if self.granted is False:
            return f"consent to {channel} was withdrawn"
        return "sales has the lead" if self.with_sales else None


def recipients(channel: str) -> Select[Any]:
    """All customers as a channel sees them: their columns, then what `Recipient` says beside them."""
    address = customers.c.email if channel == "email" else customers.c.phone
    granted = (
        select(consents.c.granted)
        .where(consents.c.customer_id == customers.c.id, consents.c.channel == channel)
        .order_by(consents.c.at.desc(), consents.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    suppressed = (
        select(suppressions.c.reason)
        .where(and_(suppressions.c.channel == channel, suppressions.c.address == address))
        .scalar_subquery()
    )
    # A dead address is dead by itself; who wants no more is a person, whichever address said so.
    elsewhere = (
        select(suppressions.c.reason)
        .join(identities, identities.c.value == suppressions.c.address)
        .where(
            identities.c.customer_id == customers.c.id,
            identities.c.kind == ("email" if channel == "email" else "phone"),
            suppressions.c.channel == channel,
            suppressions.c.reason.in_(("complained", "unsubscribed")),
        )
        .limit(1)
        .scalar_subquery()
    )
    return select(
        *shown(customers),
        address.label("address_"),
        granted.label("granted_"),
        suppressed.label("suppressed_"),
        elsewhere.label("elsewhere_"),
        held(customers.c.id).label("with_sales_"),
    )


_RECIPIENT = {
    channel: recipients(channel).where(customers.c.id == bindparam("customer")) for channel in ("email", "sms")
}
_CUSTOMER = select(
    *shown(customers), null().label("address_"), null().label("granted_"), null().label("suppressed_"),
    null().label("elsewhere_"), false().label("with_sales_"),
).where(customers.c.id == bindparam("customer"))  # fmt: skip
"""What a channel needs that calls another system, and nobody's address."""


async def recipient(db: AsyncConnection, customer_id: int, channel: str) -> Recipient:
    """The customer, its address on the channel, and whether it may be written to."""
    found = await db.execute(_RECIPIENT.get(channel, _CUSTOMER), {"customer": customer_id})
    return as_recipient(dict(found.one()._mapping))


def as_recipient(row: dict[str, Any]) -> Recipient:
    """A row of `recipients`, which loses what is no column of the customer."""
    address, granted, suppressed = row.pop("address_"), row.pop("granted_"), row.pop("suppressed_")
    return Recipient(row, address, granted, suppressed, row.pop("with_sales_"), row.pop("elsewhere_"))


def _in(slot: Slot) -> Any:
    return and_(touches.c.enrolment_id == slot.enrolment_id, touches.c.step == slot.step, touches.c.visit == slot.visit)


_FOUND = select(touches.c.id, touches.c.status, touches.c.key, touches.c.message, touches.c.because)


async def find(db: AsyncConnection, slot: Slot) -> Touch | None:
    """What stands in the slot, or None while it is free."""
    row = (await db.execute(_FOUND.where(_in(slot)))).one_or_none()
    return Touch(**row._mapping) if row else None


async def claim(db: AsyncConnection, slot: Slot, values: dict[str, Any]) -> None:
    """Take the slot, before anything leaves. The unique constraint lets nobody take it twice.

    Raises:
        sqlalchemy.exc.IntegrityError: the slot is taken.
    """
    await db.execute(
        insert(touches),
        {"enrolment_id": slot.enrolment_id, "step": slot.step, "visit": slot.visit, "status": "claimed", **values},
    )


async def skip(db: AsyncConnection, slot: Slot, values: dict[str, Any], because: str) -> None:
    """Record that the message is not sent, and why."""
    at = values["claimed_at"]
    await claim(db, slot, {**values, "status": "skipped", "because": because, "settled_at": at})


async def settle(
    db: AsyncConnection,
    slot: Slot,
    status: Settled,
    *,
    at: datetime | None,
    because: str | None = None,
    provider_id: str | None = None,
) -> bool:
    """Record how a claimed touch ended. A doubt (`uncertain`) gives way to knowledge; knowledge to nothing.

    Returns whether anything changed.
    """
    doubtful = ("claimed",) if status == "uncertain" else ("claimed", "uncertain")
    result = await db.execute(
        update(touches)
        .where(_in(slot), touches.c.status.in_(doubtful))
        .values(
            status=status,
            settled_at=at,
            because=because,
            provider_id=func.coalesce(provider_id, touches.c.provider_id),
        )
    )
    return result.rowcount == 1


@dataclass(frozen=True, slots=True)
class Count:
    """Marketing messages to a customer that count together: on one channel or on all, after a moment."""

    channel: str | None
    since: datetime
    at_most: int


async def filled(db: AsyncConnection, customer_id: int, counts: Sequence[Count]) -> list[datetime | None]:
    """For each count, when the message went that has to stop counting before another may go; None where there is
    room. Messages that are just leaving, and those of which nobody knows whether they went, count too."""
    told = [
        select(touches.c.claimed_at)
        .where(
            touches.c.customer_id == customer_id,
            touches.c.status.in_(("claimed", "sent", "uncertain")),
            touches.c.transactional.is_(False),
            touches.c.channel != "webhook",
            touches.c.claimed_at > count.since,
            *([touches.c.channel == count.channel] if count.channel else []),
        )
        .order_by(touches.c.claimed_at.desc())
        .offset(count.at_most - 1)
        .limit(1)
        .scalar_subquery()
        for count in counts
    ]
    row = (await db.execute(select(*(one.label(f"c{number}") for number, one in enumerate(told))))).one()
    return list(row)


async def one_at_a_time(db: AsyncConnection, enrolment: int) -> None:
    """Let nobody else claim a message to this run's customer until the transaction ends, so that what is counted
    stays counted. Taken before any other lock."""
    key = func.hashtextextended(func.concat("caps/", enrolments.c.customer_id), 0)
    await db.execute(select(func.pg_advisory_xact_lock(key)).where(enrolments.c.id == enrolment))


async def release(db: AsyncConnection, slot: Slot) -> None:
    """Give a claimed or doubtful slot back: the message surely did not go, or is wanted again."""
    await db.execute(delete(touches).where(_in(slot), touches.c.status.in_(("claimed", "uncertain"))))
