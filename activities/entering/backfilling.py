"""Taking in those who qualify for a journey already when it is published."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.entering.herds import PAGE, Coming, Herds
from activities.entering.qualifying import qualifying
from activities.turns.programs import Programs
from records.runs import occasions, versions
from records.runs.occasions import Candidate


class Backfill:
    """Takes in those who qualify already."""

    def __init__(self, database: AsyncEngine, herds: Herds, programs: Programs) -> None:
        self._database = database
        self._herds = herds
        self._programs = programs

    async def take_in(
        self,
        journey: str,
        now: datetime,
        since: datetime,
        progress: Callable[[int], None] = lambda entered: None,
    ) -> int:
        """Take in those who qualify for the live version of a journey already; returns how many entered.

        Events count after `since`. Once for each version: done again, it goes on with those who were left. `progress`
        hears how many there are so far.
        """
        async with self._database.connect() as db:
            live = await versions.live(db, journey)
            if live is None or live.status != "live":
                return 0
            program = await self._programs.get(db, journey, live.version)
        who, occasion = qualifying(program, since), f"backfill/v{live.version}"
        if who is None:
            return 0

        async def page(db: AsyncConnection, after: int) -> list[Candidate]:
            return await occasions.qualifying(
                db, journey, program.journey.re_enter, occasion, who, now, after=after, limit=PAGE
            )

        def coming(one: Candidate) -> Coming:
            return Coming(one.customer_id, now, now, occasion, one.event_id)

        return await self._herds.enter_pages(program, live.version, "backfill", page, coming, progress=progress)
