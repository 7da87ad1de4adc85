"""Taking in, at a publication, the contacts who qualify already: how many first, then with the progress shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.entering.qualifying import count
from activities.figures.segments import bring_into_force
from journeys.conditions import read_duration
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.loading import LoadedJourney
from journeys.segments import load_all, named_in
from journeys.timing import Duration, add
from workers.commands.going_on import foundation
from workers.commands.terminal import err, notice
from workers.settings import Settings

if TYPE_CHECKING:
    from activities.entering.backfilling import Backfill


def lookback(text: str, now: datetime) -> datetime:
    """Since when events count (UTC). Raises WaymarkError."""
    try:
        length = read_duration(text)
    except ValueError as error:
        raise WaymarkError(f"--backfill-since {error}") from None
    return add(now, Duration(-length.count, length.unit), UTC)


async def bring_segments(db: AsyncConnection, found: Iterable[LoadedJourney], of: Settings, now: datetime) -> None:
    """Where a map names segments, those of the same folder come into force with it."""
    if any(named_in(one.definition) for one in found):
        folder = of.definitions
        await bring_into_force(db, load_all(folder / "segments", load_fields(folder / "fields.yaml")), now)


async def count_waiting(
    db: AsyncConnection, found: Iterable[LoadedJourney], now: datetime, since: datetime
) -> dict[str, int]:
    """How many contacts qualify for each map already."""
    return {one.journey.journey: await count(db, one.program, now, since) for one in found}


def told_waiting(journey: str, waiting: int, backfill: bool) -> list[str]:
    """What is said about those who qualify already."""
    if not waiting:
        return []
    who = f"  {waiting:,} contact{'s qualify' if waiting > 1 else ' qualifies'} already"
    return [who if backfill else f"{who}; to take them in: `waymark journeys publish --backfill`"]


async def take_in(waiting: Mapping[str, int], now: datetime, since: datetime) -> None:
    """Take in those who qualify, journey by journey. Cut off, it is done again by the same command."""
    async with foundation(lazy=True) as parts:
        for journey, expected in waiting.items():
            if expected:
                notice(f"{journey}: {await _take_in(parts.backfill, journey, expected, now, since):,} taken in")


async def _take_in(backfill: Backfill, journey: str, expected: int, now: datetime, since: datetime) -> int:
    with err.status(f"{journey}: taking in ...") as status:

        def show(done: int) -> None:
            status.update(f"{journey}: {done:,} of {expected:,} taken in")

        return await backfill.take_in(journey, now, since, progress=show)
