"""The ledger of a broadcast, written in sets: a page is claimed, and a bundle settled, by one statement each.

The database allows one touch for each broadcast and customer. It is claimed before its message leaves, and settled
after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    and_,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.broadcast import Broadcast
from records.tables import broadcast_refusals, broadcast_shards, touches

_MOMENT = TIMESTAMP(timezone=True)


@dataclass(frozen=True, slots=True)
class Claim:
    """A row of the ledger to be: `status` is `claimed`, or `skipped` with the reason."""

    customer_id: int
    variant: str | None
    message: str
    key: str
    address: str | None
    status: Literal["claimed", "skipped"]
    because: str | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a claimed touch ended; `put off` gives the claim back. `again`: what failed may go again (`send_again`)."""

    key: str
    status: Literal["sent", "failed", "uncertain", "put off"]
    because: str | None = None
    subject: str | None = None
    locale: str | None = None
    provider_id: str | None = None
    again: bool = False


async def recent(db: AsyncConnection, ids: Sequence[int], since: datetime) -> dict[int, list[tuple[str, datetime]]]:
    """The marketing messages that these customers were sent after a moment: channel and time, the newest first.
    Messages that are just leaving, and those of which nobody knows whether they went, count too."""
    query = (
        select(touches.c.customer_id, touches.c.channel, touches.c.claimed_at)
        .where(
            touches.c.customer_id == func.any(_array(ids, BigInteger)),
            touches.c.status.in_(("claimed", "sent", "uncertain")),
            touches.c.transactional.is_(False),
            touches.c.channel != "webhook",
            touches.c.claimed_at > since,
        )
        .order_by(touches.c.customer_id, touches.c.claimed_at.desc())
    )
    found: dict[int, list[tuple[str, datetime]]] = {}
    for customer, channel, at in await db.execute(query):
        found.setdefault(customer, []).append((channel, at))
    return found


async def one_at_a_time(db: AsyncConnection, ids: Sequence[int]) -> None:
    """Let nobody else claim a message to these customers until the transaction ends; as `ledger.one_at_a_time`."""
    wanted = _rows("wanted", customer=(BigInteger, sorted(ids)))
    key = func.hashtextextended(func.concat("caps/", wanted.c.customer), 0)
    await db.execute(select(func.count(func.pg_advisory_xact_lock(key))).select_from(wanted))


async def claim(db: AsyncConnection, broadcast: int, of: Broadcast, claims: Sequence[Claim], at: datetime) -> set[int]:
    """Take the places of a page by one statement; returns the customers whose place was free."""
    if not claims:
        return set()
    rows = _rows(
        "claims",
        customer_id=(BigInteger, [one.customer_id for one in claims]),
        variant=(Text, [one.variant for one in claims]),
        message=(Text, [one.message for one in claims]),
        key=(Text, [one.key for one in claims]),
        address=(Text, [one.address for one in claims]),
        status=(Text, [one.status for one in claims]),
        because=(Text, [one.because for one in claims]),
    )
    moment = literal(at, _MOMENT)
    settled = case((rows.c.status == "skipped", moment))
    columns = {
        **{name: rows.c[name] for name in rows.c.keys()},  # noqa: SIM118 (a collection of columns is no mapping)
        "broadcast_id": literal(broadcast, BigInteger),
        "channel": literal(of.channel),
        "transactional": literal(of.transactional),
        "claimed_at": moment,
        "settled_at": settled,
        "attempts": literal(1),
    }
    taken = (
        insert(touches)
        .from_select(list(columns), select(*(column.label(name) for name, column in columns.items())))
        .on_conflict_do_nothing()
        .returning(touches.c.customer_id)
    )
    return set((await db.execute(taken)).scalars())


async def settle(db: AsyncConnection, settled: Sequence[Settlement], at: datetime) -> None:
    """Record by one statement each how claimed touches ended. A doubt gives way to knowledge; knowledge to nothing."""
    back = [one.key for one in settled if one.status == "put off"]
    if back:
        unsent = touches.c.key == func.any(_array(back, Text)), touches.c.status.in_(("claimed", "uncertain"))
        await db.execute(delete(touches).where(*unsent))
    known = [one for one in settled if one.status != "put off"]
    if not known:
        return
    rows = _rows(
        "ends",
        key=(Text, [one.key for one in known]),
        status=(Text, [one.status for one in known]),
        because=(Text, [one.because for one in known]),
        subject=(Text, [one.subject for one in known]),
        locale=(Text, [one.locale for one in known]),
        provider_id=(Text, [one.provider_id for one in known]),
    )
    doubtful = or_(touches.c.status == "claimed", and_(touches.c.status == "uncertain", rows.c.status != "uncertain"))
    await db.execute(
        update(touches)
        .where(touches.c.key == rows.c.key, doubtful)
        .values(
            {name: rows.c[name] for name in ("status", "because", "subject", "locale", "provider_id")}
            | {"settled_at": literal(at, _MOMENT)}
        )
    )
    if refused := [one.key for one in known if one.again]:
        failed = select(touches.c.id, touches.c.broadcast_id).where(
            touches.c.key == func.any(_array(refused, Text)), touches.c.status == "failed",
            touches.c.broadcast_id.is_not(None),
        )  # fmt: skip
        kept = insert(broadcast_refusals).from_select(["touch_id", "broadcast_id"], failed)
        await db.execute(kept.on_conflict_do_nothing())


async def send_again(db: AsyncConnection, broadcast: int, now: datetime) -> int:
    """Free the places of those whose message was refused for what it says or who sends it, and let its shards look at
    them again; returns how many. The relay took none of those messages, so nobody gets two."""
    mine = touches.c.id == broadcast_refusals.c.touch_id, touches.c.broadcast_id == broadcast
    freed = delete(touches).where(*mine, touches.c.status == "failed").returning(touches.c.id)
    count = len((await db.execute(freed)).all())
    if count:
        # They may live where no way to come leads: whatever it is, it starts over, and tells of them.
        over = {"leg": 0, "cursor": 0, "again": func.least(broadcast_shards.c.again, literal(now, _MOMENT))}
        await db.execute(update(broadcast_shards).where(broadcast_shards.c.broadcast_id == broadcast).values(over))
    return count


async def give_up(db: AsyncConnection, broadcast: int) -> None:
    """Let those whose message was refused have failed for good."""
    await db.execute(delete(broadcast_refusals).where(broadcast_refusals.c.broadcast_id == broadcast))


def _array(values: Sequence[Any], kind: Any) -> ColumnElement[Any]:
    return literal(list(values), ARRAY(kind))


def _rows(name: str, **columns: tuple[Any, list[Any]]) -> Any:
    """Columns of equal length as a table of the statement."""
    arrays = [_array(values, kind) for kind, values in columns.values()]
    return func.unnest(*arrays).table_valued(*columns, name=name).render_derived()
