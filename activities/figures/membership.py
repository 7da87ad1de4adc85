"""Who belongs to which segment: worked out as a whole by the clock, and for one customer when something happened."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.discretion import discreet
from activities.entering.audience import Router
from activities.figures.segments import PublishedSegment, bring_into_force
from activities.pulse import Pulse
from journeys.nearest import unknown_word
from journeys.segments import LoadedSegment, Segment, in_order
from records.audience import membership, segments
from records.audience.membership import Differences, Evaluated
from records.audience.segments import UnknownSegment
from records.events import StoredEvent

PAGE = 1000
"""How many changes of membership are looked at in one transaction."""


class Membership:
    """Keeps the members of segments, and tells journeys who entered and left."""

    def __init__(self, database: AsyncEngine, router: Router) -> None:
        self._database = database
        self._router = router
        self._read = "", Differences([])

    async def publish(self, loaded: Collection[LoadedSegment], now: datetime) -> list[PublishedSegment]:
        """`bring_into_force`, and tell journeys at once who left what is gone."""
        async with self._database.begin() as db:
            published = await bring_into_force(db, loaded, now)
        await self._tell_everybody(now, Pulse())
        return published

    async def evaluate(
        self,
        now: datetime,
        only: Collection[str] = (),
        *,
        whole: bool = False,
        told: Callable[[Evaluated, int, int], None] = lambda done, number, of: None,
        carried: Callable[[int], None] = lambda number: None,
    ) -> list[Evaluated]:
        """Work out the members of all segments in force, or of these and those that they name, and tell journeys.

        Those customers are asked whose answer could have changed; all of them where it is asked for (`whole`). `told`
        hears of each segment that is done: which it is, and of how many; `carried` of how many changes have been looked
        at so far for journeys.

        Raises:
            UnknownSegment: one of these is not in force.
        """
        async with self._database.connect() as db:
            wanted = _with_named((await self._in_force(db)).segments, only)
        with Pulse() as pulse:
            done = []
            for one in wanted:
                async with self._database.begin() as db:
                    done.append(await (membership.evaluate if whole else membership.catch_up)(db, one.segment, now))
                told(done[-1], len(done), len(wanted))
            await self._tell_everybody(now, pulse, carried)
        return done

    @activity.defn(name="refresh_segments")
    async def refresh(self, now: datetime) -> int:
        """Work out the members of all segments; returns how many memberships changed."""
        with discreet("refresh_segments"):
            return sum(one.entered + one.left for one in await self.evaluate(now))

    async def evaluate_for(self, customer_id: int, now: datetime) -> list[StoredEvent]:
        """Work out the memberships of one customer at `now` and tell its journeys; returns the changes.

        One query when nothing changes. A change may change what another segment says: it is asked again.
        """
        async with self._database.connect() as db:
            differences = await self._in_force(db)
        changed: list[StoredEvent] = []
        for _ in differences.segments:
            async with self._database.begin() as db:
                differing = await differences.of(db, customer_id, now)
                for one in differences.segments:
                    if one.segment in differing:
                        await membership.evaluate(db, one.segment, now, [customer_id])
            if not differing:
                break
            async with self._database.connect() as db:
                told = await segments.unrouted(db, limit=PAGE, customer_id=customer_id)
            await self._router.route_all(told)
            changed += told
        return changed

    async def _tell_everybody(
        self, now: datetime, pulse: Pulse, carried: Callable[[int], None] = lambda number: None
    ) -> None:
        """Route what changed, page by page. What cannot be routed now is left to the sweep; where nobody is there to
        route it to, all the rest."""
        last = number = 0
        while True:
            async with self._database.connect() as db:
                page = await segments.unrouted(db, limit=PAGE, after=last)
            if not page:
                return
            last = page[-1].id
            routed = await self._router.route_page(page, now)
            if routed and all(one.away is not None for one in routed):
                return
            pulse.at(last)
            number += len(page)
            carried(number)

    async def _in_force(self, db: AsyncConnection) -> Differences:
        """Of the segments in force, each after those that it names."""
        found = await segments.definitions(db)
        said = repr(found)  # as text: 1 and true are equal, and do not mean the same
        if said != self._read[0]:
            self._read = said, Differences(in_order(Segment.model_validate(one) for one in found.values()))
        return self._read[1]


def _with_named(known: Sequence[Segment], only: Collection[str]) -> list[Segment]:
    """These segments and those that they name, in the order of evaluation; all when none is picked."""
    by_name = {one.segment: one for one in known}
    if unknown := sorted(set(only) - by_name.keys()):
        raise UnknownSegment(
            unknown_word(unknown[0], sorted(by_name), "is no segment in force"),
            hint="`waymark segments publish` brings those of definitions/segments into force.",
        )
    wanted, waiting = set(only), list(only)
    while waiting:
        more = by_name[waiting.pop()].named & by_name.keys() - wanted
        wanted |= more
        waiting += more
    return [one for one in known if one.segment in wanted or not only]
