"""Addresses that get nothing more, whoever owns them: dead ones, and those whose owners complained or left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from records.tables import suppressions

Reason = Literal["bounced", "complained", "unsubscribed", "manual"]


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address of one channel, why it is closed, who said so (`source`) and when."""

    channel: str
    address: str
    reason: Reason
    source: str
    at: datetime


async def add(db: AsyncConnection, channel: str, address: str, reason: Reason, *, source: str, at: datetime) -> bool:
    """Closes an address; False when it was closed before. A complaint replaces any milder reason."""
    row = {"channel": channel, "address": _clean(address), "reason": reason, "source": source, "at": at}
    statement = insert(suppressions).values(row)
    if reason == "complained":
        statement = statement.on_conflict_do_update(
            constraint=suppressions.primary_key,
            set_={name: statement.excluded[name] for name in ("reason", "source", "at")},
            where=suppressions.c.reason != reason,
        )
    else:
        statement = statement.on_conflict_do_nothing()
    return (await db.execute(statement.returning(suppressions.c.address))).one_or_none() is not None


async def remove(db: AsyncConnection, channel: str, address: str) -> bool:
    """Opens an address again; False when it was not closed."""
    statement = delete(suppressions).where(_is(channel, address)).returning(suppressions.c.address)
    return (await db.execute(statement)).one_or_none() is not None


async def find(db: AsyncConnection, channel: str, address: str) -> Suppression | None:
    """Why the address is closed; None when it is open."""
    row = (await db.execute(select(suppressions).where(_is(channel, address)))).one_or_none()
    return None if row is None else Suppression(**row._mapping)


async def list_all(db: AsyncConnection, *, channel: str | None = None) -> list[Suppression]:
    """All closed addresses, of one channel if given, newest first."""
    query = select(suppressions).order_by(suppressions.c.at.desc(), suppressions.c.address)
    if channel is not None:
        query = query.where(suppressions.c.channel == channel)
    return [Suppression(**row._mapping) for row in await db.execute(query)]


def _is(channel: str, address: str) -> ColumnElement[bool]:
    return (suppressions.c.channel == channel) & (suppressions.c.address == _clean(address))


def _clean(address: str) -> str:
    return address.strip().lower()
