"""What customers' orders come to and how far each has come: worked out for all by night, for one after an event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.audience import Router
from activities.discretion import discreet
from activities.pulse import Pulse
from journeys.lifecycle import Lifecycle, Orders
from records.audience import lifecycle, values

SHARE = 100
"""A file that touches one in so many of those who ordered may move everybody's quintiles."""
PAGE = 1000
"""How many moves between stages are carried to journeys at a time."""


class Valuing:
    """Keeps `customer_values` and the stages of the lifecycle. Without rules there are no stages, and orders are
    `order.placed`. Without a router, moves are left to the sweep."""

    def __init__(
        self, database: AsyncEngine, router: Router | None, rules: Lifecycle | None, default_zone: str
    ) -> None:
        self._database = database
        self._router = router
        self._rules = rules
        self._orders = rules.orders if rules is not None else Orders()
        self._zone = ZoneInfo(default_zone)

    async def refresh_all(self, now: datetime, *, heard: bool = True) -> int:
        """Work out everybody's figures and stages at `now`, and tell journeys who moved, unless nobody is to hear of
        it; returns how many did."""
        with Pulse() as pulse:
            async with self._database.begin() as db:
                await values.refresh(db, self._orders, now, self._zone)
            moved = 0
            if self._rules is not None:
                async with self._database.begin() as db:
                    moved = await lifecycle.evaluate(db, self._rules, now, heard=heard)
            await self._tell(now, pulse)
        return moved

    @activity.defn(name="refresh_values")
    async def refresh(self, now: datetime) -> int:
        """Work out everybody's figures and stages; returns how many came to another stage."""
        with discreet("refresh_values"):
            return await self.refresh_all(now)

    async def settle(self, touched: int, now: datetime, *, heard: bool = True) -> None:
        """After a file that told of so many customers: work out everybody's figures where that was never done, or
        where quintiles may be others by now."""
        async with self._database.connect() as db:
            never = await values.evaluated_at(db) is None
            if not never and touched * SHARE <= await values.holders(db):
                return
        await self.refresh_all(now, heard=heard)

    async def evaluate_for(self, customer_ids: Sequence[int], now: datetime, *, heard: bool = True) -> None:
        """Work out the figures and stages of these customers, after something happened to them, and tell journeys.

        Nothing is said of stages before everybody has been looked at once. One customer who is in no stage yet is taken
        to come from the first; of many, who came with a file, nobody moves.
        """
        async with self._database.begin() as db:
            await values.refresh_some(db, self._orders, customer_ids, now, self._zone)
            moved = 0
            if self._rules is not None and await values.evaluated_at(db) is not None:
                first = self._rules.stages[0].stage if len(customer_ids) == 1 else None
                moved = await lifecycle.evaluate(db, self._rules, now, customer_ids, newcomers_from=first, heard=heard)
        if moved and heard:
            await self._tell(now, Pulse(), customer_ids)

    async def _tell(self, now: datetime, pulse: Pulse, customer_ids: Sequence[int] | None = None) -> None:
        """Carry moves to journeys, page by page. Those that a crash leaves are carried by the sweep."""
        last = 0
        while self._router is not None:
            async with self._database.connect() as db:
                page = await lifecycle.unrouted(db, after=last, limit=PAGE, customer_ids=customer_ids)
            if not page:
                return
            last = page[-1].id
            await self._router.route_page(page, now)
            pulse.at(last)
