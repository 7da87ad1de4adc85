"""The workflows that go by the clock: each does one piece of work, started by a Temporal Schedule.

The moment that was due comes from the schedule, not from when a worker came to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey, VersioningBehavior

PATIENT = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
"""A database that is away is waited for; work that was cut off goes on where it was."""
FEW = RetryPolicy(maximum_attempts=3)
"""What the next run of the schedule does anyway."""
HEARTBEAT = timedelta(seconds=30)
LONGEST = timedelta(hours=24)
_DUE = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


@dataclass(frozen=True, slots=True)
class Appointment:
    """One schedule of a live journey: the how-manieth, counted from 1, and what it says.

    `terms` is the rest that the schedule in Temporal was made from, so that a change of any of it is seen.
    """

    journey: str
    number: int
    schedule: str
    time_zone: str
    terms: str


def _due() -> datetime:
    """The moment that was due (UTC); the present for a run that somebody started by hand."""
    return workflow.info().typed_search_attributes.get(_DUE) or workflow.now()


@workflow.defn(name="ScheduledEntry", versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class ScheduledEntry:
    """Lets in whom one schedule of a journey means; started by the schedule `waymark/JOURNEY/NUMBER`."""

    @workflow.run
    async def run(self, appointment: Appointment) -> int:
        """How many entered."""
        entered: int = await workflow.execute_activity(
            "enter_scheduled", args=[appointment, _due()], result_type=int, retry_policy=PATIENT,
            start_to_close_timeout=LONGEST, heartbeat_timeout=HEARTBEAT, summary=f"{appointment.journey}: who is due",
        )  # fmt: skip
        return entered


@workflow.defn(name="DatedEntries", versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class DatedEntries:
    """Lets in whose day has come; started every minute by the schedule `waymark-dates`."""

    @workflow.run
    async def run(self) -> int:
        """How many entered."""
        entered: int = await workflow.execute_activity(
            "enter_dates", workflow.now(), result_type=int, retry_policy=FEW,
            start_to_close_timeout=LONGEST, heartbeat_timeout=HEARTBEAT, summary="whose day has come",
        )  # fmt: skip
        await workflow.execute_activity(
            "keep_timetable", workflow.now(), retry_policy=FEW, start_to_close_timeout=timedelta(minutes=1),
            summary="schedules as the live journeys say",
        )  # fmt: skip
        return entered


@workflow.defn(name="SegmentRefresh", versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class SegmentRefresh:
    """Works out who belongs to which segment; started every five minutes by the schedule `waymark-segments`."""

    @workflow.run
    async def run(self) -> int:
        """How many memberships changed."""
        changed: int = await workflow.execute_activity(
            "refresh_segments", workflow.now(), result_type=int, retry_policy=FEW,
            start_to_close_timeout=LONGEST, heartbeat_timeout=HEARTBEAT, summary="who belongs to which segment",
        )  # fmt: skip
        return changed
