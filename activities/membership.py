"""Who belongs to which segment: worked out as a whole by the clock, and for one customer when something happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.audience import Router
from activities.discretion import discreet
from activities.programs import Programs
from activities.pulse import Pulse
from journeys.definition import ENTERED, LEFT, Trigger
from journeys.errors import WaymarkError
from journeys.nearest import unknown_word
from journeys.program import Program
from journeys.segments import LoadedSegment, Segment, in_order, named_in
from records import membership, segments, versions
from records.events import StoredEvent
from records.membership import Evaluated
from records.segments import UnknownSegment

PAGE = 1000
"""How many changes of membership are looked at in one transaction."""
AT_ONCE = 8
"""How many customers' changes are carried to journeys side by side."""


class SegmentInUse(WaymarkError):
    """A live journey asks for a segment that is to go. Change the journey first."""


@dataclass(frozen=True, slots=True)
class PublishedSegment:
    """What a publication did to one segment."""

    segment: str
    became: str
    """`new`, `changed`, `unchanged` or `removed`."""


async def bring_into_force(
    db: AsyncConnection, loaded: Collection[LoadedSegment], now: datetime
) -> list[PublishedSegment]:
    """Bring these segments into force and put all others out of it. Whoever is in one that goes, leaves it.

    Raises:
        SegmentInUse: a live journey still names one that would go.
    """
    before = await segments.definitions(db)
    going = sorted(before.keys() - {one.name for one in loaded})
    for journey in await versions.live_definitions(db) if going else []:
        if lost := sorted(named_in(journey.definition) & set(going)):
            raise SegmentInUse(
                f"The journey {journey.journey} asks for the segment {lost[0]}, which has no file any more.",
                hint="Publish the journey without it first, or bring the file back.",
            )
    done = []
    for one in loaded:
        fresh = await segments.put(db, one.name, one.segment.title, one.definition, one.digest)
        became = ("changed" if one.name in before else "new") if fresh else "unchanged"
        done.append(PublishedSegment(one.name, became))
    for name in going:
        await membership.empty(db, name, now)
        await segments.remove(db, name)
        done.append(PublishedSegment(name, "removed"))
    return done


class Membership:
    """Keeps the members of segments, and tells journeys who entered and left."""

    def __init__(self, database: AsyncEngine, router: Router, programs: Programs) -> None:
        self._database = database
        self._router = router
        self._programs = programs

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
        told: Callable[[Evaluated], None] = lambda done: None,
    ) -> list[Evaluated]:
        """Work out the members of all segments in force, or of these and those that they name, and tell journeys.

        Those customers are asked whose answer could have changed; all of them where it is asked for (`whole`). `told`
        hears of each segment that is done.

        Raises:
            UnknownSegment: one of these is not in force.
        """
        async with self._database.connect() as db:
            wanted = _with_named(await self._in_force(db), only)
        with Pulse() as pulse:
            done = []
            for one in wanted:
                async with self._database.begin() as db:
                    done.append(await (membership.evaluate if whole else membership.catch_up)(db, one, now))
                told(done[-1])
            await self._tell_everybody(now, pulse)
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
            wanted = await self._in_force(db)
        changed: list[StoredEvent] = []
        for _ in wanted:
            async with self._database.begin() as db:
                differing = await membership.differing(db, wanted, customer_id, now)
                for one in wanted:
                    if one.segment in differing:
                        await membership.evaluate(db, one, now, [customer_id])
            if not differing:
                break
            async with self._database.connect() as db:
                told = await segments.unrouted(db, limit=PAGE, customer_id=customer_id)
            await self._router.route_all(told)
            changed += told
        return changed

    async def _tell_everybody(self, now: datetime, pulse: Pulse) -> None:
        """Route what changed, page by page. What concerns nobody is passed over by the page."""
        async with self._database.connect() as db:
            heard = await self._heard(db)
        last = 0
        while True:
            async with self._database.connect() as db:
                page = await segments.unrouted(db, limit=PAGE, after=last)
            if not page:
                return
            last = page[-1].id
            async with self._database.begin() as db:
                concerning = set(await segments.pass_over(db, [one.id for one in page], heard, now))
            await self._route([event for event in page if event.id in concerning])
            pulse.at(last)

    async def _route(self, page: Iterable[StoredEvent]) -> None:
        """Route events of several customers side by side, those of one customer in their order."""
        of_customer: dict[int, list[StoredEvent]] = {}
        for event in page:
            of_customer.setdefault(event.customer_id, []).append(event)
        gate = asyncio.Semaphore(AT_ONCE)

        async def carry(events: list[StoredEvent]) -> None:
            async with gate:
                await self._router.route_all(events)

        async with asyncio.TaskGroup() as together:
            for events in of_customer.values():
                together.create_task(carry(events))

    async def _in_force(self, db: AsyncConnection) -> list[Segment]:
        """The segments in force, each after those that it names."""
        found = (await segments.definitions(db)).values()
        return in_order(Segment.model_validate(one) for one in found)

    async def _heard(self, db: AsyncConnection) -> set[tuple[str, str]]:
        """The changes by which live journeys take people in: pairs of event and segment."""
        names = (await segments.definitions(db)).keys()
        heard: set[tuple[str, str]] = set()
        for program in await self._live(db):
            for trigger in program.journey.triggers:
                if trigger.event in (ENTERED, LEFT):
                    heard |= {(trigger.event, name) for name in _segments_of(trigger) or names}
        return heard

    async def _live(self, db: AsyncConnection) -> list[Program]:
        listed = [one for one in await versions.listing(db) if one.status == "live"]
        return [await self._programs.get(db, one.journey, one.live_version) for one in listed]


def _segments_of(trigger: Trigger) -> set[str]:
    """The segments whose members a trigger takes in; none when it does not say."""
    test = trigger.tests.get("segment")
    return {str(value) for value in test.is_} if test is not None and test.is_ else set()


def _with_named(known: list[Segment], only: Collection[str]) -> list[Segment]:
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
