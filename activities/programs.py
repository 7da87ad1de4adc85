"""Published maps as programs, kept by (journey, version): a published version never changes."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.definition import Journey
from journeys.program import Program
from records.tables import journey_versions


class Programs:
    """A cache of programs, read from the records at first use."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Program] = {}

    async def get(self, db: AsyncConnection, journey: str, version: int) -> Program:
        """The program of one published version."""
        key = (journey, version)
        if key not in self._known:
            query = select(journey_versions.c.definition).where(
                journey_versions.c.journey == journey, journey_versions.c.version == version
            )
            definition = (await db.execute(query)).scalar_one()
            self._known[key] = Program.of(Journey.model_validate(definition))
        return self._known[key]
