"""The ends of days in sales, as Temporal Schedules: one for each rep and for the manager, in their own time zones."""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import activity
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
)

from activities.sales.selling import key_of
from journeys import crons
from journeys.instruction import QUEUE
from journeys.sales import Sales
from journeys.salestask import Workday
from journeys.team import Person, minutes
from journeys.zones import zone_of
from workers.schedules import AGE, AHEAD, EPOCH, delete, put

PREFIX = "waymark-day/"
"""Of the schedules of the ends of days: `waymark-day/KEY`, where the key is made from the name."""
USUAL_END = "18:00"
"""When the day of somebody ends whose hours are not stated."""
CATCH_UP = timedelta(hours=12)
"""A mail about a day that nobody could send in the evening still goes in the night."""


class SalesDays:
    """Keeps in Temporal exactly those schedules that `handoff.yaml` asks for."""

    def __init__(self, client: Client, sales: Sales | None, default_zone: str) -> None:
        self._client = client
        self._sales = sales
        self._default_zone = default_zone

    @activity.defn(name="keep_days")
    async def keep(self, now: datetime) -> None:
        """Create what is missing, bring up to date what changed, delete what nobody asks for any more.

        Done again, it changes nothing. A pause by an operator stays.
        """
        people = self._sales.everybody if self._sales is not None else ()
        wanted = {PREFIX + key_of(person): self._schedule(person, now) for person in people}
        for name, schedule in wanted.items():
            await put(self._client, name, schedule)
        async for found in await self._client.list_schedules():
            if found.id.startswith(PREFIX) and found.id not in wanted:
                await delete(self._client, found.id)

    def _schedule(self, person: Person, now: datetime) -> Schedule:
        assert self._sales is not None
        zone = zone_of(person.time_zone, None, self._default_zone)
        cron = end_of_day(person, self._sales)
        displaced = crons.displaced(cron, zone, now, now + AHEAD)
        besides = ", ".join(moment.isoformat() for moment in displaced)
        terms = f"{cron} in {zone.key}" + (f", besides at {besides}" if besides else "")
        return Schedule(
            action=ScheduleActionStartWorkflow(
                "SalesDay", Workday(key_of(person), terms), id=PREFIX + key_of(person), task_queue=QUEUE,
                static_summary=f"The end of a day in sales: {cron} in {zone.key}",
            ),
            spec=ScheduleSpec(
                cron_expressions=[cron],
                time_zone_name=zone.key,
                intervals=[ScheduleIntervalSpec(every=AGE, offset=(moment - EPOCH) % AGE) for moment in displaced],
            ),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL, catchup_window=CATCH_UP),
            state=ScheduleState(note="A mail about a day in sales. Kept by Waymark: change handoff.yaml, not this."),
        )  # fmt: skip


def end_of_day(person: Person, sales: Sales) -> str:
    """When somebody's days end, as a cron expression; on which of them there is work is seen then."""
    working = person.working or sales.working
    end = working.to if working is not None and "to" in working.model_fields_set else USUAL_END
    minute = min(minutes(end), 24 * 60 - 1)
    return f"{minute % 60} {minute // 60} * * *"
