"""Broadcasts in the records: what was started, who gets it, and the ledger written in sets.

Every message of a broadcast is a touch, claimed before it leaves and settled after; the database allows one for each
broadcast and customer. A broadcast is worked in shards. A shard's row says who works on it (`epoch`: whoever takes it
over raises it), how far it has come (`cursor`), and up to which customer its messages may have left (`leaving`). That
is written before they leave, by the owner of the epoch only. So whoever takes over knows: claims up to there are
doubtful, claims beyond it have surely not left, and nobody who was taken for dead sends anything more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, BIT, TIMESTAMP, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.broadcast import Broadcast
from journeys.errors import WaymarkError
from records.conditions import compile_condition
from records.messages.ledger import Recipient, as_recipient, recipients
from records.tables import broadcast_shards, broadcasts, customers, events, holds, segment_members, touches

Status = Literal["planned", "running", "paused", "finished", "cancelled", "failed"]
OPEN: tuple[Status, ...] = ("planned", "running", "paused")
"""A broadcast that has not ended."""


class UnknownBroadcast(WaymarkError):
    """Nothing was started under this name. `waymark broadcasts list` shows what was."""


@dataclass(frozen=True, slots=True)
class BroadcastRow:
    """A broadcast that was started; times in UTC. `progress` is what it tells of itself beside the ledger."""

    id: int
    name: str
    definition: dict[str, Any]
    status: Status
    winner: str | None
    progress: dict[str, Any]
    created_at: datetime
    created_by: str
    starts_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def broadcast(self) -> Broadcast:
        """What was stated when it was started."""
        return Broadcast.model_validate(self.definition)


@dataclass(frozen=True, slots=True)
class Addressee:
    """One of those whom a broadcast means; `held` when the customer itself is paused."""

    id: int
    recipient: Recipient
    held: bool


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
    """How a claimed touch ended; `put off` gives the claim back."""

    key: str
    status: Literal["sent", "failed", "uncertain", "put off"]
    because: str | None = None
    subject: str | None = None
    locale: str | None = None
    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard that was taken over: from now on only who knows its `epoch` sends for it."""

    epoch: int
    cursor: int
    doubtful: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether messages may leave: the broadcast's status, and the hold that keeps them, in words."""

    status: Status
    held: str | None


@dataclass(frozen=True, slots=True)
class ArmResult:
    """What came of one arm (None: the broadcast has none): touches by status, and people who opened, clicked, did."""

    arm: str | None
    sent: int
    opened: int
    clicked: int
    converted: int


async def create(
    db: AsyncConnection, name: str, definition: dict[str, Any], *, starts_at: datetime, by: str, now: datetime
) -> BroadcastRow | None:
    """Put a broadcast down to be sent; None where one of this name was."""
    row = {"name": name, "definition": definition, "starts_at": starts_at, "created_by": by, "created_at": now}
    made = insert(broadcasts).values(row).on_conflict_do_nothing(index_elements=["name"]).returning(*broadcasts.c)
    found = (await db.execute(made)).one_or_none()
    return None if found is None else BroadcastRow(**found._mapping)


async def get(db: AsyncConnection, broadcast: int) -> BroadcastRow:
    """A broadcast by its number. Raises `UnknownBroadcast`."""
    return await _one(db, broadcasts.c.id == broadcast, str(broadcast))


async def find(db: AsyncConnection, name: str) -> BroadcastRow:
    """A broadcast by its name. Raises `UnknownBroadcast`."""
    return await _one(db, broadcasts.c.name == name, name)


async def _one(db: AsyncConnection, which: ColumnElement[bool], named: str) -> BroadcastRow:
    row = (await db.execute(select(broadcasts).where(which))).one_or_none()
    if row is None:
        raise UnknownBroadcast(
            f"No broadcast {named} was started.", hint="`waymark broadcasts list` shows those that were."
        )
    return BroadcastRow(**row._mapping)


async def listing(db: AsyncConnection) -> list[BroadcastRow]:
    """All broadcasts, the newest first."""
    return [
        BroadcastRow(**row._mapping) for row in await db.execute(select(broadcasts).order_by(broadcasts.c.id.desc()))
    ]


async def change(db: AsyncConnection, broadcast: int, status: Status, *, only: Sequence[Status]) -> bool:
    """Bring a broadcast from one of these states to another; False where it is in none of them."""
    changed = update(broadcasts).where(broadcasts.c.id == broadcast, broadcasts.c.status.in_(only))
    return (await db.execute(changed.values(status=status))).rowcount == 1


async def begin(db: AsyncConnection, broadcast: int, now: datetime) -> BroadcastRow:
    """Note that a broadcast begins, and let it run unless somebody paused or cancelled it; returns it as it stands."""
    status = case((broadcasts.c.status == "planned", "running"), else_=broadcasts.c.status)
    values = {"status": status, "started_at": func.coalesce(broadcasts.c.started_at, now)}
    row = await db.execute(
        update(broadcasts).where(broadcasts.c.id == broadcast).values(values).returning(*broadcasts.c)
    )
    return BroadcastRow(**row.one()._mapping)


