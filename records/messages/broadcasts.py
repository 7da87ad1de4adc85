"""Broadcasts in the records: what was started, by whom, and where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Text,
    case,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.broadcast import Broadcast
from journeys.errors import WaymarkError
from records.tables import broadcasts

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


async def stop(db: AsyncConnection, broadcast: int, because: str) -> None:
    """Pause a broadcast that runs, and say why."""
    running = broadcasts.c.id == broadcast, broadcasts.c.status == "running"
    told = broadcasts.c.progress.concat({"stopped": because})
    await db.execute(update(broadcasts).where(*running).values(status="paused", progress=told))


async def forget(db: AsyncConnection, broadcast: int, word: str) -> None:
    """Take a word out of what a broadcast tells of itself."""
    without = broadcasts.c.progress.op("-", return_type=JSONB())(literal(word, Text))
    await db.execute(update(broadcasts).where(broadcasts.c.id == broadcast).values(progress=without))


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
