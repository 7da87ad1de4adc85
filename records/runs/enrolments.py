"""Runs of customers through journeys: entering, standing, and the way they took.

The row and its workflow cannot drift apart: every turn is written under the row's lock together with what it came
to, and a turn that is asked for again is answered from the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Text, and_, bindparam, case, cast, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.conditions import PropertyTest
from journeys.definition import EveryFew
from journeys.errors import WaymarkError
from journeys.identity import workflow_id
from journeys.timing import add
from journeys.zones import zone_of
from records.conditions import event_meets
from records.tables import customers, enrolments, events, holds, orders, path, touches

_UTC = ZoneInfo("UTC")
Status = Literal["pending", "active", "finished", "exited", "failed"]
OPEN = ("pending", "active")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One entry of a customer into a journey."""

    id: int
    customer_id: int
    journey: str
    version: int
    entry: int
    status: Status
    source: str
    event_id: int | None
    enrolled_at: datetime
    begins_at: datetime
    launched_at: datetime | None
    turn: int
    instruction: dict[str, Any] | None
    cursor: dict[str, Any]
    step: str | None
    because: str | None
    wakes_at: datetime | None
    awaiting: list[str]
    outcome: str | None
    ended_at: datetime | None
    occasion: str | None
    held_out: bool
    workflow: str
    """The Temporal workflow id that it was started as, which outlives a merge of its customer."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold, on a run or on a channel; `since` is when it was laid, in UTC. `records.runs.holds` writes them."""

    kind: Literal["all", "channel", "journey", "customer"]
    name: str
    mode: Literal["pause", "stop"]
    since: datetime
    by: str
    because: str | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> Hold:
        """The hold that the database wrote as JSON."""
        return cls(**{**row, "since": datetime.fromisoformat(row["since"])})

    @property
    def what(self) -> str:
        """What is held: "all", or its kind and its name."""
        return self.kind if self.kind == "all" else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class PendingOrder:
    """What somebody told a run to do, and it has not done yet."""

    id: int
    kind: Literal["skip", "move", "exit", "retry", "resume", "migrate"]
    args: dict[str, Any]
    by: str
    because: str | None


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


@dataclass(frozen=True, slots=True)
class NotEnrolled:
    """Why an entry was refused, in words."""

    because: str


class UnknownRun(WaymarkError):
    """No enrolment bears this number."""


async def enrol(
    db: AsyncConnection,
    *,
    customer_id: int,
    journey: str,
    version: int,
    re_enter: str | EveryFew,
    source: str,
    now: datetime,
    enrolled_at: datetime | None = None,
    event_id: int | None = None,
    occasion: str | None = None,
    awaiting: Sequence[str] = (),
    default_zone: str = "UTC",
) -> Enrolment | NotEnrolled:
    """Enter a customer into a journey, if its rule for entering again allows it.

    The rule is kept here, under an advisory lock of (journey, customer): of two triggers at the same instant in two
    processes one enrols. `enrolled_at` is when the customer came (the trigger's time); `now` is when the run begins.
    An event, and an `occasion` such as this year's birthday, brings a customer into a journey once: asked for again,
    the enrolment that is there is returned.
    """
    await db.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"enrol/{journey}/{customer_id}"}
    )
    same = [enrolments.c.event_id == event_id] if event_id is not None else []
    same += [enrolments.c.occasion == occasion] if occasion is not None else []
    if same:
        repeated = await db.execute(
            select(enrolments)
            .where(enrolments.c.customer_id == customer_id, enrolments.c.journey == journey, or_(*same))
            .order_by(enrolments.c.id)
        )
        if (row := repeated.first()) is not None:
            return Enrolment(**row._mapping)
    earlier = (
        await db.execute(
            select(enrolments.c.entry, enrolments.c.status, enrolments.c.enrolled_at)
            .where(enrolments.c.journey == journey, enrolments.c.customer_id == customer_id)
            .order_by(enrolments.c.entry.desc())
        )
    ).all()
    came = enrolled_at or now
    if earlier:
        zone = await _zone(db, customer_id, default_zone) if isinstance(re_enter, EveryFew) else _UTC
        if refusal := _refusal(re_enter, [row.status for row in earlier], earlier[0].enrolled_at, came, zone):
            return NotEnrolled(refusal)
    entry = earlier[0].entry + 1 if earlier else 1
    row = (
        await db.execute(
            insert(enrolments)
            .values(
                customer_id=customer_id, journey=journey, version=version, source=source, event_id=event_id,
                occasion=occasion, entry=entry, enrolled_at=came, begins_at=now, awaiting=list(awaiting),
                workflow=workflow_id(journey, customer_id, entry),
            )
            .returning(*enrolments.c)
        )
    ).one()  # fmt: skip
    return Enrolment(**row._mapping)


