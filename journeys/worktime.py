"""Working time: which hours somebody works, and what `4 working hours` after a moment is for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Literal

from journeys.sending import WEEKDAYS
from journeys.timing import Duration, add, at_wall_time, require_aware
from journeys.workdays import is_working_day

_WORKING = re.compile(r"([0-9]{1,3})\s+working\s+(day|hour|minute)s?")
_FARTHEST = 1500
"""Days in which a working day is looked for: past any absence that somebody writes down."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of working time (`1 working day`, `4 working hours`), or of time as clocks count it (`4h`)."""

    count: int
    unit: Literal["day", "hour", "minute"] | None
    elapsed: Duration | None = None

    @classmethod
    def parse(cls, text: str) -> Span:
        """Read `1 working day`, `4 working hours`, `30 working minutes`, or a duration such as `4h`.

        Raises:
            ValueError: it is none of them, or no longer than nothing.
        """
        if (match := _WORKING.fullmatch(text.strip())) is not None:
            span = cls(int(match[1]), match[2])  # type: ignore[arg-type]
        else:
            try:
                duration = Duration.parse(text)
            except ValueError:
                raise ValueError(
                    f"{text!r} is no stretch of time: write 1 working day, 4 working hours, or 4h"
                ) from None
            span = cls(duration.count, None, duration)
        if span.count <= 0:
            raise ValueError(f"{text!r} must be longer than nothing")
        return span

    def __str__(self) -> str:
        if self.elapsed is not None:
            return str(self.elapsed)
        return f"{self.count} working {self.unit}{'' if self.count == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class WorkWeek:
    """When somebody works: from `begins` to `ends` (minutes after midnight, in `zone`) on working days.

    Working days are those of the country (`journeys.workdays`), only the named weekdays where some are named, and
    none of those in `away` (first and last day of each absence).
    """

    zone: tzinfo
    country: str | None = None
    days: tuple[str, ...] | None = None
    begins: int = 0
    ends: int = 1440
    away: tuple[tuple[date, date], ...] = ()

    def works_on(self, day: date) -> bool:
        """Whether it is a working day for them."""
        if any(first <= day <= last for first, last in self.away):
            return False
        if self.days is not None and WEEKDAYS[day.weekday()] not in self.days:
            return False
        # who names Saturday works on Saturdays: only a country's own calendar can take such a day away
        if self.days is not None and self.country is None:
            return True
        return is_working_day(day, self.country)

    def today(self, moment: datetime) -> date:
        """The day that it is for them."""
        return require_aware(moment).astimezone(self.zone).date()

    def closes(self, day: date) -> datetime:
        """When their working hours end on a day (UTC), whether it is a working day or not."""
        return self._wall(day, self.ends)

    def next_day(self, day: date) -> date:
        """The first working day after a day."""
        return next(self._days(day + timedelta(days=1), 1), day + timedelta(days=1))

    def at_work(self, moment: datetime) -> datetime:
        """The moment itself while they work, else when they begin next."""
        for day in self._days(self.today(moment), 1):
            opens, closes = self._wall(day, self.begins), self._wall(day, self.ends)
            if moment < closes:
                return max(moment, opens)
        return moment

    def after(self, moment: datetime, span: Span) -> datetime:
        """The moment (UTC) that lies so much of their time after `moment`; working time begins when they work."""
        moment = require_aware(moment)
        if span.elapsed is not None:
            return add(moment, span.elapsed, self.zone)
        if span.unit == "day":
            start = self.at_work(moment)
            day, wall = self.today(start), start.astimezone(self.zone).time()
            for _ in range(span.count):
                day = self.next_day(day)
            return at_wall_time(day, wall, self.zone)
        left = _length(span)
        for day in self._days(self.today(moment) - timedelta(days=1), 1):
            opens, closes = max(self._wall(day, self.begins), moment), self._wall(day, self.ends)
            if closes > opens:
                if closes - opens >= left:
                    return opens + left
                left -= closes - opens
        return moment + left

    def before(self, moment: datetime, span: Span) -> datetime:
        """The moment (UTC) that lies so much of their time before `moment`."""
        moment = require_aware(moment)
        if span.elapsed is not None:
            return add(moment, Duration(-span.elapsed.count, span.elapsed.unit), self.zone)
        if span.unit == "day":
            local, day = moment.astimezone(self.zone), self.today(moment)
            for _ in range(span.count):
                day = next(self._days(day - timedelta(days=1), -1), day)
            return at_wall_time(day, local.time(), self.zone)
        left = _length(span)
        for day in self._days(self.today(moment), -1):
            opens, closes = self._wall(day, self.begins), min(self._wall(day, self.ends), moment)
            if closes > opens:
                if closes - opens >= left:
                    return closes - left
                left -= closes - opens
        return moment - left

    def _days(self, day: date, step: int) -> Iterator[date]:
        """Working days from a day on, itself included, forwards or backwards."""
        for _ in range(_FARTHEST):
            if self.works_on(day):
                yield day
            day += timedelta(days=step)

    def _wall(self, day: date, minute: int) -> datetime:
        days, minute = divmod(minute, 1440)
        return at_wall_time(day + timedelta(days=days), time(minute // 60, minute % 60), self.zone)


def _length(span: Span) -> timedelta:
    return timedelta(hours=span.count) if span.unit == "hour" else timedelta(minutes=span.count)
