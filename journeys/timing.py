"""Durations and instants: what `2d` means, and for whom.

`m` and `h` are elapsed time. `d`, `w`, `mo` and `y` are calendar units in the contact's own time zone: the same
wall time on another day. A wall time that does not exist moves forward to the first one that does; one that comes
twice means the first; 31 January + 1 mo is the last day of February.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal

Unit = Literal["m", "h", "d", "w", "mo", "y"]

UNITS: dict[str, Unit] = {"m": "m", "h": "h", "d": "d", "w": "w", "mo": "mo", "y": "y"}
WORDS: dict[Unit, str] = {"m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_DAYS: dict[Unit, float] = {"m": 1 / 1440, "h": 1 / 24, "d": 1, "w": 7, "mo": 30.4375, "y": 365.25}
_PATTERN = re.compile(r"([+-]?)([0-9]{1,6})\s*(mo|m|h|d|w|y)")
_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")

LONGEST = timedelta(days=3660)
"""The longest duration a map may name: ten years. A longer one is far more likely a slip than a plan."""

PUNCTUAL = timedelta(minutes=1)
"""What comes less late than this counts as on time, so that waits in a row do not creep."""

EVERY_DAY = frozenset(range(7))
"""All weekdays; Monday is 0."""


@dataclass(frozen=True, slots=True)
class Duration:
    """A signed count of one unit, such as `2d` or `-30d`."""

    count: int
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read `30m`, `2h`, `3d`, `1w`, `2mo`, `1y`, with an optional sign.

        Raises:
            ValueError: the text is no duration, or it is longer than ten years.
        """
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise ValueError(
                f"{text!r} is not a duration: write a whole number and a unit, such as 30m, 2h, 3d, 1w, 2mo, 1y"
            )
        sign, digits, unit = match.groups()
        duration = cls(int(digits) * (-1 if sign == "-" else 1), UNITS[unit])
        if abs(duration.days) > LONGEST.days:
            raise ValueError(f"{text!r} is longer than ten years")
        return duration

    @property
    def days(self) -> float:
        """The length in mean days, for comparing durations; not for adding to an instant."""
        return self.count * _DAYS[self.unit]

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"

    def words(self) -> str:
        """The duration as a person says it: "2 days"."""
        return f"{self.count} {WORDS[self.unit]}{'' if abs(self.count) == 1 else 's'}"


def require_aware(instant: datetime) -> datetime:
    """The instant in UTC.

    Raises:
        ValueError: it carries no time zone. A naive time means something else on every machine.
    """
    if instant.tzinfo is None or instant.utcoffset() is None:
        raise ValueError(f"{instant.isoformat()} has no time zone: write it with Z or an offset such as +02:00")
    return instant.astimezone(UTC)


def parse_time_of_day(text: str) -> time:
    """Read a 24-hour `HH:MM`.

    Raises:
        ValueError: it is not one.
    """
    match = _TIME_OF_DAY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'{text!r} is not a time of day: write HH:MM in 24 hours, in quotes, such as "09:00"')
    return time(int(match[1]), int(match[2]))


def at_wall_time(day: date, wall: time, zone: tzinfo) -> datetime:
    """The first instant (UTC) at which clocks in `zone` show `wall` on `day`.

    In a gap (clocks go forward) it is the first wall time that exists after it; of two (clocks go back) the first.
    """
    local = datetime.combine(day, wall.replace(tzinfo=None, fold=0), tzinfo=zone)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return instant
    # in a gap the two readings (PEP 495) lie on either side of the jump
    return change(local.replace(fold=1).astimezone(UTC), instant, zone)


def change(early: datetime, late: datetime, zone: tzinfo) -> datetime:
    """The instant (UTC, a whole second) at which clocks in `zone` are changed, given two instants (UTC) with one
    change between them; `late` when there is none. No zone changes its clocks twice in three days."""
    before = early.astimezone(zone).utcoffset()
    if late.astimezone(zone).utcoffset() == before:
        return late
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) // 2
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)


def add(instant: datetime, duration: Duration, zone: tzinfo) -> datetime:
    """The instant (UTC) that lies `duration` after `instant` for somebody who lives in `zone`.

    Raises:
        ValueError: `instant` is naive.
        OverflowError: the result lies outside the calendar.
    """
    instant = require_aware(instant)
    if duration.unit == "m":
        return instant + timedelta(minutes=duration.count)
    if duration.unit == "h":
        return instant + timedelta(hours=duration.count)
    local = instant.astimezone(zone)
    return at_wall_time(shift(local.date(), duration), local.time(), zone)


def shift(day: date, duration: Duration) -> date:
    """The calendar day `duration` (d, w, mo or y) away; a day that the month lacks is the month's last."""
    if duration.unit in ("d", "w"):
        return day + timedelta(days=duration.count * (7 if duration.unit == "w" else 1))
    months = day.year * 12 + day.month - 1 + duration.count * (12 if duration.unit == "y" else 1)
    year, month = divmod(months, 12)
    if not date.min.year <= year <= date.max.year:
        raise OverflowError(f"{duration} from {day} lies outside the calendar")
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def anniversary(day: date, year: int) -> date:
    """The day on which `day` is kept in `year`: 29 February on the 28th in years that lack it."""
    return date(year, day.month, min(day.day, calendar.monthrange(year, day.month)[1]))


def next_time_of_day(now: datetime, wall: time, zone: tzinfo) -> datetime:
    """The first instant (UTC), `now` included, that a day in `zone` has for this wall time (see `at_wall_time`).

    Raises:
        ValueError: `now` is naive.
    """
    return next_weekday(now, EVERY_DAY, wall, zone)


def next_weekday(now: datetime, weekdays: frozenset[int], wall: time, zone: tzinfo) -> datetime:
    """As `next_time_of_day`, on one of these weekdays (Monday is 0) as the calendar in `zone` has them.

    Raises:
        ValueError: `now` is naive, or no weekday is named.
    """
    now = require_aware(now)
    if not weekdays & EVERY_DAY:
        raise ValueError("there is no such weekday: Monday is 0 and Sunday is 6")
    # from the day before: a gap over midnight can move its late evening to this very instant
    day = now.astimezone(zone).date() - timedelta(days=1)
    while True:
        if day.weekday() in weekdays and _happens(day, zone):
            moment = at_wall_time(day, wall, zone)
            if moment >= now:
                return moment
        day += timedelta(days=1)


def _happens(day: date, zone: tzinfo) -> bool:
    """Whether the zone has this day at all: who crosses the date line skips one."""
    return at_wall_time(day, time.min, zone).astimezone(zone).date() == day


def punctual(due: datetime, actual: datetime) -> datetime:
    """The moment that work done at `actual` counts from: the one that was due unless it came `PUNCTUAL` late."""
    return due if timedelta(0) <= actual - due < PUNCTUAL else actual
