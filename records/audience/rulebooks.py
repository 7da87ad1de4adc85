"""Rules that were published from a file: which are in force, which were at a past moment, who published them, and
whether everybody has been looked at by them since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from records.tables import rulebooks

SCORING, LIFECYCLE = "scoring", "lifecycle"


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Rules that are or were in force. `applied_at` is when everybody had been looked at by them for the first time
    (UTC)."""

    id: int
    name: str
    definition: dict[str, Any]
    digest: str
    published_at: datetime
    published_by: str
    applied_at: datetime | None


async def find(db: AsyncConnection, name: str, at: datetime | None = None) -> Rulebook | None:
    """The rules of this name that are in force, or were at a past moment; None when there were none yet."""
    query = _last(name)
    if at is not None:
        query = query.where(rulebooks.c.published_at <= at)
    row = (await db.execute(query)).one_or_none()
    return None if row is None else Rulebook(**row._mapping)


async def publish(
    db: AsyncConnection, name: str, definition: Mapping[str, Any], digest: str, *, by: str, now: datetime
) -> bool:
    """Bring rules into force; False when those in force mean the same."""
    await db.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"rulebook/{name}", 0))))
    present = await find(db, name)
    if present is not None and present.digest == digest:
        return False
    await db.execute(
        insert(rulebooks).values(
            name=name, definition=dict(definition), digest=digest, published_at=now, published_by=by
        )
    )
    return True


async def applied(db: AsyncConnection, name: str, digest: str, now: datetime) -> None:
    """Note that everybody has been looked at by these rules, if they are still those in force."""
    present = _last(name).with_only_columns(rulebooks.c.id).scalar_subquery()
    mine = (rulebooks.c.id == present, rulebooks.c.digest == digest, rulebooks.c.applied_at.is_(None))
    await db.execute(update(rulebooks).where(*mine).values(applied_at=now))


def _last(name: str) -> Select[Any]:
    return select(rulebooks).where(rulebooks.c.name == name).order_by(rulebooks.c.id.desc()).limit(1)
