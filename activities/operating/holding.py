"""Pausing, resuming and stopping: one contact, one journey, one channel, or everything.

What is decided is written first, in one transaction: the hold, and an order for each run that it concerns. Only then
are the runs told, page by page. Where that is cut off, the sweep tells the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.service import RPCError

from activities.entering.audience import Router, away
from activities.operating.scopes import WINDOW, Preview, Scope, Way, not_held, overview
from journeys.instruction import Event
from records.runs import holds, orders, versions

PAGE = 200
AT_ONCE = 20
"""Runs that are told at the same time."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Told:
    """How many runs got an order, how many of those waiting were told of theirs, and why not all: Temporal is away."""

    ordered: int = 0
    told: int = 0
    away: str | None = None


class Holding:
    """Lets go on and stops, and tells the runs. To pause is but to write a hold: nobody needs to be told."""

    def __init__(self, database: AsyncEngine, router: Router) -> None:
        self._database = database
        self._router = router

    async def resume(
        self,
        of: Scope,
        way: Way = "spread",
        *,
        over: timedelta = WINDOW,
        by: str,
        because: str | None = None,
        now: datetime,
        progress: Progress | None = None,
    ) -> tuple[Preview, Told]:
        """Release the hold and let the runs go on; what it found, and how many were told. Raises NotHeld.

        A run that another pause holds gets no order: it goes on when the last one is lifted, in the way named then.
        """
        async with self._database.begin() as db:
            released = await holds.release(db, of.kind, of.name)
            if released is None:
                raise not_held(of)
            found = await overview(db, of, released)
            args = _resumption(way, over, released.since, now)
            chosen = holds.let_go(of.kind, of.name, everyone=way == "shift")
            ordered = 0
            if released.mode == "pause":
                ordered = await orders.give_many(db, chosen, "resume", args, by=by, because=because, now=now)
        return found, await self.tell(ordered, now, progress)

    async def stop(
        self, of: Scope, *, by: str, because: str | None, now: datetime, progress: Progress | None = None
    ) -> Told:
        """End what is under way. A journey takes nobody in any more; on a channel nothing is sent until it is resumed.

        Stopping what is stopped already changes nothing.
        """
        async with self._database.begin() as db:
            if of.kind == "channel":
                await holds.hold(db, "channel", of.name, mode="stop", by=by, because=because, now=now)
                chosen = holds.let_go("channel", of.name)
                args = _resumption("skip", timedelta(), now, now)
                ordered = await orders.give_many(db, chosen, "resume", args, by=by, because=because, now=now)
            else:
                if of.kind == "journey":
                    await versions.set_status(db, of.name, "archived")
                    await holds.release(db, "journey", of.name)
                chosen = holds.covers(of.kind, of.name)
                args = {"outcome": "stopped"}
                ordered = await orders.give_many(db, chosen, "exit", args, by=by, because=because, now=now)
        return await self.tell(ordered, now, progress)

    async def tell(self, ordered: int, now: datetime, progress: Progress | None) -> Told:
        """Wake every run that has not dealt with an order, page by page."""
        async with self._database.connect() as db:
            total = await orders.count_pending(db)
        told, after = 0, 0
        while True:
            async with self._database.connect() as db:
                page = await orders.pending_runs(db, limit=PAGE, after=after)
            for start in range(0, len(page), AT_ONCE):
                some = page[start : start + AT_ONCE]
                keys = {run.id: f"orders/{run.id}/{now.isoformat()}" for run in some}
                try:
                    await asyncio.gather(*(self._router.wake(run, Event(keys[run.id], "orders", now)) for run in some))
                except (RPCError, RuntimeError) as error:
                    return Told(ordered, told, away(error))
                told += len(some)
                if progress is not None:
                    progress(told, max(total, told))
            if len(page) < PAGE:
                return Told(ordered, told)
            after = page[-1].id


def _resumption(way: Way, over: timedelta, since: datetime, at: datetime) -> Mapping[str, Any]:
    return {"mode": way, "since": since.isoformat(), "at": at.isoformat(), "over": int(over.total_seconds())}
