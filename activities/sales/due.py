"""When a task is due."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from journeys.timing import Duration, add, at_wall_time
from journeys.workdays import next_working_day


def due_at(due: str, now: datetime, zone: tzinfo, country: str | None = None) -> datetime:
    """When a task is due: `4h` and the like from now, `2 working days` at the same wall time on that day, after the
    holidays of the country when one is given (`journeys.workdays`)."""
    count, _, _ = due.partition(" working day")
    if due != count:
        local = now.astimezone(zone)
        return at_wall_time(next_working_day(local.date(), int(count), country), local.time(), zone)
    moment = add(now, Duration.parse(due), zone)
    return moment if moment > now else now + timedelta(minutes=1)
