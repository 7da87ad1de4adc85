"""What has happened to a customer that concerns a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.conditions import PropertyTest
from records.conditions import event_meets
from records.tables import events, touches


@dataclass(frozen=True, slots=True)
class Interest:
    """An event that concerns a run: its name, its properties, and the span (ends included) in which it counts.

    `outcome` is that of an exit, `option` the place of a wait's event among those it waits for.
    """

    role: Literal["exit", "goal", "wait"]
    name: str
    since: datetime
    until: datetime | None = None
    tests: Mapping[str, PropertyTest] | None = None
    outcome: str | None = None
    option: int = 0


@dataclass(frozen=True, slots=True)
class Happening:
    """An event that met an interest."""

    id: int
    name: str
    at: datetime
    value: Decimal | None
    interest: Interest

    @property
    def seen(self) -> dict[str, Any]:
        """The event as the path keeps it."""
        return {"event": self.id, "name": self.name, "at": self.at.isoformat()}


async def happened(
    db: AsyncConnection, customer_id: int, besides: Sequence[int], interests: Sequence[Interest]
) -> list[Happening]:
    """What of the interests has happened to the customer, earliest first; the events `besides` do not count."""
    if not interests:
        return []
    columns = events.c
    met = [_meets(interest) for interest in interests]
    query = (
        select(
            columns.id, columns.name, columns.occurred_at, columns.value,
            *[one.label(f"i{n}") for n, one in enumerate(met)],
        )
        .where(columns.customer_id == customer_id, or_(*met))
        .order_by(columns.occurred_at, columns.id)
        .limit(50)
    )  # fmt: skip
    if besides:
        query = query.where(columns.id.not_in(besides))
    return [
        Happening(row.id, row.name, row.occurred_at, row.value, interest)
        for row in await db.execute(query)
        for number, interest in enumerate(interests)
        if row._mapping[f"i{number}"]
    ]


def _meets(interest: Interest) -> Any:
    columns = events.c
    parts = [columns.name == interest.name, columns.occurred_at >= interest.since]
    if interest.until is not None:
        parts.append(columns.occurred_at <= interest.until)
    return and_(*parts, *event_meets(interest.tests or {}))


async def sent_at(db: AsyncConnection, enrolment: int, message: str) -> datetime | None:
    """When this run last handed over a message, or None if it never did."""
    query = select(func.max(touches.c.claimed_at)).where(
        touches.c.enrolment_id == enrolment, touches.c.message == message, touches.c.status == "sent"
    )
    latest: datetime | None = (await db.execute(query)).scalar_one()
    return latest
