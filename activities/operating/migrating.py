"""Moving the runs of one version of a journey to another.

The orders are written in one transaction, or none is; then the runs are told page by page, and each goes over in its
next turn. Where that is cut off, the sweep tells the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.entering.audience import Router
from activities.operating.holding import Holding, Progress, Told
from activities.operating.plans import Plan, plan
from records.runs import moves


class Migrating:
    """Moves runs from version to version."""

    def __init__(self, database: AsyncEngine, router: Router) -> None:
        self._database = database
        self._holding = Holding(database, router)

    async def migrate(
        self, journey: str, old: int, new: int, mapping: Mapping[str, str], *, by: str, because: str | None = None,
        now: datetime, progress: Progress | None = None,
    ) -> tuple[Plan, Told]:  # fmt: skip
        """Tell all runs under way on one version to go over to another. Those told the same before are not told twice.

        Raises:
            StepsGone: somebody stands where there is no place to go; nobody is moved.
            UnknownJourney, WaymarkError: as `plan`.
        """
        async with self._database.begin() as db:
            made = await plan(db, journey, old, new, mapping)
            made.refuse_gone()
            args = {"version": new, "map": dict(mapping)}
            ordered = await moves.order(db, journey, old, args, by=by, because=because, now=now)
        return made, await self._holding.tell(ordered, now, progress)
