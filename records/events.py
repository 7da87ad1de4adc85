"""What happened, as it came in: stored once, routed to the journeys afterwards, and marked when that is done."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, array, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.conditions import PropertyTest
from records.conditions import event_meets
from records.runs.enrolments import OPEN, Enrolment
from records.tables import enrolments, events, shown

Way = tuple[str, Mapping[str, PropertyTest]]
"""A way into a journey: the name of its event, and what that event's properties must be."""


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


@dataclass(frozen=True, slots=True)
class Concern:
    """An event that concerns somebody: the numbers of the ways in that it meets, and the open runs that await it."""

    event: StoredEvent
    ways: tuple[int, ...]
    awaiting: tuple[Enrolment, ...]


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
    routed: bool = False,
) -> StoredEvent | None:
    """Stores an event; None when one with the same `key` is there already. Without a key nothing is compared.

    `routed` says that no journey is to hear of it.
    """
    row = {
        "customer_id": customer_id,
        "name": name,
        "occurred_at": occurred_at,
        "received_at": received_at,
        "key": key,
        "value": value if value is None else Decimal(str(value)),
        "properties": dict(properties or {}),
        "touch_id": touch_id,
        "routed_at": received_at if routed else None,
    }
    statement = insert(events).values(row).on_conflict_do_nothing(index_elements=["key"])
    stored = (await db.execute(statement.returning(*shown(events)))).one_or_none()
    return None if stored is None else StoredEvent(**stored._mapping)


async def keep_publications_out(db: AsyncConnection) -> None:
    """Let nobody publish a journey until the transaction ends: who hears of what stays as it was read after this."""
    await db.execute(text("LOCK TABLE journey_versions IN SHARE MODE"))


async def alone(db: AsyncConnection, work: str) -> bool:
    """Whether nobody else does this work on all events now; if so, nobody else does until the transaction ends."""
    asked = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:work, 0))")
    return bool((await db.execute(asked, {"work": f"events/{work}"})).scalar_one())


async def unrouted(db: AsyncConnection, *, limit: int, older_than: datetime, after: int = 0) -> list[StoredEvent]:
    """Events received up to `older_than` that no journey has heard of yet, oldest first, those after the id `after`."""
    waiting = select(*shown(events)).where(
        events.c.routed_at.is_(None), events.c.id > after, events.c.received_at <= older_than
    )
    return [StoredEvent(**row._mapping) for row in await db.execute(waiting.order_by(events.c.id).limit(limit))]


async def concerning(
    db: AsyncConnection, ids: Sequence[int], awaited: Collection[str], ways: Sequence[Way], now: datetime
) -> list[Concern]:
    """Mark as routed those of these events that concern nobody; returns the others that are not routed yet.

    An event concerns somebody when it meets one of the `ways` into live journeys, or when an open run of its customer
    awaits it. `awaited` are all names that any version of a journey may ever await: an event of another name is passed
    over by one statement, without a look at the runs. For the rest, turns in progress are waited for, so that a run
    which is about to await an event is seen here, or sees the event itself.
    """
    names = {*awaited, *(name for name, _ in ways)}
    left = and_(events.c.id == func.any(literal(list(ids), ARRAY(BigInteger))), events.c.routed_at.is_(None))
    passed = await db.execute(update(events).where(left, events.c.name.not_in(names)).values(routed_at=now))
    if passed.rowcount == len(ids):
        return []
    await db.execute(
        select(enrolments.c.id)
        .where(
            enrolments.c.customer_id.in_(select(events.c.customer_id).where(left, events.c.name.in_(list(awaited)))),
            enrolments.c.status.in_(OPEN),
        )
        .order_by(enrolments.c.id)
        .with_for_update(read=True)
    )
    runs: dict[int, list[Enrolment]] = {}
    pairs = (
        select(events.c.id.label("_event"), *enrolments.c)
        .join_from(events, enrolments, enrolments.c.customer_id == events.c.customer_id)
        .where(left, enrolments.c.status.in_(OPEN), enrolments.c.awaiting.contains(array([events.c.name])))
        .order_by(enrolments.c.id)
    )
    for row in await db.execute(pairs):
        values = dict(row._mapping)
        runs.setdefault(values.pop("_event"), []).append(Enrolment(**values))
    found = []
    flags = [_meets(way).label(f"way_{number}") for number, way in enumerate(ways)]
    for row in await db.execute(select(*shown(events), *flags).where(left).order_by(events.c.id)):
        values = dict(row._mapping)
        met = tuple(number for number in range(len(flags)) if values.pop(f"way_{number}"))
        found.append(Concern(StoredEvent(**values), met, tuple(runs.get(row.id, ()))))
    await mark_routed(db, [one.event.id for one in found if not one.ways and not one.awaiting], now)
    return [one for one in found if one.ways or one.awaiting]


def _meets(way: Way) -> ColumnElement[bool]:
    name, tests = way
    return and_(events.c.name == name, *event_meets(tests))


async def mark_routed(db: AsyncConnection, ids: Iterable[int], at: datetime) -> None:
    """Notes that the journeys have heard of these events."""
    if these := list(ids):
        heard = update(events).where(events.c.id == func.any(literal(these, ARRAY(BigInteger))))
        await db.execute(heard.where(events.c.routed_at.is_(None)).values(routed_at=at))
