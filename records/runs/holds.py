"""Holds: what is paused or stopped, since when, by whom and why.

One hold is one row. `all` holds everything and is named `*`; the others are named by a channel, a journey, or a
customer's own number. A paused run keeps its place; a stopped channel sends nothing until the hold is released.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Text, and_, cast, delete, exists, func, not_, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from records.runs.enrolments import OPEN
from records.tables import enrolments, holds

Kind = Literal["all", "channel", "journey", "customer"]
Mode = Literal["pause", "stop"]
EVERYTHING = "*"
"""The name of the one hold on everything."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold, on a run or on a channel; `since` is when it was laid, in UTC."""

    kind: Kind
    name: str
    mode: Mode
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
class Overdue:
    """How many paused runs stand at one step of one version of a journey."""

    journey: str
    version: int
    step: str
    runs: int


async def hold(
    db: AsyncConnection,
    kind: Kind,
    name: str,
    *,
    mode: Mode = "pause",
    by: str,
    because: str | None,
    now: datetime,
) -> bool:
    """Lay a hold. Returns False where it lies already: it keeps its time and its reason, and only a new mode counts."""
    values = {"kind": kind, "name": name, "mode": mode, "since": now, "by": by, "because": because}
    laid = insert(holds).values(values).on_conflict_do_nothing().returning(holds.c.kind)
    if (await db.execute(laid)).one_or_none() is not None:
        return True
    changed = update(holds).where(_is(kind, name), holds.c.mode != mode).values(values)
    return (await db.execute(changed)).rowcount == 1


async def release(db: AsyncConnection, kind: Kind, name: str) -> Hold | None:
    """Take a hold away; returns it as it was, or None where there was none. Of two who do so at once one gets it."""
    row = (await db.execute(delete(holds).where(_is(kind, name)).returning(*holds.c))).one_or_none()
    return None if row is None else Hold(**row._mapping)


async def find(db: AsyncConnection, kind: Kind, name: str) -> Hold | None:
    """The hold of this name, or None."""
    row = (await db.execute(select(holds).where(_is(kind, name)))).one_or_none()
    return None if row is None else Hold(**row._mapping)


async def listing(db: AsyncConnection) -> list[Hold]:
    """All holds, the oldest first."""
    query = select(holds).order_by(holds.c.since, holds.c.kind, holds.c.name)
    return [Hold(**row._mapping) for row in await db.execute(query)]


async def applies(db: AsyncConnection, *, journey: str, customer_id: int, channel: str | None = None) -> list[Hold]:
    """The holds on a run, the oldest first; those on a channel only where one is named."""
    names = [("all", EVERYTHING), ("journey", journey), ("customer", str(customer_id))]
    names += [("channel", channel)] if channel else []
    query = select(holds).where(or_(*(_is(kind, name) for kind, name in names))).order_by(holds.c.since)
    return [Hold(**row._mapping) for row in await db.execute(query)]


async def overdue(db: AsyncConnection, kind: Kind, name: str) -> list[Overdue]:
    """Where the runs stand that only this hold keeps from going on, and how many."""
    step = func.coalesce(enrolments.c.step, "entry")
    query = (
        select(enrolments.c.journey, enrolments.c.version, step, func.count())
        .where(let_go(kind, name))
        .group_by(enrolments.c.journey, enrolments.c.version, step)
        .order_by(enrolments.c.journey, enrolments.c.version, step)
    )
    return [Overdue(*row) for row in await db.execute(query)]


async def still_held(db: AsyncConnection, kind: Kind, name: str) -> int:
    """How many paused runs another hold would keep where they are, were this one released."""
    query = select(func.count()).where(covers(kind, name), is_paused(), held(besides=(kind, name)))
    return int((await db.execute(query)).scalar_one())


async def count_open(db: AsyncConnection, kind: Kind, name: str) -> int:
    """How many open runs a hold concerns."""
    return int((await db.execute(select(func.count()).where(covers(kind, name)))).scalar_one())


def let_go(kind: Kind, name: str, *, everyone: bool = False) -> ColumnElement[bool]:
    """The runs that go on once this hold is gone: paused ones (or all that it concerned) that no other hold keeps."""
    return and_(covers(kind, name), not_(held(besides=(kind, name))), true() if everyone else is_paused())


def is_open() -> ColumnElement[bool]:
    """Enrolments that have not ended."""
    return enrolments.c.status.in_(OPEN)


def is_paused() -> ColumnElement[bool]:
    """Enrolments that would have gone on, had no hold kept them."""
    # A paused run has no time at which it wakes; saying so lets the index of those times find the few there are.
    at_rest = and_(enrolments.c.status == "active", enrolments.c.wakes_at.is_(None))
    return and_(at_rest, enrolments.c.instruction["status"].astext == "paused")


def covers(kind: Kind, name: str) -> ColumnElement[bool]:
    """Open enrolments that a hold concerns; a hold on a channel only those that stand at a message of it."""
    match kind:
        case "all":
            return is_open()
        case "journey":
            return and_(is_open(), enrolments.c.journey == name)
        case "customer":
            return and_(is_open(), enrolments.c.customer_id == int(name))
        case "channel":
            return and_(is_paused(), _channel() == name)


def held(*, besides: tuple[Kind, str] | None = None) -> ColumnElement[bool]:
    """Enrolments that a pause concerns, one of them left aside."""
    concerned = or_(
        holds.c.kind == "all",
        and_(holds.c.kind == "journey", holds.c.name == enrolments.c.journey),
        and_(holds.c.kind == "customer", holds.c.name == cast(enrolments.c.customer_id, Text)),
        and_(holds.c.kind == "channel", holds.c.name == _channel(), is_paused()),
    )
    others = not_(_is(*besides)) if besides else true()
    return exists(select(holds.c.kind).where(holds.c.mode == "pause", others, concerned).correlate(enrolments))


def _is(kind: str, name: str) -> ColumnElement[bool]:
    return and_(holds.c.kind == kind, holds.c.name == name)


def _channel() -> Any:
    return enrolments.c.instruction["channel"].astext
