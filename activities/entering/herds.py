"""Letting many in: page by page, each page one transaction, and their runs started side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.entering.audience import Router
from activities.entering.entrance import Entrance
from journeys.program import Program
from records.runs.enrolments import Enrolment
from records.runs.occasions import Candidate

PAGE = 200
"""How many contacts are let in by one transaction."""
AT_ONCE = 8
"""How many of their workflows are started side by side."""


@dataclass(frozen=True, slots=True)
class Coming:
    """One customer who is to enter, and on what occasion."""

    customer_id: int
    at: datetime
    begins: datetime
    occasion: str
    event_id: int | None = None


class Herds:
    """Enters many customers. Each has an occasion, which the records take once only: cut off, it is done again."""

    def __init__(self, database: AsyncEngine, router: Router, entrance: Entrance) -> None:
        self._database = database
        self._router = router
        self._entrance = entrance

    async def enter_pages(
        self,
        program: Program,
        version: int,
        source: str,
        page: Callable[[AsyncConnection, int], Awaitable[list[Candidate]]],
        coming: Callable[[Candidate], Coming],
        *,
        after: int = 0,
        reached: Callable[[int], None] = lambda after: None,
        progress: Callable[[int], None] = lambda entered: None,
    ) -> int:
        """Enter page after page. `reached` hears the last customer of each, `progress` how many have entered."""
        entered = 0
        while True:
            async with self._database.connect() as db:
                candidates = await page(db, after)
            entered += await self.enter(program, version, source, [coming(one) for one in candidates])
            progress(entered)
            if len(candidates) < PAGE:
                return entered
            after = candidates[-1].customer_id
            reached(after)

    async def enter(self, program: Program, version: int, source: str, coming: Sequence[Coming]) -> int:
        """Enter some customers by one transaction, in the order of their ids, then start their runs."""
        entered = []
        async with self._database.begin() as db:
            for one in sorted(coming, key=lambda one: (one.customer_id, one.at)):
                enrolment = await self._entrance.enter_version(
                    db, program, version, one.customer_id, source=source, now=one.begins, enrolled_at=one.at,
                    event_id=one.event_id, occasion=one.occasion,
                )  # fmt: skip
                if isinstance(enrolment, Enrolment) and enrolment.launched_at is None:
                    entered.append(enrolment)
        await asyncio.gather(*(self._router.follow_up([], entered[first::AT_ONCE]) for first in range(AT_ONCE)))
        return len(entered)
