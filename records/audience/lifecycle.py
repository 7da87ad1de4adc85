"""Which stage of the lifecycle customers are in, and how they moved: each move is on the timeline, and an event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, ColumnElement, Text, case, exists, func, insert, literal, null, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_unless_there
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.lifecycle import CHANGED, Lifecycle
from records.conditions import compile_condition
from records.events import StoredEvent
from records.memory import roomy
from records.tables import changes, customers, events, shown

NAME = "lifecycle"
"""The name under which moves stand among the changes of stages."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How many customers came from one stage to another."""

    old: str
    new: str
    customers: int


async def evaluate(
    db: AsyncConnection,
    rules: Lifecycle,
    now: datetime,
    customer_ids: Sequence[int] | None = None,
    *,
    newcomers_from: str | None = None,
    newcomers_only: bool = False,
    heard: bool = True,
) -> int:
    """Put everybody, or these, or only who is in no stage yet, into the stage that holds at `now`; returns how many
    moved.

    Who was in no stage yet comes into theirs silently, unless `newcomers_from` names the stage that they came from.
    Unless the moves are to be `heard`, they stand on the timeline and no journey is told.
    """
    ids = literal(list(customer_ids or ()), ARRAY(BigInteger))
    mine = customers.c.id == func.any(ids) if customer_ids is not None else true()
    if customer_ids is None:
        await roomy(db)
    stage = _stage(rules, now)
    if newcomers_only:
        mine &= customers.c.lifecycle.is_(None)
    misplaced = (mine, customers.c.lifecycle.is_distinct_from(stage))
    # For a few, a short question first: mostly nobody moves.
    if customer_ids is not None and not (await db.execute(select(exists().where(*misplaced)))).scalar_one():
        return 0
    # Locked rows are read again when somebody else has just changed them: nobody moves twice.
    due = (
        select(customers.c.id, func.coalesce(customers.c.lifecycle, newcomers_from).label("old"), stage.label("new"))
        .where(*misplaced)
        .order_by(customers.c.id)
        .with_for_update(key_share=True, of=customers)
        .cte("due")
    )
    settled = (
        update(customers).where(customers.c.id == due.c.id).values(lifecycle=due.c.new)
        .returning(customers.c.id, due.c.old, due.c.new).cte("settled")
    )  # fmt: skip
    moved = (
        select(settled).where(settled.c.old.is_distinct_from(settled.c.new), settled.c.old.is_not(None)).cte("moved")
    )
    reasons = [(moved.c.new == one.stage, literal(one.because)) for one in rules.stages]
    noted = insert(changes).from_select(
        ["customer_id", "kind", "name", "old", "new", "because", "at"],
        select(moved.c.id, literal("stage"), literal(NAME), moved.c.old, moved.c.new,
               case(*reasons, else_="no stage holds"), literal(now, changes.c.at.type)),
    ).cte("noted")  # fmt: skip
    key = func.concat_ws("/", literal(NAME), moved.c.id, moved.c.new, literal(now.isoformat()))
    moment = literal(now, events.c.occurred_at.type)
    said = func.jsonb_build_object(literal("from"), moved.c.old, literal("to"), moved.c.new)
    told = insert_unless_there(events).from_select(
        ["customer_id", "name", "occurred_at", "received_at", "key", "properties", "routed_at"],
        select(moved.c.id, literal(CHANGED), moment, moment, key, func.jsonb_strip_nulls(said),
               null() if heard else moment),
    ).on_conflict_do_nothing(index_elements=["key"]).cte("told")  # fmt: skip
    counted = select(func.count()).select_from(moved).add_cte(noted, told)
    return int((await db.execute(counted)).scalar_one())


async def unrouted(
    db: AsyncConnection, *, limit: int, after: int = 0, customer_ids: Sequence[int] | None = None
) -> list[StoredEvent]:
    """Moves that no journey has heard of yet, oldest first, those after the id `after`."""
    query = select(*shown(events)).where(events.c.routed_at.is_(None), events.c.name == CHANGED, events.c.id > after)
    if customer_ids is not None:
        query = query.where(events.c.customer_id.in_(list(customer_ids)))
    return [StoredEvent(**row._mapping) for row in await db.execute(query.order_by(events.c.id).limit(limit))]


async def counts(db: AsyncConnection) -> dict[str | None, int]:
    """How many customers are in each stage; under None those who are in none or were not looked at yet."""
    query = select(customers.c.lifecycle, func.count()).group_by(customers.c.lifecycle)
    return {row[0]: row[1] for row in await db.execute(query)}


async def moves(db: AsyncConnection, since: datetime, until: datetime) -> list[Moved]:
    """Who came from where to where after one moment and up to another, by stages."""
    c = changes.c
    query = (
        select(func.coalesce(c.old, ""), func.coalesce(c.new, ""), func.count())
        .where(c.kind == "stage", c.name == NAME, c.at > since, c.at <= until)
        .group_by(c.old, c.new)
        .order_by(c.old, c.new)
    )
    return [Moved(*row) for row in await db.execute(query)]


def _stage(rules: Lifecycle, now: datetime) -> ColumnElement[str]:
    asked = [(compile_condition(one.when, now), literal(one.stage)) for one in rules.asked if one.when is not None]
    first = rules.stages[0]
    other: ColumnElement[str] = literal(first.stage) if first.when is None else null().cast(Text)
    return case(*asked, else_=other) if asked else other
