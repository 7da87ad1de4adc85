"""What runs by the clock, as Temporal Schedules: they run once for all workers, and live on while none is there."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.turns.programs import Programs
from journeys import crons
from journeys.definition import ScheduleEntry
from journeys.due import zone_of_schedule
from journeys.instruction import QUEUE
from journeys.salestask import Workday
from journeys.timetable import Appointment
from records.runs import versions

SWEEP, DATES, SEGMENTS, SALES = "waymark-sweep", "waymark-dates", "waymark-segments", "waymark-sales"
FIGURES, FIGURES_AT = "waymark-figures", "15 4 * * *"
"""By night, at an hour that no change of clocks displaces."""
EVERY = timedelta(minutes=1)
SEGMENTS_EVERY = timedelta(minutes=5)
PREFIX = "waymark/"
"""Of the schedules that live journeys ask for: `waymark/JOURNEY/NUMBER`."""
AHEAD = timedelta(days=400)
"""How far ahead displaced wall times are told to Temporal: past the next change of clocks of either kind."""
AGE = timedelta(days=10_000)
"""An interval that comes round once in 27 years is a moment. One longer than the time since 1970 never comes: the
server (1.32) divides towards zero."""
EPOCH = datetime.fromtimestamp(0, UTC)
LEAST_CATCH_UP = timedelta(seconds=10)
"""Temporal's own least (API documentation of SchedulePolicies)."""
_OVERLAP = {"skip": ScheduleOverlapPolicy.SKIP, "all": ScheduleOverlapPolicy.ALLOW_ALL}

log = logging.getLogger(__name__)


async def ensure(client: Client, zone: str = "UTC") -> None:
    """Create the schedules of Waymark itself, or bring those that are there to this release's form; a pause by an
    operator stays. `zone` is where it is night for the workspace."""
    for name, wanted in {**_own(), FIGURES: _nightly(zone)}.items():
        await put(client, name, wanted)


class Timetable:
    """Keeps in Temporal exactly those schedules that live journeys ask for."""

    def __init__(self, database: AsyncEngine, client: Client, programs: Programs, default_zone: str) -> None:
        self._database = database
        self._client = client
        self._programs = programs
        self._default_zone = default_zone

    @activity.defn(name="keep_timetable")
    async def keep(self, now: datetime) -> None:
        """Create what is missing, bring up to date what changed, delete what no live journey asks for.

        Done again, it changes nothing. A pause by an operator stays.
        """
        wanted = await self._wanted(now)
        for name, schedule in wanted.items():
            await put(self._client, name, schedule)
        async for found in await self._client.list_schedules():
            if found.id.startswith(PREFIX) and found.id not in wanted:
                await delete(self._client, found.id)

    async def _wanted(self, now: datetime) -> dict[str, Schedule]:
        schedules: dict[str, Schedule] = {}
        async with self._database.connect() as db:
            for one in await versions.listing(db):
                if one.status == "live":
                    program = await self._programs.get(db, one.journey, one.live_version)
                    schedules |= self._of(one.journey, program.journey.schedules, now)
        return schedules

    def _of(self, journey: str, entries: Iterable[ScheduleEntry], now: datetime) -> dict[str, Schedule]:
        made = {}
        for number, entry in enumerate(entries, start=1):
            name = f"{PREFIX}{journey}/{number}"
            made[name] = _entry(name, journey, number, entry, self._default_zone, now)
        return made


def _entry(name: str, journey: str, number: int, entry: ScheduleEntry, default_zone: str, now: datetime) -> Schedule:
    """One way in by a schedule. Temporal goes by what clocks show; what they displace is told to it by the moment."""
    zone = zone_of_schedule(entry, default_zone)
    displaced = crons.displaced(entry.schedule, zone, now, now + AHEAD)
    besides = ", ".join(moment.isoformat() for moment in displaced)
    terms = f"overlap {entry.overlap}, catch up {entry.catch_up}" + (f", besides at {besides}" if besides else "")
    return Schedule(
        action=ScheduleActionStartWorkflow(
            "ScheduledEntry",
            Appointment(journey, number, entry.schedule, zone.key, terms),
            id=name,
            task_queue=QUEUE,
            static_summary=f"{journey}: {entry.schedule} in {zone.key}",
        ),
        spec=ScheduleSpec(
            cron_expressions=[entry.schedule],
            time_zone_name=zone.key,
            intervals=[ScheduleIntervalSpec(every=AGE, offset=(moment - EPOCH) % AGE) for moment in displaced],
        ),
        policy=SchedulePolicy(
            overlap=_OVERLAP[entry.overlap],
            catchup_window=max(timedelta(days=entry.catch_up.days), LEAST_CATCH_UP),
        ),
        state=ScheduleState(note=f"A way into the journey {journey}. Kept by Waymark: change the map, not this."),
    )


