"""Cron expressions, read so strictly that every scheduler means the same by them.

Five fields: minute, hour, day of the month, month, weekday. All of them must hold: `0 9 13 * fri` is Friday the 13th.
Times are wall times of a zone, with the one meaning that wall times have everywhere: one that clocks skip moves to the
next that exists, one that comes twice means the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter
from croniter.croniter import CroniterBadDateError

from journeys.timing import at_wall_time, require_aware

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()), ("hour", 0, 23, ()), ("day", 1, 31, ()), ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, _WEEKDAYS),
)  # fmt: skip
_PART = re.compile(r"(?:\*|([a-z]{3}|[0-9]{1,2})(?:-([a-z]{3}|[0-9]{1,2}))?)(?:/([0-9]{1,2}))?")
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_WIDEST = timedelta(days=2)
"""More than clocks were ever put forward or back."""


def read_cron(text: str) -> str:
    """A cron expression as it is kept: small letters, single spaces.

    Raises:
        ValueError: it is none, or names a time that never comes. The words say what to write instead.
    """
    fields = text.lower().split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"{text!r} is no schedule: five cron fields (minute hour day month weekday), such as 0 9 * * mon"
        )
    for field, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            _check(part, name, low, high, words)
    cron = " ".join(fields)
    try:
        _walk(cron, _ANY_TIME).get_next(datetime)
    except CroniterBadDateError:
        raise ValueError(f"{text!r} never comes: there is no such day") from None
    return cron


def _check(part: str, name: str, low: int, high: int, words: tuple[str, ...]) -> None:
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(
            f"{part[:20]!r} is no {name}: use *, numbers, ranges such as 1-5, lists with commas, steps */2"
        )
    first, last, step = match.groups()
    numbers = [_number(word, name, low, high, words) for word in (first, last) if word is not None]
    if len(numbers) == 2 and numbers[0] > numbers[1]:
        raise ValueError(f"{part!r} goes backwards: write two ranges with a comma between them")
    if step is not None and not 1 <= int(step) <= high:
        raise ValueError(f"{part!r}: the step of a {name} lies between 1 and {high}")


def _number(word: str, name: str, low: int, high: int, words: tuple[str, ...]) -> int:
    if word in words:
        return words.index(word) + low
    if not word.isdigit() or not low <= int(word) <= high:
        raise ValueError(f"{word!r} is no {name}: it lies between {low} and {high}")
    return int(word)


def times(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """The moments (UTC) after `after` that the expression means in this zone, in order, for as long as there are any.

    Raises:
        ValueError: `after` is naive.
    """
    last = require_aware(after)
    walk = _walk(cron, last.astimezone(zone).replace(tzinfo=None) - _WIDEST)
    while True:
        try:
            wall = walk.get_next(datetime)
        except CroniterBadDateError:
            return
        moment = at_wall_time(wall.date(), wall.time(), zone)
        if moment > last:
            yield moment
            last = moment


def repeated(cron: str, zone: ZoneInfo, moment: datetime) -> bool:
    """Whether clocks in the zone show a time of the expression at this moment, but for the second time that day."""
    local = moment.astimezone(zone)
    return local.fold == 1 and croniter.match(cron, local.replace(tzinfo=None), day_or=False)


def displaced(cron: str, zone: ZoneInfo, after: datetime, until: datetime) -> list[datetime]:
    """The moments up to `until` at which clocks show what the expression does not say (they skip what it says), or
    show it for the first of two times. A scheduler that goes by what clocks show misses them."""
    found: list[datetime] = []
    for start, end in _changes(zone, after, until):
        # What clocks show twice they show for the first time before they change.
        for moment in times(cron, zone, max(after, start - timedelta(days=1))):
            if moment > end:
                break
            wall = moment.astimezone(zone).replace(tzinfo=None)
            twice = wall.replace(tzinfo=zone, fold=1).astimezone(UTC) != moment
            if twice or not croniter.match(cron, wall, day_or=False):
                found.append(moment)
    return found


def _changes(zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The stretches of a day between the two in which clocks change."""
    day, start = timedelta(days=1), require_aware(after)
    while start < until:
        end = min(start + day, until)
        if start.astimezone(zone).utcoffset() != end.astimezone(zone).utcoffset():
            yield start, end
        start = end


def _walk(cron: str, start: datetime) -> croniter:
    return croniter(cron, start, day_or=False)
