"""The moments that the waits of a map mean for one contact."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from journeys.sending import WEEKDAYS
from journeys.steps.waits import CustomerDate, TimeOfDay, Until, WorkingDays
from journeys.timing import Duration, add, anniversary, at_wall_time, next_weekday, shift
from journeys.workdays import next_working_day


def day_of(value: object, zone: ZoneInfo) -> date | None:
    """The calendar day that a field holds, in the contact's zone when it holds a moment; None when it holds none."""
    if isinstance(value, datetime):
        return value.astimezone(zone).date()
    if isinstance(value, date):
        return value
    text = str(value or "")
    try:
        if len(text) > 10 and (moment := datetime.fromisoformat(text)).tzinfo is not None:
            return moment.astimezone(zone).date()
        return date.fromisoformat(text[:10])
    except (ValueError, OverflowError):
        return None


def date_moment(day: CustomerDate, known: date, now: datetime, zone: ZoneInfo) -> datetime | None:
    """The moment (UTC) that a day of the contact means; with `every: year` the next of it and its anniversaries, from
    `now` on. None when it lies outside the calendar: a day at the very end of it is somebody's "never"."""
    try:
        if day.every == "once":
            return at_wall_time(shift(known, day.offset), day.at, zone)
        year = now.astimezone(zone).year
        years = range(max(year - 11, known.year), max(min(year + 12, 9999), known.year + 2))
        shifts = (shift(anniversary(known, at), day.offset) for at in years)
        moments = (at_wall_time(one, day.at, zone) for one in shifts)
        return next((moment for moment in moments if moment >= now), None)
    except OverflowError:
        return None


def moment_of(
    wait: Duration | Until | WorkingDays, now: datetime, zone: ZoneInfo, country: str | None
) -> tuple[datetime, str]:
    """When a wait that hangs on no field of the contact ends (UTC), and what it is in words."""
    match wait:
        case Duration():
            return add(now, wait, zone), f"wait {wait.words()}"
        case WorkingDays(working_days=count, at=at):
            local = now.astimezone(zone)
            day = next_working_day(local.date(), count, country)
            moment = at_wall_time(day, at or local.time(), zone)
            return moment, f"wait {count} working day{'' if count == 1 else 's'}"
        case Until(until=TimeOfDay() as time):
            days = "" if len(time.days) == len(WEEKDAYS) else f" on {' or '.join(time.weekday)}"
            return next_weekday(now, time.days, time.time, zone), f"wait until {time.time:%H:%M}{days}"
        case _:  # pragma: no cover - a date of the contact is `date_moment`
            raise AssertionError(f"{wait} hangs on a field")
