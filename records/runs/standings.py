"""A run under its lock: all that a turn reads of it at its beginning, and writes at its end.

The row and its workflow cannot drift apart: every turn is written under the row's lock together with what it came
to, and a turn that is asked for again is answered from the row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, and_, bindparam, cast, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from records.runs.enrolments import Enrolment, UnknownRun
from records.runs.holds import Hold
from records.runs.orders import PendingOrder
from records.tables import customers, enrolments, events, holds, orders, path


@dataclass(frozen=True, slots=True)
class Standing:
    """An enrolment under lock, with what a turn needs to know of its customer, of the event that brought it in, of
    what holds it, and of what it was told to do.

    `key` is what chance knows the contact by: its external id, or else its number. `channels` are the holds of
    channels, by name.
    """

    enrolment: Enrolment
    time_zone: str | None
    country: str | None
    key: str
    trigger: dict[str, Any] | None
    hold: Hold | None
    channels: dict[str, Hold]
    orders: tuple[PendingOrder, ...]


_HOLD = func.jsonb_build_object(
    "kind", holds.c.kind, "name", holds.c.name, "mode", holds.c.mode, "since", holds.c.since,
    "by", holds.c.by, "because", holds.c.because,
)  # fmt: skip
_HELD = (
    select(_HOLD)
    .where(
        or_(
            holds.c.kind == "all",
            and_(holds.c.kind == "journey", holds.c.name == enrolments.c.journey),
            and_(holds.c.kind == "customer", holds.c.name == cast(enrolments.c.customer_id, Text)),
        ),
        holds.c.mode == "pause",
    )
    .order_by(holds.c.since)
    .limit(1)
    .correlate(enrolments)
    .scalar_subquery()
)
_CHANNELS = select(func.jsonb_object_agg(holds.c.name, _HOLD)).where(holds.c.kind == "channel").scalar_subquery()
_ORDERS = (
    select(
        func.jsonb_agg(
            aggregate_order_by(
                func.jsonb_build_object(
                    "id", orders.c.id, "kind", orders.c.kind, "args", orders.c.args, "by", orders.c.by,
                    "because", orders.c.because,
                ),
                orders.c.id,
            )
        )
    )
    .where(orders.c.enrolment_id == enrolments.c.id, orders.c.taken_at.is_(None))
    .correlate(enrolments)
    .scalar_subquery()
)  # fmt: skip
_LOCK = (
    select(
        enrolments,
        customers.c.time_zone,
        customers.c.country,
        func.coalesce(customers.c.external_id, cast(customers.c.id, Text)).label("key"),
        events.c.properties.label("trigger"),
        _HELD.label("hold"),
        _CHANNELS.label("channels"),
        _ORDERS.label("orders"),
    )
    .join(customers, customers.c.id == enrolments.c.customer_id)
    .outerjoin(events, events.c.id == enrolments.c.event_id)
    .where(enrolments.c.id == bindparam("enrolment"))
    .with_for_update(of=enrolments)
)


async def lock(db: AsyncConnection, enrolment: int) -> Standing:
    """The enrolment, held for the rest of the transaction.

    Raises:
        UnknownRun: there is none of this number; its customer may have been erased.
    """
    row = (await db.execute(_LOCK, {"enrolment": enrolment})).one_or_none()
    # Who waited here for a merge to end still sees the customer who is gone: asked again, the run has its new one.
    row = row or (await db.execute(_LOCK, {"enrolment": enrolment})).one_or_none()
    if row is None:
        raise UnknownRun(f"run {enrolment} is not in the records", hint="its customer may have been erased")
    values = dict(row._mapping)
    zone, country, key, trigger = (values.pop(name) for name in ("time_zone", "country", "key", "trigger"))
    hold, channels, told = (values.pop(name) for name in ("hold", "channels", "orders"))
    return Standing(
        Enrolment(**values),
        zone,
        country,
        key,
        trigger,
        Hold.of(hold) if hold else None,
        {name: Hold.of(one) for name, one in (channels or {}).items()},
        tuple(PendingOrder(**one) for one in told or ()),
    )


_SAVE = (
    update(enrolments)
    .where(enrolments.c.id == bindparam("enrolment"))
    .values({name: bindparam(f"new_{name}") for name in (
        "status", "turn", "instruction", "cursor", "step", "because", "wakes_at", "awaiting", "outcome", "ended_at",
        "version", "held_out",
    )})
)  # fmt: skip


async def save(db: AsyncConnection, enrolment: int, values: dict[str, Any], steps: Iterable[dict[str, Any]]) -> None:
    """Write what a turn came to, and the steps it took."""
    await db.execute(_SAVE, {"enrolment": enrolment, **{f"new_{name}": value for name, value in values.items()}})
    rows = list(steps)
    if rows:
        await db.execute(insert(path), rows)
