"""When a broadcast goes to whom: its waves, and the activities that its workflow asks between them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.broadcasts.admission import Admission
from activities.broadcasts.winning import verdict
from activities.calendar import Calendar
from activities.discretion import discreet
from activities.figures.membership import Membership
from activities.pulse import Pulse
from journeys.broadcast import Broadcast, LocalStart
from journeys.broadcasting import Part, Plan, Standing, Wave
from journeys.errors import WaymarkError
from records.messages import addressees, broadcasts, outcomes

SHARDS = 4
"""Parts of a large broadcast that are worked side by side, by as many workers as there are."""
LARGE = 2000
"""Contacts from which on that pays; and `FAST` messages per second."""
FAST = 50.0


class Waves:
    """Knows when it is which time where somebody lives."""

    def __init__(self, admission: Admission, calendar: Calendar) -> None:
        self._zone = admission.zone
        self._calendar = calendar

    async def of(
        self, db: AsyncConnection, of: Broadcast, start: LocalStart, since: datetime, now: datetime, part: Part
    ) -> list[Wave]:
        """One wave for each moment at which it is that time somewhere. The last is for all who are left, wherever
        they live by then."""
        moments: dict[datetime, list[list[str]]] = {}
        for zone, country in await addressees.zones(db, of, since):
            moment = start.moment(now, self._zone(zone or None, country or None))
            moments.setdefault(self._calendar.to_server(moment), []).append([zone, country])
        waves = [Wave(due, part, zones) for due, zones in sorted(moments.items())]
        return [*waves[:-1], *(replace(wave, zones=None) for wave in waves[-1:])]


class Planning:
    """The activities of a broadcast's workflow besides sending; they run on the queue of workflows."""

    def __init__(self, database: AsyncEngine, membership: Membership, waves: Waves, calendar: Calendar) -> None:
        self._database = database
        self._membership = membership
        self._waves = waves
        self._calendar = calendar

    @activity.defn(name="plan_broadcast")
    async def plan(self, broadcast: int, now: datetime) -> Plan:
        """Who gets it when, from now on. A broadcast whose segment is gone has failed, and gets no waves."""
        now = self._calendar.from_server(now)
        with discreet("plan_broadcast"), Pulse():
            async with self._database.begin() as db:
                row = await broadcasts.begin(db, broadcast, now)
            if row.status == "cancelled":
                return Plan()
            of, began = row.broadcast, row.started_at or now
            if of.segment is not None:
                try:
                    await self._membership.evaluate(began, [of.segment])
                except WaymarkError as error:
                    async with self._database.begin() as db:
                        await broadcasts.note(db, broadcast, {"because": error.message})
                        await broadcasts.finish(db, broadcast, "failed", now)
                    return Plan()
            async with self._database.begin() as db:
                meant = await addressees.count(db, of, since=began)
                await broadcasts.note(db, broadcast, {"meant": meant})
                if not meant:
                    return Plan()
                plan = await self._planned(db, of, began, _shards(of, meant))
                await broadcasts.note(db, broadcast, {"trial": plan.trial, **self._told(plan)})
                return plan

    @activity.defn(name="plan_rest")
    async def plan_rest(self, broadcast: int, now: datetime) -> Plan:
        """When those get it, at a local time, who were not of the trial."""
        now = self._calendar.from_server(now)
        with discreet("plan_rest"):
            async with self._database.begin() as db:
                row = await broadcasts.get(db, broadcast)
                of = row.broadcast
                assert isinstance(of.start, LocalStart)
                start = LocalStart(local=of.start.local)
                plan = Plan(await self._waves.of(db, of, start, row.started_at or now, now, "rest"))
                await broadcasts.note(db, broadcast, self._told(plan))
                return plan

    def _told(self, plan: Plan) -> dict[str, Any]:
        """What people are shown of a plan: when messages go."""
        return {"waves": [self._calendar.from_server(wave.due).isoformat() for wave in plan.waves]}

    async def _planned(self, db: AsyncConnection, of: Broadcast, began: datetime, shards: int) -> Plan:
        tried = of.ab is not None and await addressees.count(db, of, since=began, part="trial") > 0
        first: Part = "trial" if tried else "rest" if of.ab is not None else "all"
        if isinstance(of.start, LocalStart):
            waves = await self._waves.of(db, of, of.start, began, began, first)
        else:
            waves = [Wave(self._calendar.to_server(began), first)]
        if of.ab is None:
            return Plan(waves, shards)
        if not tried:
            # There is nothing to wait for: the lot fell on nobody.
            return Plan(waves, shards, 0, 0.0)
        rest = Wave(waves[-1].due, "rest")
        after = timedelta(days=of.ab.after.days).total_seconds()
        return Plan([*waves, rest], shards, len(waves), after, isinstance(of.start, LocalStart))

    @activity.defn(name="decide_broadcast")
    async def decide(self, broadcast: int, now: datetime) -> str:
        """Which arm won, by its trial; somebody may have picked one before."""
        now = self._calendar.from_server(now)
        with discreet("decide_broadcast"):
            async with self._database.begin() as db:
                of = (await broadcasts.get(db, broadcast)).broadcast
                assert of.ab is not None
                event = None if isinstance(of.ab.winner, str) else of.ab.winner.conversion
                found = await outcomes.results(db, broadcast, event=event, until=now)
                won = verdict(of.ab, found)
                told = {"because": won.because, "chance": won.chance, "at": now.isoformat(), "by": "measure"}
                return await broadcasts.crown(db, broadcast, won.arm, told)

    @activity.defn(name="broadcast_standing")
    async def standing(self, broadcast: int) -> Standing:
        """What the records say of a broadcast."""
        with discreet("broadcast_standing"):
            async with self._database.connect() as db:
                row = await broadcasts.get(db, broadcast)
                return Standing(row.status, row.winner)

    @activity.defn(name="end_broadcast")
    async def end(self, broadcast: int, status: str, now: datetime) -> str:
        """Write down that a broadcast has ended; returns how."""
        with discreet("end_broadcast"):
            async with self._database.begin() as db:
                ended = self._calendar.from_server(now)
                return await broadcasts.finish(
                    db, broadcast, "finished" if status == "finished" else "cancelled", ended
                )


def _shards(of: Broadcast, meant: int) -> int:
    return SHARDS if meant >= LARGE and (of.throttle is None or of.throttle >= FAST) else 1