def _own() -> dict[str, Schedule]:
    # A look that takes long is not joined by another; those missed while all was down are not made up for, because
    # each look takes up everything since the last.
    def every(interval: timedelta, workflow: str, name: str, summary: str, note: str) -> Schedule:
        return Schedule(
            action=ScheduleActionStartWorkflow(workflow, id=name, task_queue=QUEUE, static_summary=summary),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=interval)]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=EVERY),
            state=ScheduleState(note=note),
        )

    sweep = every(
        EVERY, "Sweep", SWEEP, "Start and route what a crash left half done",
        "Finishes what crashes left half done. Pausing it loses nothing.",
    )  # fmt: skip
    assert isinstance(sweep.action, ScheduleActionStartWorkflow)
    # A backlog of an import may take hours; one that is stuck must not keep the next away for ever.
    sweep.action.execution_timeout = timedelta(hours=25)
    return {
        SWEEP: sweep,
        DATES: every(
            EVERY, "DatedEntries", DATES, "Let in whose day has come",
            "Lets contacts in on their days. While it is paused nobody's day comes; afterwards all are made up for.",
        ),
        SEGMENTS: every(
            SEGMENTS_EVERY, "SegmentRefresh", SEGMENTS, "Work out who belongs to which segment",
            "Keeps the members of segments. While it is paused, only those to whom something happens are looked at.",
        ),
        SALES: every(
            EVERY, "SalesSweep", SALES, "Start what is left of sales, keep the ends of days",
            "Starts the workflows of tasks that a crash left without one. Pausing it loses nothing.",
        ),
    }  # fmt: skip


def _nightly(zone: str) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            "NightlyFigures",
            Appointment("", 1, FIGURES_AT, zone, ""),
            id=FIGURES,
            task_queue=QUEUE,
            static_summary="Work out values, stages and scores",
        ),
        spec=ScheduleSpec(cron_expressions=[FIGURES_AT], time_zone_name=zone),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(hours=12)),
        state=ScheduleState(
            note="Values, quintiles, stages and scores as time passes. While it is paused, only those to whom "
            "something happens are looked at."
        ),
    )


async def put(client: Client, name: str, wanted: Schedule) -> None:
    """Create a schedule, or bring the one that is there to this form."""
    handle = client.get_schedule_handle(name)
    try:
        found = await handle.describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        await _create(client, name, wanted)
        return
    if not _same(found, wanted):
        await handle.update(lambda latest: _renewed(latest, wanted))


async def _create(client: Client, name: str, wanted: Schedule) -> None:
    try:
        await client.create_schedule(name, wanted)
    except ScheduleAlreadyRunningError:
        log.info("schedule %s was created by another worker", name)


async def delete(client: Client, name: str) -> None:
    try:
        await client.get_schedule_handle(name).delete()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


def _renewed(found: ScheduleUpdateInput, wanted: Schedule) -> ScheduleUpdate:
    present = found.description.schedule.state
    wanted.state = ScheduleState(note=present.note, paused=present.paused)
    return ScheduleUpdate(schedule=wanted)


def _same(found: ScheduleDescription, wanted: Schedule) -> bool:
    """Whether a schedule has this form. What the server made of a cron expression cannot be read back, so the argument
    of its action, which says everything, is compared too."""
    present = found.schedule
    assert isinstance(wanted.action, ScheduleActionStartWorkflow)
    if not isinstance(present.action, ScheduleActionStartWorkflow) or present.policy != wanted.policy:
        return False
    told = [json.loads(payload.data) for payload in present.action.args]
    return (
        told == [asdict(argument) for argument in wanted.action.args if isinstance(argument, Appointment | Workday)]
        and present.spec.intervals == wanted.spec.intervals
        and present.action.workflow == wanted.action.workflow
    )