async def finish(db: AsyncConnection, broadcast: int, status: Status, now: datetime) -> str:
    """Note that a broadcast has ended; returns how, which is as somebody said before."""
    ended = case((broadcasts.c.status.in_(OPEN), status), else_=broadcasts.c.status)
    values = {"status": ended, "finished_at": func.coalesce(broadcasts.c.finished_at, now)}
    done = update(broadcasts).where(broadcasts.c.id == broadcast).values(values).returning(broadcasts.c.status)
    said: str = (await db.execute(done)).scalar_one()
    return said


async def note(db: AsyncConnection, broadcast: int, told: dict[str, Any]) -> None:
    """Put these words into what a broadcast tells of itself."""
    await db.execute(
        update(broadcasts).where(broadcasts.c.id == broadcast).values(progress=broadcasts.c.progress.concat(told))
    )


async def crown(db: AsyncConnection, broadcast: int, winner: str, told: dict[str, Any]) -> str:
    """Let an arm win, with what it was decided by; returns the winner, which is another where one had won before."""
    won = (
        update(broadcasts)
        .where(broadcasts.c.id == broadcast, broadcasts.c.winner.is_(None))
        .values(winner=winner, progress=broadcasts.c.progress.concat({"decision": told}))
    )
    await db.execute(won)
    said: str = (await db.execute(select(broadcasts.c.winner).where(broadcasts.c.id == broadcast))).scalar_one()
    return said


def meant(of: Broadcast, since: datetime) -> ColumnElement[bool]:
    """Whom a broadcast means, over a row of `customers`: who meets its condition, or belongs to its segment and did
    when it began (`since`)."""
    if of.where is not None:
        return compile_condition(of.where, since)
    mine = segment_members.c.segment == of.segment, segment_members.c.since <= since
    return customers.c.id.in_(select(segment_members.c.customer_id).where(*mine))


def _drawn(of: Broadcast) -> ColumnElement[bool]:
    """Whether a customer is of the trial: the same lot as `Broadcast.in_trial` draws, in SQL."""
    assert of.ab is not None
    digest = func.sha256(func.convert_to(func.concat(of.lot, "/", customers.c.id), "UTF8"))
    digits = func.concat("x", func.left(func.encode(digest, "hex"), 14))
    # 56 bits, where `fraction` takes the first 53.
    return cast(cast(digits, BIT(56)), BigInteger) < math.ceil(of.ab.share * (1 << 53)) << 3


Part = Literal["all", "trial", "rest"]


def _page(
    of: Broadcast,
    *,
    since: datetime,
    part: Part = "all",
    zones: Sequence[tuple[str, str]] | None = None,
    besides: int | None = None,
    shard: tuple[int, int] = (0, 1),
) -> list[ColumnElement[bool]]:
    """What holds for those of one leg: of this part, living in these zones, without a touch of broadcast `besides`."""
    tests = [meant(of, since)]
    if part == "trial":
        tests.append(_drawn(of))
    if zones is not None:
        lives = func.concat(customers.c.time_zone, "/", customers.c.country)
        tests.append(lives.in_([f"{zone}/{country}" for zone, country in zones]))
    if besides is not None:
        mine = touches.c.broadcast_id == besides, touches.c.customer_id == customers.c.id
        tests.append(not_(exists().where(*mine)))
    if shard[1] > 1:
        tests.append(customers.c.id % shard[1] == shard[0])
    return tests


async def page(db: AsyncConnection, of: Broadcast, *, after: int, limit: int, **leg: Any) -> list[Addressee]:
    """The next of those whom a leg means, by their numbers, those after the number `after`; see `_page`."""
    held = exists().where(holds.c.kind == "customer", holds.c.name == cast(customers.c.id, Text))
    query: Select[Any] = recipients(of.channel).add_columns(held.label("held_"))
    rows = await db.execute(
        query.where(customers.c.id > after, *_page(of, **leg)).order_by(customers.c.id).limit(limit)
    )
    found = []
    for row in rows:
        columns = dict(row._mapping)
        held_ = columns.pop("held_")
        found.append(Addressee(columns["id"], as_recipient(columns), held_))
    return found


async def count(db: AsyncConnection, of: Broadcast, **leg: Any) -> int:
    """How many a leg means; see `_page`."""
    return int((await db.execute(select(func.count()).select_from(customers).where(*_page(of, **leg)))).scalar_one())


async def zones(db: AsyncConnection, of: Broadcast, since: datetime) -> list[tuple[str, str]]:
    """Every pair of time zone and country (empty where unknown) that somebody has whom a broadcast means."""
    zone, country = func.coalesce(customers.c.time_zone, ""), func.coalesce(customers.c.country, "")
    rows = await db.execute(select(zone, country).where(meant(of, since)).distinct().order_by(zone, country))
    return [(row[0], row[1]) for row in rows]


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
    customer = func.unnest(_array(sorted(ids), BigInteger)).column_valued("customer")
    key = func.hashtextextended(func.concat("caps/", customer), 0)
    await db.execute(select(func.count(func.pg_advisory_xact_lock(key))).select_from(customer))


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
    moment = literal(at, TIMESTAMP(timezone=True))
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
            | {"settled_at": literal(at, TIMESTAMP(timezone=True))}
        )
    )


