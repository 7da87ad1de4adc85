"""Mails to those who sell: decided on, claimed before they leave, settled after. None goes twice.

As in the ledger of messages to customers, a claim that is found by a later attempt may or may not have gone; here it
is never sent again, because a reminder that comes twice is worse than one that a person must look for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.team import Person
from records.tables import notices

Kind = Literal["assigned", "reminder", "reassigned", "escalation", "day"]
Status = Literal["pending", "claimed", "sent", "skipped", "failed", "uncertain"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One mail. `due_at` is when it is to go, or to be tried again."""

    id: int
    key: str
    kind: Kind
    task_id: int | None
    recipient: str
    address: str
    status: Status
    because: str | None
    attempts: int
    created_at: datetime
    due_at: datetime
    settled_at: datetime | None


async def plan(
    db: AsyncConnection,
    *,
    key: str,
    kind: Kind,
    recipient: str,
    address: str,
    now: datetime,
    due: datetime | None = None,
    task: int | None = None,
) -> None:
    """Decide on a mail, which is to go when it is `due`, or at once; one of the same key is there once."""
    row = {
        "key": key, "kind": kind, "task_id": task, "recipient": recipient, "address": address,
        "created_at": now, "due_at": due or now,
    }  # fmt: skip
    await db.execute(insert(notices).values(row).on_conflict_do_nothing(index_elements=["key"]))


async def about(
    db: AsyncConnection,
    kind: Kind,
    task_id: int,
    to: Person | None,
    which: str,
    now: datetime,
    due: datetime | None = None,
) -> None:
    """Decide on a mail about a task that is kept, to somebody, once for each `which`; its workflow sends it."""
    if to is not None:
        key = f"{kind}/{task_id}/{which}"
        await plan(db, key=key, kind=kind, recipient=to.name, address=to.email, now=now, due=due, task=task_id)


async def next_for(db: AsyncConnection, task_id: int) -> datetime | None:
    """When the next mail about a task is to go; None when none is."""
    waiting = select(func.min(notices.c.due_at)).where(notices.c.task_id == task_id, notices.c.status == "pending")
    found: datetime | None = (await db.execute(waiting)).scalar()
    return found


async def for_task(db: AsyncConnection, task_id: int) -> list[Notice]:
    """Every mail about a task, in the order in which they were decided on."""
    mine = select(notices).where(notices.c.task_id == task_id).order_by(notices.c.id)
    return [Notice(**row._mapping) for row in await db.execute(mine)]


async def find(db: AsyncConnection, key: str) -> Notice | None:
    """The mail of this key; None where none was decided on."""
    row = (await db.execute(select(notices).where(notices.c.key == key))).one_or_none()
    return None if row is None else Notice(**row._mapping)


async def claim(db: AsyncConnection, notice_id: int) -> Notice | None:
    """Take a mail that waits, before it leaves; None when somebody else has, or it is settled. Commit it first."""
    waiting = update(notices).where(notices.c.id == notice_id, notices.c.status == "pending")
    row = (
        await db.execute(waiting.values(status="claimed", attempts=notices.c.attempts + 1).returning(notices))
    ).one_or_none()
    return None if row is None else Notice(**row._mapping)


async def settle(
    db: AsyncConnection, notice_id: int, status: Status, *, at: datetime, because: str | None = None
) -> None:
    """Record how a mail ended that was claimed. What turns out to have gone counts, also where it was doubted."""
    doubtful = ("claimed", "uncertain") if status == "sent" else ("pending", "claimed")
    ended = update(notices).where(notices.c.id == notice_id, notices.c.status.in_(doubtful))
    await db.execute(ended.values(status=status, settled_at=at, because=because))


async def put_off(db: AsyncConnection, notice_id: int, until: datetime, because: str) -> None:
    """Give a claimed mail back, to be tried again: it surely did not go."""
    later = update(notices).where(notices.c.id == notice_id, notices.c.status == "claimed")
    await db.execute(later.values(status="pending", due_at=until, because=because))
