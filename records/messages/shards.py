"""Who works on which part of a broadcast, how far it has come, and whether messages may leave.

A shard's row says who works on it (`epoch`: whoever takes it over raises it), how far it has come (`cursor`), and up to
which customer its messages may have left (`leaving`). That is written before they leave, by the owner of the epoch
only. So whoever takes over knows: claims up to there are doubtful, claims beyond it have surely not left, and nobody
who was taken for dead sends anything more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from records.messages.broadcasts import Status
from records.tables import broadcast_shards, broadcasts, holds, touches


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard that was taken over: from now on only who knows its `epoch` sends for it. `again` is when somebody can
    be served (UTC) who was passed over on this way before."""

    epoch: int
    cursor: int
    doubtful: int
    again: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether messages may leave: the broadcast's status, and the hold that keeps them, in words. `again` is when
    somebody can be served (UTC) who was passed over on this way."""

    status: Status
    held: str | None
    again: datetime | None


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
    # No leg: people were given another chance since the last one, who may not be of this one.
    cursor = mine.cursor if mine.leg == leg else 0
    again = mine.again if mine.leg in (leg, 0) else None
    await db.execute(
        update(broadcast_shards)
        .where(broadcast_shards.c.broadcast_id == broadcast, broadcast_shards.c.shard == shard)
        .values(leg=leg, cursor=cursor, leaving=cursor, again=again)
    )
    return Shard(mine.epoch, cursor, doubtful, again)


async def standing(
    db: AsyncConnection,
    broadcast: int,
    shard: int,
    epoch: int,
    *,
    channel: str,
    again: datetime | None = None,
    **marks: int,
) -> Standing | None:
    """Whether messages may leave; and with it the marks: that those up to customer `leaving` are about to leave, that
    everybody up to `cursor` is done with, that somebody who was passed over can be served `again` (the earliest
    counts). None when somebody else has taken the shard over: then nothing may."""
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
        .values(marks | {"again": func.least(broadcast_shards.c.again, literal(again, TIMESTAMP(timezone=True)))})
        .returning(status.label("status"), held.scalar_subquery().label("held"), broadcast_shards.c.again)
    )
    row = (await db.execute(moved)).one_or_none()
    return None if row is None else Standing(row.status, _held_words(row.held) if row.held else None, row.again)


def _over(channel: str) -> ColumnElement[bool]:
    """The holds under which nothing of a channel goes."""
    return or_(holds.c.kind == "all", and_(holds.c.kind == "channel", holds.c.name == channel))


def _held_words(hold: Mapping[str, Any]) -> str:
    what = "everything" if hold["kind"] == "all" else f"the channel {hold['name']}"
    because = f": {hold['because']}" if hold["because"] else ""
    return f"{what} is {'stopped' if hold['mode'] == 'stop' else 'paused'} by {hold['by']}{because}"
