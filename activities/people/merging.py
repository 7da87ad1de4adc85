"""Merging customers and undoing it, with what follows: their runs look again, their segments are worked out anew."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio.service import RPCError

from activities.entering.audience import Router, away
from journeys.instruction import Event
from records.people import merging
from records.people.merging import Merge
from records.runs import enrolments

Result = TypeVar("Result")
TRIES = 5
"""How often a merge is begun anew that a turn of one of its runs stood in the way of."""

log = logging.getLogger(__name__)


class Merging:
    """Merges by number. `afterwards` hears of each customer that became another, and of the time."""

    def __init__(
        self,
        database: AsyncEngine,
        router: Router,
        afterwards: Callable[[int, datetime], Awaitable[object]],
    ) -> None:
        self._database = database
        self._router = router
        self._afterwards = afterwards

    async def merge(
        self,
        kept_id: int,
        gone_id: int,
        *,
        by: str,
        because: str | None,
        now: datetime,
        prefer_newer: bool = False,
    ) -> int:
        """Make one customer of two, and tell its runs; returns the number of the merge.

        Raises NotMerged and UnknownCustomer, as `records.people.merging.merge` does.
        """
        done = await self._written(
            lambda db: merging.merge(db, kept_id, gone_id, by=by, because=because, now=now, prefer_newer=prefer_newer)
        )
        if await self.follow_up(kept_id, f"merge/{done}", now):
            async with self._database.begin() as db:
                await merging.mark_told(db, [done], now)
        return done

    async def unmerge(self, merge_id: int, *, by: str, now: datetime) -> Merge:
        """Make two customers of one again, and tell their runs. Raises NotMerged."""
        done = await self._written(lambda db: merging.unmerge(db, merge_id, by=by, now=now))
        for one in (done.kept_id, done.gone_id):
            await self.follow_up(one, f"unmerge/{done.id}", now)
        return done

    async def follow_up(self, customer_id: int, key: str, now: datetime) -> bool:
        """Let the open runs of a customer look again, as what happened to the other one is theirs now.

        False where Temporal does not answer: after a merge, the sweep wakes them.
        """
        await self._afterwards(customer_id, now)
        async with self._database.connect() as db:
            runs = await enrolments.of_customers(db, [customer_id])
        try:
            for run in runs:
                await self._router.wake(run, Event(f"{key}/{run.id}", "merge", now))
        except (RPCError, RuntimeError) as error:
            log.warning("the runs of customer %s wait for Temporal: %s", customer_id, away(error))
            return False
        return True

    async def _written(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        for left in range(TRIES - 1, -1, -1):
            try:
                async with self._database.begin() as db:
                    return await work(db)
            except OperationalError as error:
                if not left or getattr(error.orig, "sqlstate", None) != "40P01":
                    raise
        raise AssertionError  # pragma: no cover
