"""Published maps as programs, kept by (journey, version): a published version never changes."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.definition import Journey
from journeys.program import Program
from records.runs import versions


class Programs:
    """A cache of programs, read from the records at first use."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Program] = {}

    async def get(self, db: AsyncConnection, journey: str, version: int) -> Program:
        """The program of one published version.

        Raises:
            UnknownJourney: it was never published.
        """
        key = (journey, version)
        if key not in self._known:
            published = await versions.get(db, journey, version)
            self._known[key] = Program.of(Journey.model_validate(published.definition))
        return self._known[key]