async def _zone(db: AsyncConnection, customer_id: int, default: str) -> ZoneInfo:
    row = (
        await db.execute(select(customers.c.time_zone, customers.c.country).where(customers.c.id == customer_id))
    ).one()
    return zone_of(row.time_zone, row.country, default)


def _refusal(rule: str | EveryFew, statuses: list[str], last: datetime, now: datetime, zone: ZoneInfo) -> str | None:
    if rule == "always":
        return None
    if any(status in OPEN for status in statuses):
        return "is in this journey now"
    if rule == "never":
        return "was in this journey before, and it is entered only once"
    if isinstance(rule, EveryFew):
        again = add(last, rule.after, zone)
        if now < again:
            return f"may enter again on {again:%Y-%m-%d}"
    return None


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


async def get(db: AsyncConnection, enrolment: int) -> Enrolment:
    """One enrolment.

    Raises:
        UnknownRun: there is none of this number.
    """
    row = (await db.execute(select(enrolments).where(enrolments.c.id == enrolment))).one_or_none()
    if row is None:
        raise UnknownRun(f"there is no run {enrolment}", hint="`waymark runs list` shows the runs and their numbers")
    return Enrolment(**row._mapping)


async def listing(
    db: AsyncConnection,
    *,
    journey: str | None = None,
    customer_id: int | None = None,
    status: str | None = None,
    uncertain: bool = False,
    limit: int = 100,
    after: int = 0,
) -> list[Enrolment]:
    """Enrolments by number, narrowed as asked; `uncertain` keeps those with a touch that may or may not have gone."""
    query = select(enrolments).where(enrolments.c.id > after).order_by(enrolments.c.id).limit(limit)
    if journey:
        query = query.where(enrolments.c.journey == journey)
    if customer_id is not None:
        query = query.where(enrolments.c.customer_id == customer_id)
    if status:
        query = query.where(enrolments.c.status == status)
    if uncertain:
        doubtful = select(touches.c.enrolment_id).where(touches.c.status == "uncertain")
        query = query.where(enrolments.c.id.in_(doubtful))
    return [Enrolment(**row._mapping) for row in await db.execute(query)]


@dataclass(frozen=True, slots=True)
class PathStep:
    """One line of the way a run took."""

    turn: int
    seq: int
    step: str
    visit: int
    kind: str
    at: datetime
    detail: dict[str, Any]


async def taken(db: AsyncConnection, enrolment: int) -> list[PathStep]:
    """The way a run took, in order."""
    query = (
        select(path.c.turn, path.c.seq, path.c.step, path.c.visit, path.c.kind, path.c.at, path.c.detail)
        .where(path.c.enrolment_id == enrolment)
        .order_by(path.c.turn, path.c.seq)
    )
    return [PathStep(**row._mapping) for row in await db.execute(query)]


async def concerned(db: AsyncConnection, customer_id: int, event: str) -> list[Enrolment]:
    """The customer's open runs that await an event of this name.

    Waits for turns in progress (a share lock on the customer's open runs): a turn that was about to await the event
    is either seen here, or sees the event itself.
    """
    query = (
        select(enrolments)
        .where(enrolments.c.customer_id == customer_id, enrolments.c.status.in_(OPEN))
        .with_for_update(read=True)
    )
    rows = [Enrolment(**row._mapping) for row in await db.execute(query)]
    return [row for row in rows if event in row.awaiting]


async def unlaunched(
    db: AsyncConnection, *, limit: int, after: int = 0, before: datetime | None = None
) -> list[Enrolment]:
    """Enrolments whose workflow has not been started, by number above `after`: a crash came between the row and the
    start. Those that begin at `before` or later are left out."""
    query = select(enrolments).where(enrolments.c.launched_at.is_(None), enrolments.c.id > after)
    if before is not None:
        query = query.where(enrolments.c.begins_at < before)
    return [Enrolment(**row._mapping) for row in await db.execute(query.order_by(enrolments.c.id).limit(limit))]


async def mark_launched(db: AsyncConnection, enrolment_ids: Sequence[int], at: datetime) -> None:
    """Note that the workflows of these enrolments have been started."""
    if enrolment_ids:
        await db.execute(update(enrolments).where(enrolments.c.id.in_(enrolment_ids)).values(launched_at=at))


async def due(db: AsyncConnection, by: datetime) -> list[int]:
    """The customers of whom a run does something by itself until `by`: it begins, or it wakes."""
    moment = case((enrolments.c.turn == 0, enrolments.c.begins_at), else_=enrolments.c.wakes_at)
    query = select(enrolments.c.customer_id).where(enrolments.c.status.in_(OPEN), moment <= by).distinct()
    return list((await db.execute(query)).scalars())
