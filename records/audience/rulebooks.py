"""Rules in force that were published from a file: who published them, and whether they were carried out since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from records.tables import rulebooks

SCORING = "scoring"


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Rules in force. `applied_at` is when everybody had been looked at by them for the first time (UTC)."""

    name: str
    definition: dict[str, Any]
    digest: str
    published_at: datetime
    published_by: str
    applied_at: datetime | None


async def find(db: AsyncConnection, name: str) -> Rulebook | None:
    """The rules of this name that are in force."""
    row = (await db.execute(select(rulebooks).where(rulebooks.c.name == name))).one_or_none()
    return None if row is None else Rulebook(**row._mapping)


async def publish(
    db: AsyncConnection, name: str, definition: Mapping[str, Any], digest: str, *, by: str, now: datetime
) -> bool:
    """Bring rules into force; False when those in force mean the same."""
    fresh = insert(rulebooks).values(
        name=name, definition=dict(definition), digest=digest, published_at=now, published_by=by
    )
    values = {key: fresh.excluded[key] for key in ("definition", "digest", "published_at", "published_by")}
    written = fresh.on_conflict_do_update(
        index_elements=["name"], set_=values | {"applied_at": None}, where=rulebooks.c.digest != fresh.excluded.digest
    )
    return (await db.execute(written.returning(rulebooks.c.name))).one_or_none() is not None


async def applied(db: AsyncConnection, name: str, digest: str, now: datetime) -> None:
    """Note that everybody has been looked at by these rules, if they are still those in force."""
    mine = (rulebooks.c.name == name, rulebooks.c.digest == digest, rulebooks.c.applied_at.is_(None))
    await db.execute(update(rulebooks).where(*mine).values(applied_at=now))
