"""What customers' orders come to and how far each has come: worked out for all by night, for one after an event."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.discretion import discreet
from activities.entering.audience import Router
from activities.pulse import Pulse
from journeys.fields import Fields
from journeys.lifecycle import Lifecycle, Orders, load
from journeys.source import InvalidFile
from records.audience import lifecycle, rulebooks, values
from records.audience.rulebooks import LIFECYCLE

SHARE = 100
"""A file that touches one in so many of those who ordered may move everybody's quintiles."""
PAGE = 1000
"""How many moves between stages are carried to journeys at a time."""


log = logging.getLogger(__name__)


class Stages:
    """The rules of a file, read again whenever it is another one. While it cannot be read, the last ones stand.

    Raises InvalidFile when it cannot be read in the beginning.
    """

    def __init__(self, path: Path, fields: Fields | None = None) -> None:
        self._path = path
        self._fields = fields
        self._stamp = self._look()
        self._rules = load(path, fields)

    def __call__(self) -> Lifecycle | None:
        """The rules; None where there is no such file."""
        if (stamp := self._look()) != self._stamp:
            self._stamp = stamp
            try:
                self._rules = load(self._path, self._fields)
            except InvalidFile as error:
                log.warning("the stages stay as they were: %s", error)
        return self._rules

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size


class Valuing:
    """Keeps `customer_values` and the stages of the lifecycle. Without rules there are no stages, and orders are
    `order.placed`. Without a router, moves are left to the sweep."""

    def __init__(
        self, database: AsyncEngine, router: Router | None, rules: Callable[[], Lifecycle | None], default_zone: str
    ) -> None:
        self._database = database
        self._router = router
        self._rules = rules
        self._zone = ZoneInfo(default_zone)

    async def refresh_all(self, now: datetime, *, heard: bool = True) -> int:
        """Work out everybody's figures and stages at `now`, and tell journeys who moved, unless nobody is to hear of
        it; returns how many did.

        Who moves by rules that were not there the last time is on the timeline only: that is no news of a customer.
        """
        rules = self._rules()
        with Pulse() as pulse:
            async with self._database.begin() as db:
                await values.refresh(db, rules.orders if rules is not None else Orders(), now, self._zone)
            moved = 0
            if rules is not None:
                async with self._database.begin() as db:
                    said = rules.model_dump(mode="json", by_alias=True)
                    other = await rulebooks.publish(db, LIFECYCLE, said, rules.digest, by="lifecycle.yaml", now=now)
                    moved = await lifecycle.evaluate(db, rules, now, heard=heard and not other)
            await self._tell(now, pulse)
        return moved

    @activity.defn(name="refresh_values")
    async def refresh(self, now: datetime) -> int:
        """Work out everybody's figures and stages; returns how many came to another stage."""
        with discreet("refresh_values"):
            return await self.refresh_all(now)

    async def settle(self, touched: int, now: datetime, *, heard: bool = True) -> None:
        """After a file that told of so many customers: work out everybody's figures where that was never done, or
        where quintiles may be others by now; else only put those into their stage who are in none yet."""
        async with self._database.connect() as db:
            never = await values.evaluated_at(db) is None
            anew = never or touched * SHARE > await values.holders(db)
        if anew:
            await self.refresh_all(now, heard=heard)
        elif (rules := self._rules()) is not None:
            async with self._database.begin() as db:
                await lifecycle.evaluate(db, rules, now, newcomers_only=True)

    async def evaluate_for(self, customer_ids: Sequence[int], now: datetime, *, heard: bool = True) -> None:
        """Work out the figures and stages of these customers, after something happened to them, and tell journeys.

        Nothing is said of stages before everybody has been looked at once. One customer who is in no stage yet is taken
        to come from the first; of many, who came with a file, nobody moves.
        """
        rules = self._rules()
        async with self._database.begin() as db:
            orders = rules.orders if rules is not None else Orders()
            await values.refresh_some(db, orders, customer_ids, now, self._zone)
            moved = 0
            if rules is not None and await values.evaluated_at(db) is not None:
                first = rules.stages[0].stage if len(customer_ids) == 1 else None
                moved = await lifecycle.evaluate(db, rules, now, customer_ids, newcomers_from=first, heard=heard)
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
