"""When the clock lets a contact in: by a day of its own, or by a schedule. Pure; who asks brings the contact along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from journeys import crons
from journeys.definition import DateEntry, Journey, ScheduleEntry
from journeys.moments import day_of
from journeys.occasions import occasions
from journeys.spreading import spread
from journeys.timing import at_wall_time

AHEAD = timedelta(days=3660)
"""How far ahead the next moment is looked for: as far as the longest duration that a map may name."""


@dataclass(frozen=True, slots=True)
class Due:
    """One moment at which the clock lets a contact in.

    `at` is the moment itself, `begins` that moment with the contact's part of the spread, `occasion` what the entry is
    kept under, so that it happens once. All times in UTC.
    """

    at: datetime
    begins: datetime
    occasion: str
    entry: DateEntry | ScheduleEntry


def by_date(
    journey: str, entry: DateEntry, value: object, zone: ZoneInfo, key: str, after: datetime, until: datetime
) -> list[Due]:
    """The moments after `after`, up to and including `until`, that a field's value means for a contact in `zone`.

    `key` is what chance knows the contact by. A value that is no day means none.
    """
    day = day_of(value, zone)
    if day is None:
        return []
    moments = occasions(day, entry.offset, entry.at, entry.every, zone, after, until)
    return [_due(journey, entry, moment, key, _dated(entry, moment, zone)) for moment in moments]


def by_schedule(journey: str, entry: ScheduleEntry, moment: datetime, key: str) -> Due:
    """A schedule's moment for one contact."""
    return _due(journey, entry, moment, key, scheduled(moment))


def scheduled(moment: datetime) -> str:
    """The occasion of a schedule's moment."""
    return f"schedule/{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _dated(entry: DateEntry, moment: datetime, zone: ZoneInfo) -> str:
    return f"date/{entry.field}/{moment.astimezone(zone):%Y-%m-%d}"


def _due(journey: str, entry: DateEntry | ScheduleEntry, moment: datetime, key: str, occasion: str) -> Due:
    return Due(moment, spread(moment, entry.spread, "spread", journey, occasion, key), occasion, entry)


def zone_of_schedule(entry: ScheduleEntry, default_zone: str) -> ZoneInfo:
    """The zone whose clocks a schedule goes by: its own, or the workspace's."""
    return ZoneInfo(entry.time_zone or default_zone)


def next_due(
    journey: Journey, values: Mapping[str, Any], zone: ZoneInfo, key: str, default_zone: str, after: datetime
) -> list[Due]:
    """What the clock does next for one contact after `after`: all ways in that come at the earliest moment, or nothing.

    `values` are the contact's fields by name. Whether it meets a way's `where` is asked at the moment itself.
    """
    found: list[Due] = []
    for entry in journey.dates:
        found += by_date(journey.journey, entry, values.get(entry.field), zone, key, after, after + AHEAD)[:1]
    for timed in journey.schedules:
        moment = next(crons.times(timed.schedule, zone_of_schedule(timed, default_zone), after), None)
        found += [by_schedule(journey.journey, timed, moment, key)] if moment else []
    first = min((due.at for due in found), default=None)
    return [due for due in found if due.at == first]


def struck(wall: time, after: datetime, until: datetime) -> bool:
    """Whether clocks anywhere on earth strike `wall` after `after`, up to and including `until`: if not, no contact's
    day begins there, and nobody need be looked at."""
    if until - after >= timedelta(days=1):
        return True
    return any(
        after < at_wall_time(day, wall, zone) <= until
        for zone in _all_zones()
        for day in {after.astimezone(zone).date(), until.astimezone(zone).date()}
    )


@cache
def _all_zones() -> tuple[ZoneInfo, ...]:
    return tuple(ZoneInfo(name) for name in sorted(available_timezones()))
