"""Bringing segments into force, from the files to the records."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.errors import WaymarkError
from journeys.segments import LoadedSegment, named_in
from records.audience import membership, segments
from records.runs import versions


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
