"""The ways in that the clock opens: days of a contact, and schedules.

Each entry has an occasion, which the records take once only. So all of this may be cut off anywhere, and done again.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.discretion import discreet
from activities.entering.audience import Router
from activities.entering.entrance import Entrance
from activities.entering.herds import PAGE, Coming, Herds
from activities.pulse import Pulse
from activities.turns.programs import Programs
from activities.turns.questions import answer
from journeys import crons, due
from journeys.conditions import Condition
from journeys.definition import DateEntry
from journeys.due import Due
from journeys.interpreter import Ask
from journeys.occasions import candidate_days
from journeys.program import Program
from journeys.saying import holds
from journeys.timetable import Appointment
from journeys.zones import zone_of
from records import clocks
from records.people.customers import Customer
from records.runs import occasions, versions
from records.runs.enrolments import Enrolment
from records.runs.occasions import Candidate

log = logging.getLogger(__name__)
CLOCK = "dates/"


class Entering:
    """Lets contacts in by the clock. `default_zone` is the workspace's."""

    def __init__(
        self,
        database: AsyncEngine,
        router: Router,
        entrance: Entrance,
        herds: Herds,
        programs: Programs,
        default_zone: str,
    ) -> None:
        self._database = database
        self._router = router
        self._entrance = entrance
        self._herds = herds
        self._programs = programs
        self._default_zone = default_zone

    def next_due(self, program: Program, customer: Customer, after: datetime) -> list[Due]:
        """What the clock does next for a customer after `after`: the ways in of the earliest moment, or nothing.

        Give each to `enter_at`. The customer is as it is now: read it again after anything has happened to it.
        """
        values = {**asdict(customer), **customer.properties}
        zone = zone_of(customer.time_zone, customer.country, self._default_zone)
        key = customer.external_id or str(customer.id)
        return due.next_due(program.journey, values, zone, key, self._default_zone, after)

    async def enter_at(self, customer_id: int, journey: str, moment: Due) -> Enrolment | None:
        """Let one customer in at a moment that has come, by the live version; None when its condition or the journey's
        rule for entering again forbids it. Done again, it returns what was done."""
        async with self._database.begin() as db:
            if not await self._met(db, customer_id, moment.entry.where, moment.at):
                return None
            entered = await self._entrance.enter(
                db, customer_id, journey, source=_source(moment), now=moment.begins, enrolled_at=moment.at,
                occasion=moment.occasion,
            )  # fmt: skip
        if not isinstance(entered, Enrolment):
            return None
        await self._router.follow_up([], [entered])
        return entered

    async def _met(self, db: AsyncConnection, customer_id: int, where: Condition | None, at: datetime) -> bool:
        return where is None or holds(where, await answer(db, customer_id, Ask((where,)), at))

    @activity.defn(name="enter_dates")
    async def enter_dates(self, now: datetime) -> int:
        """Let in everybody whose day has come by `now` and not by the look before; returns how many entered.

        A journey that was never looked at is looked at from its publication on. A journey that fails does not keep the
        others waiting, and is looked at again from where it was.
        """
        with discreet("enter_dates"), Pulse():
            async with self._database.connect() as db:
                listed, seen = await versions.listing(db), await clocks.read(db, CLOCK)
            entered, failed = 0, []
            for one in listed:
                try:
                    if one.status == "live":
                        since = seen.get(one.journey, one.published_at)
                        entered += await self._dates(one.journey, one.live_version, since, now)
                except Exception as error:
                    log.exception("the dates of %s", one.journey)
                    failed.append((one.journey, error))
            away = {journey for journey, _ in failed}
            async with self._database.begin() as db:
                # Those that take nobody in keep up, so that they have nothing to make up for when they do again.
                await clocks.move(db, (CLOCK + one.journey for one in listed if one.journey not in away), now)
            if failed:
                raise failed[0][1]
            return entered

    async def _dates(self, journey: str, version: int, since: datetime, now: datetime) -> int:
        program = await self._program(journey, version)
        entered = 0
        for entry in program.journey.dates:
            if since < now and due.struck(entry.at, since, now):
                entered += await self._date(program, version, entry, since, now)
        return entered

    async def _date(self, program: Program, version: int, entry: DateEntry, since: datetime, now: datetime) -> int:
        days = candidate_days(entry.offset, entry.every, since, now)
        after = entered = 0
        while True:
            async with self._database.connect() as db:
                page = await occasions.dated(db, entry.field, days, entry.where, now, after=after, limit=PAGE)
            coming = [one for candidate in page for one in self._days_of(program, entry, candidate, since, now)]
            entered += await self._herds.enter(program, version, "date", coming)
            if len(page) < PAGE:
                return entered
            after = page[-1].customer_id

    def _days_of(
        self, program: Program, entry: DateEntry, who: Candidate, since: datetime, now: datetime
    ) -> list[Coming]:
        zone = zone_of(who.time_zone, who.country, self._default_zone)
        found = due.by_date(program.journey.journey, entry, who.value, zone, who.key, since, now)
        return [Coming(who.customer_id, one.at, one.begins, one.occasion) for one in found]

    @activity.defn(name="enter_scheduled")
    async def enter_scheduled(self, appointment: Appointment, moment: datetime) -> int:
        """Let in everybody whom a schedule means at a moment; returns how many entered.

        Nobody enters when the journey is not live any more, when its schedule says something else by now, or when
        clocks show the moment's wall time for the second time.
        """
        with discreet("enter_scheduled"), Pulse() as pulse:
            async with self._database.connect() as db:
                live = await versions.live(db, appointment.journey)
            if live is None or live.status != "live":
                return 0
            program = await self._program(live.journey, live.version)
            entries = program.journey.schedules[appointment.number - 1 : appointment.number]
            zone = due.zone_of_schedule(entries[0], self._default_zone) if entries else None
            if zone is None or (entries[0].schedule, zone.key) != (appointment.schedule, appointment.time_zone):
                return 0
            if crons.repeated(appointment.schedule, zone, moment):
                return 0
            entry, journey, occasion = entries[0], program.journey, due.scheduled(moment)

            async def page(db: AsyncConnection, after: int) -> list[Candidate]:
                return await occasions.scheduled(
                    db, live.journey, journey.re_enter, occasion, entry.where, moment, after=after, limit=PAGE
                )

            def coming(who: Candidate) -> Coming:
                one = due.by_schedule(live.journey, entry, moment, who.key)
                return Coming(who.customer_id, one.at, one.begins, one.occasion)

            return await self._herds.enter_pages(
                program, live.version, "schedule", page, coming, after=pulse.resumed or 0, reached=pulse.at
            )

    async def _program(self, journey: str, version: int) -> Program:
        async with self._database.connect() as db:
            return await self._programs.get(db, journey, version)


def _source(moment: Due) -> str:
    return "date" if isinstance(moment.entry, DateEntry) else "schedule"
