"""What a broadcast writes down between two bundles: how the last one ended, and whether the next may leave."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.broadcasts.errand import Errand, heed
from activities.deliveries.bounces import bounced
from activities.deliveries.persistence import persistently
from activities.entering.audience import Router
from records.events import StoredEvent
from records.messages import broadcasts, claims, shards
from records.messages.shards import Standing


class Logbook:
    """The one transaction between two bundles."""

    def __init__(self, database: AsyncEngine, router: Router) -> None:
        self._database = database
        self._router = router

    async def record(self, errand: Errand, *, heeding: bool = True, **marks: int) -> None:
        """Write down how messages ended, and how far the shard is (`leaving`, `cursor`). Raises `Superseded` and,
        where it is `heeding` what the records say, `Stop`: then nothing was written."""

        async def write() -> tuple[Standing | None, list[StoredEvent]]:
            leg = errand.leg
            async with self._database.begin() as db:
                standing = await shards.standing(
                    db, leg.broadcast, leg.shard, errand.epoch, channel=errand.of.channel, again=errand.soonest, **marks
                )
                if standing is None:
                    # Claims that we would give back are another's by now.
                    errand.ended = [one for one in errand.ended if one.status != "put off"]
                elif heeding:
                    heed(standing)
                return standing, await self._write(db, errand)

        unrecorded = f"broadcast {errand.row.name}: {len(errand.ended)} ends are not yet recorded"
        standing, caused = await persistently(write, unrecorded)
        errand.ended, errand.dead = [], []
        if standing is not None:
            errand.pass_over(standing.again)
        if caused:
            await self._router.follow_up(caused, [])
        if standing is None:
            heed(standing)

    async def _write(self, db: AsyncConnection, errand: Errand) -> list[StoredEvent]:
        """Write down how messages ended; returns what journeys are to hear. Done again, it changes nothing."""
        now, of = errand.now, errand.of
        await claims.settle(db, errand.ended, now)
        if errand.stopped is not None:
            await broadcasts.stop(db, errand.row.id, errand.stopped)
        told = [
            await bounced(
                db, slot.customer, of.channel, slot.to.to.recipient.address or "", message=of.message(slot.arm),
                key=slot.key, reason=reason, now=now,
            )
            for slot, reason in errand.dead
        ]  # fmt: skip
        return [one for one in told if one is not None]
