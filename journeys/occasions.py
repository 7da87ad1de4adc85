"""When a date of a contact brings it into a journey: a renewal thirty days ahead, a birthday every year."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Literal, overload

from journeys.timing import Duration, anniversary, at_wall_time, require_aware, shift

Every = Literal["once", "year"]

_WIDEST = timedelta(hours=16)
"""No zone was ever farther from UTC; today they lie between UTC-12 and UTC+14."""

_OFF_BY = {"d": 0, "w": 0, "mo": 3, "y": 3}
"""How many days more a unit may take together at the end of a month: 28 to 31 January + 1mo."""


def occasions(
    day: date, offset: Duration, at: time, every: Every, zone: tzinfo, after: datetime, until: datetime
) -> list[datetime]:
    """The instants (UTC) after `after`, up to and including `until`, at which a date entry means this contact.

    `offset` (whole days or longer) moves the day itself, or each year's anniversary of it, never one before `day`:
    nobody has a birthday before being born. 29 February is kept on the 28th in other years. `at` is wall time in
    `zone`. A day outside the calendar is never reached.

    Raises:
        ValueError: `after` or `until` is naive.
    """
    after, until = require_aware(after), require_aware(until)
    found = []
    for kept in _kept(day, offset, every, after, until):
        try:
            moment = at_wall_time(shift(kept, offset), at, zone)
        except OverflowError:
            continue
        if after < moment <= until:
            found.append(moment)
    return found


def _kept(day: date, offset: Duration, every: Every, after: datetime, until: datetime) -> Iterator[date]:
    """The days that may fire between the two: the day itself, or its anniversaries."""
    if every == "once":
        yield day
        return
    back = Duration(-offset.count, offset.unit)
    first, last = (shift(moment.date(), back).year for moment in (after, until))
    for year in range(max(first - 1, day.year), min(last + 1, date.max.year) + 1):
        yield anniversary(day, year)


@overload
def candidate_days(offset: Duration, every: Literal["once"], after: datetime, until: datetime) -> frozenset[date]: ...
@overload
def candidate_days(
    offset: Duration, every: Literal["year"], after: datetime, until: datetime
) -> frozenset[tuple[int, int]]: ...
def candidate_days(
    offset: Duration, every: Every, after: datetime, until: datetime
) -> frozenset[date] | frozenset[tuple[int, int]]:
    """The days (`once`), or pairs of month and day (`year`), that hold every date for which `occasions` may find
    something between the two instants, in any zone. They hold some others too: ask `occasions` about each.

    Raises:
        ValueError: `after` or `until` is naive.
    """
    back = Duration(-offset.count, offset.unit)
    # a zone that skipped a whole day is the reason for one more before
    target = (require_aware(after) - _WIDEST).date() - timedelta(days=1)
    last = (require_aware(until) + _WIDEST).date()
    days = set()
    while target <= last:
        days |= {shift(target, back) + timedelta(days=more) for more in range(_OFF_BY[offset.unit] + 1)}
        target += timedelta(days=1)
    if every == "once":
        return frozenset(days)
    pairs = {(day.month, day.day) for day in days}
    return frozenset(pairs | ({(2, 29)} if (2, 28) in pairs else set()))
