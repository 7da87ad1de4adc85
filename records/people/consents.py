"""Who agreed to hear from us on which channel. Only ever added to: the latest entry counts, all stay as evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from records.tables import consents, shown

LATEST = (consents.c.at.desc(), consents.c.id.desc())


@dataclass(frozen=True, slots=True)
class Consent:
    """One entry: given or withdrawn, where it was said, and when."""

    id: int
    customer_id: int
    channel: str
    granted: bool
    source: str
    at: datetime


async def record(db: AsyncConnection, customer_id: int, channel: str, granted: bool, source: str, at: datetime) -> None:
    """Adds an entry; `source` says where the person said so, such as "sign-up form"."""
    entry = {"customer_id": customer_id, "channel": channel, "granted": granted, "source": source, "at": at}
    await db.execute(insert(consents).values(entry))


async def granted(db: AsyncConnection, customer_id: int, channel: str) -> bool:
    """Whether the latest entry for the channel is a grant; no entry is no consent."""
    return bool(await latest(db, customer_id, channel))


async def latest(db: AsyncConnection, customer_id: int, channel: str) -> bool | None:
    """What the latest entry for the channel says; None when there is none."""
    mine = select(consents.c.granted).where(consents.c.customer_id == customer_id, consents.c.channel == channel)
    said: bool | None = (await db.execute(mine.order_by(*LATEST).limit(1))).scalar()
    return said


async def history(db: AsyncConnection, customer_id: int) -> list[Consent]:
    """All entries of a customer, oldest first."""
    mine = select(*shown(consents)).where(consents.c.customer_id == customer_id)
    return [Consent(**row._mapping) for row in await db.execute(mine.order_by(consents.c.at, consents.c.id))]


async def declare(
    db: AsyncConnection,
    customer_id: int,
    stated: Mapping[str, bool],
    *,
    source: str,
    at: datetime,
    regrant: bool = False,
) -> tuple[bool, tuple[str, ...]]:
    """Adds what is new in `stated` (channel → granted) and leaves the rest.

    A list that grants what the person has withdrawn is out of date, so the withdrawal stands unless `regrant`.
    Returns whether anything was added, and the channels whose withdrawal stands.
    """
    latest = (
        select(consents.c.channel, consents.c.granted)
        .where(consents.c.customer_id == customer_id)
        .ext(distinct_on(consents.c.channel))
        .order_by(consents.c.channel, *LATEST)
    )
    rows = (await db.execute(latest)).all()
    known = cast("dict[str, bool]", {row.channel: row.granted for row in rows})
    news = {channel: value for channel, value in stated.items() if known.get(channel) is not value}
    withdrawn = () if regrant else tuple(sorted(c for c, value in news.items() if value and c in known))
    entries = [
        {"customer_id": customer_id, "channel": channel, "granted": value, "source": source, "at": at}
        for channel, value in news.items()
        if channel not in withdrawn
    ]
    if entries:
        await db.execute(insert(consents).values(entries))
    return bool(entries), withdrawn
