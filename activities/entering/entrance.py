"""Entering a customer into a journey, in whichever way it came: the journey is live, and its rule allows it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.turns.programs import Programs
from journeys.program import Program
from records.runs import entries, versions
from records.runs.enrolments import Enrolment
from records.runs.entries import NotEnrolled


class Entrance:
    """Writes enrolments. Their workflows are started after the commit, by `Router.launch` or the sweep."""

    def __init__(self, programs: Programs, default_zone: str) -> None:
        self._programs = programs
        self._default_zone = default_zone

    async def enter(
        self,
        db: AsyncConnection,
        customer_id: int,
        journey: str,
        *,
        source: str,
        now: datetime,
        enrolled_at: datetime | None = None,
        event_id: int | None = None,
        occasion: str | None = None,
    ) -> Enrolment | NotEnrolled:
        """Enter a customer into the live version of a journey. A paused journey takes people in: they wait at its
        entry."""
        live = await versions.live(db, journey)
        if live is None:
            return NotEnrolled(f"there is no published journey {journey!r}")
        if live.status != "live":
            return NotEnrolled(f"the journey {journey} is {live.status}")
        program = await self._programs.get(db, journey, live.version)
        return await self.enter_version(
            db, program, live.version, customer_id, source=source, now=now, enrolled_at=enrolled_at,
            event_id=event_id, occasion=occasion,
        )  # fmt: skip

    async def enter_version(
        self,
        db: AsyncConnection,
        program: Program,
        version: int,
        customer_id: int,
        *,
        source: str,
        now: datetime,
        enrolled_at: datetime | None = None,
        event_id: int | None = None,
        occasion: str | None = None,
    ) -> Enrolment | NotEnrolled:
        """Enter a customer into a version that is known to be live."""
        journey = program.journey
        return await entries.enrol(
            db, customer_id=customer_id, journey=journey.journey, version=version, re_enter=journey.re_enter,
            source=source, awaiting=program.always_awaited, now=now, enrolled_at=enrolled_at, event_id=event_id,
            occasion=occasion, default_zone=self._default_zone,
        )  # fmt: skip
