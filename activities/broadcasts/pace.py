"""How fast the messages of a leg leave: by the throttle of its broadcast and by that of the channel."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from journeys.broadcast import Broadcast
from journeys.broadcasting import Leg
from records.messages import paces

PAGE = 500
"""Contacts whose messages are claimed by one statement."""
BUNDLE = 50
"""Messages that leave between two looks at the records, and that can be in doubt when a worker dies."""
FRESH = 15.0
"""Seconds for which it holds who may be written to; then it is asked again of those whose messages have not left."""


class Pace:
    """The pace of one leg, which shares it with the other shards of its broadcast and all others on its channel.
    `per_second` is the most that goes over the channel."""

    def __init__(self, database: AsyncEngine, leg: Leg, of: Broadcast, per_second: float | None) -> None:
        self._database = database
        stated = {f"broadcast/{leg.broadcast}": of.throttle, f"channel/{of.channel}": per_second}
        self._rates = {name: rate for name, rate in stated.items() if rate is not None}
        self._rate = min(self._rates.values()) / leg.shards if self._rates else None

    @property
    def page(self) -> int:
        """How many are looked at together: no more than leave while it holds who may be written to."""
        return PAGE if self._rate is None else max(self.bundle, min(PAGE, int(self._rate * FRESH / 2)))

    @property
    def bundle(self) -> int:
        """How many leave together: about a second's."""
        return BUNDLE if self._rate is None else max(1, min(BUNDLE, round(self._rate)))

    async def reserve(self, count: int) -> float:
        """Seconds until so many more may leave."""
        if not self._rates or not count:
            return 0.0
        async with self._database.begin() as db:
            return await paces.reserve(db, self._rates, count)

    async def give_back(self, count: int) -> None:
        """So many were reserved and do not leave."""
        if self._rates and count > 0:
            async with self._database.begin() as db:
                await paces.give_back(db, self._rates, count)
