"""What came of a broadcast: touches by status and reason, how fast they go, and what each arm came to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from records.tables import broadcast_refusals, events, touches


@dataclass(frozen=True, slots=True)
class ArmResult:
    """What came of one arm (None: the broadcast has none): touches by status, and people who opened, clicked, did."""

    arm: str | None
    sent: int
    opened: int
    clicked: int
    converted: int


async def tallies(db: AsyncConnection, broadcast: int) -> dict[tuple[str, str | None], int]:
    """How many touches of a broadcast have each status and, where one is given, each reason."""
    why = touches.c.because
    query = select(touches.c.status, why, func.count()).where(touches.c.broadcast_id == broadcast)
    return {(row[0], row[1]): row[2] for row in await db.execute(query.group_by(touches.c.status, why))}


async def to_go_again(db: AsyncConnection, broadcast: int) -> tuple[int, str | None]:
    """How many failed because the message was refused itself, and one of the reasons: those can go again."""
    mine = touches.c.id == broadcast_refusals.c.touch_id, touches.c.broadcast_id == broadcast
    row = (await db.execute(select(func.count(), func.max(touches.c.because)).where(*mine))).one()
    return row[0], row[1]


async def any_sent(db: AsyncConnection, broadcast: int) -> bool:
    """Whether any message of a broadcast went, or is on its way."""
    went = exists().where(touches.c.broadcast_id == broadcast, touches.c.status.in_(("sent", "claimed")))
    return bool((await db.execute(select(went))).scalar_one())


async def pace(db: AsyncConnection, broadcast: int, since: datetime) -> int:
    """How many messages of a broadcast went after a moment."""
    sent = touches.c.broadcast_id == broadcast, touches.c.status == "sent", touches.c.settled_at > since
    return int((await db.execute(select(func.count()).where(*sent))).scalar_one())


async def results(
    db: AsyncConnection,
    broadcast: int,
    *,
    event: str | None = None,
    until: datetime | None = None,
    went: tuple[datetime | None, datetime | None] = (None, None),
) -> list[ArmResult]:
    """What came of each arm until a moment: of those who got it, who opened, who clicked, and who did `event` after.
    Nobody counts twice. `went`: of messages that were claimed after the one moment and not after the other."""
    before = [events.c.occurred_at <= until] if until is not None else []

    def receipts(name: str) -> ColumnElement[bool]:
        return exists().where(
            events.c.touch_id == touches.c.id, events.c.customer_id == touches.c.customer_id,
            events.c.name == name, *before,
        )  # fmt: skip

    did = exists().where(
        events.c.customer_id == touches.c.customer_id, events.c.name == event,
        events.c.occurred_at >= touches.c.claimed_at, *before,
    )  # fmt: skip
    after, before_ = went
    sent = [touches.c.broadcast_id == broadcast, touches.c.status == "sent"]
    sent += [touches.c.claimed_at > after] if after is not None else []
    sent += [touches.c.claimed_at <= before_] if before_ is not None else []
    query = (
        select(
            touches.c.variant,
            func.count(),
            func.count().filter(receipts("email.opened")),
            func.count().filter(receipts("email.clicked")),
            func.count().filter(did) if event is not None else literal(0),
        )
        .where(*sent)
        .group_by(touches.c.variant)
        .order_by(touches.c.variant)
    )
    return [ArmResult(*row) for row in await db.execute(query)]