async def take_over(db: AsyncConnection, broadcast: int, shard: int, shards: int, leg: int) -> Shard:
    """Become the one who works on a shard. What somebody before us had claimed and maybe sent is doubtful from now
    on; what he had claimed and surely not sent is free again."""
    row = {"broadcast_id": broadcast, "shard": shard, "leg": leg, "epoch": 1}
    here = insert(broadcast_shards).values(row)
    mine = (
        await db.execute(
            here.on_conflict_do_update(
                index_elements=["broadcast_id", "shard"], set_={"epoch": broadcast_shards.c.epoch + 1}
            ).returning(*broadcast_shards.c)
        )
    ).one()
    left = and_(
        touches.c.broadcast_id == broadcast, touches.c.status == "claimed", touches.c.customer_id % shards == shard
    )
    why = "the worker died while the message was leaving"
    doubt = update(touches).where(left, touches.c.customer_id <= mine.leaving).values(status="uncertain", because=why)
    doubtful = (await db.execute(doubt)).rowcount
    await db.execute(delete(touches).where(left, touches.c.customer_id > mine.leaving))
    cursor = mine.cursor if mine.leg == leg else 0
    await db.execute(
        update(broadcast_shards)
        .where(broadcast_shards.c.broadcast_id == broadcast, broadcast_shards.c.shard == shard)
        .values(leg=leg, cursor=cursor, leaving=cursor)
    )
    return Shard(mine.epoch, cursor, doubtful)


async def standing(
    db: AsyncConnection, broadcast: int, shard: int, epoch: int, *, channel: str, **marks: int
) -> Standing | None:
    """Whether messages may leave; and with it the marks: that those up to customer `leaving` are about to leave, that
    everybody up to `cursor` is done with. None when somebody else has taken the shard over: then nothing may."""
    mine = (
        broadcast_shards.c.broadcast_id == broadcast,
        broadcast_shards.c.shard == shard,
        broadcast_shards.c.epoch == epoch,
    )
    status = select(broadcasts.c.status).where(broadcasts.c.id == broadcast).scalar_subquery()
    held = select(func.row_to_json(holds.table_valued())).where(_over(channel)).order_by(holds.c.since).limit(1)
    moved = (
        update(broadcast_shards)
        .where(*mine)
        .values(marks or {"epoch": epoch})
        .returning(status.label("status"), held.scalar_subquery().label("held"))
    )
    row = (await db.execute(moved)).one_or_none()
    return None if row is None else Standing(row.status, _held_words(row.held) if row.held else None)


async def tallies(db: AsyncConnection, broadcast: int) -> dict[tuple[str, str | None], int]:
    """How many touches of a broadcast have each status and, where one is given, each reason."""
    why = touches.c.because
    query = select(touches.c.status, why, func.count()).where(touches.c.broadcast_id == broadcast)
    return {(row[0], row[1]): row[2] for row in await db.execute(query.group_by(touches.c.status, why))}


async def pace(db: AsyncConnection, broadcast: int, since: datetime) -> int:
    """How many messages of a broadcast went after a moment."""
    sent = touches.c.broadcast_id == broadcast, touches.c.status == "sent", touches.c.settled_at > since
    return int((await db.execute(select(func.count()).where(*sent))).scalar_one())


async def results(
    db: AsyncConnection, broadcast: int, *, event: str | None = None, until: datetime | None = None
) -> list[ArmResult]:
    """What came of each arm until a moment: of those who got it, who opened, who clicked, and who did `event` after.
    Nobody counts twice."""
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
    sent = touches.c.broadcast_id == broadcast, touches.c.status == "sent"
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


def _over(channel: str) -> ColumnElement[bool]:
    """The holds under which nothing of a channel goes."""
    return or_(holds.c.kind == "all", and_(holds.c.kind == "channel", holds.c.name == channel))


def _held_words(hold: Mapping[str, Any]) -> str:
    what = "everything" if hold["kind"] == "all" else f"the channel {hold['name']}"
    because = f": {hold['because']}" if hold["because"] else ""
    return f"{what} is {'stopped' if hold['mode'] == 'stop' else 'paused'} by {hold['by']}{because}"


def _array(values: Sequence[Any], kind: Any) -> ColumnElement[Any]:
    return literal(list(values), ARRAY(kind))


def _rows(name: str, **columns: tuple[Any, list[Any]]) -> Any:
    """Columns of equal length as a table of the statement."""
    arrays = [_array(values, kind) for kind, values in columns.values()]
    return func.unnest(*arrays).table_valued(*columns, name=name).render_derived()
