"""Scores by the rules in force: for all, page by page, when rules change and every night; for one after an event.

Nothing is added up twice: a page is worked out from events and entries each time, so one that is done again, after a
crash, comes to the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.calendar import Calendar
from activities.discretion import discreet
from activities.entering.audience import Router
from activities.pulse import Pulse
from activities.sales.handoff import Handoff
from journeys.figures import Rescored, RescoringOrder, Stretch
from journeys.scoring import Scoring as Rules
from records.audience import rulebooks, scoring
from records.audience.rulebooks import SCORING, Rulebook
from records.events import StoredEvent

PAGE = 1000
"""Customers in one transaction."""
PAGES = 25
"""Pages in one activity: some seconds' work."""


@dataclass(frozen=True, slots=True)
class InForce:
    """The rules in force. `settled` says that everybody has been looked at by them before."""

    rules: Rules
    digest: str
    settled: bool


class Scoring:
    """Keeps scores as the rules in force have them. Without rules, they are what journeys gave."""

    def __init__(self, database: AsyncEngine, router: Router, handoff: Handoff, calendar: Calendar) -> None:
        self._database = database
        self._router = router
        self._handoff = handoff
        self._calendar = calendar
        self._read: tuple[str, Rules] | None = None

    async def evaluate_for(self, customer_ids: Sequence[int], now: datetime, *, hand_over: bool = True) -> None:
        """Work out the scores of these customers, after something happened to them. Who crosses the threshold of the
        handoff goes to sales, unless it is history that was told."""
        caused: list[StoredEvent] = []
        async with self._database.begin() as db:
            found = await self._in_force(db)
            if found is None:
                return
            await scoring.lock(db, customer_ids)
            for one in await scoring.apply(db, found.rules, customer_ids, now):
                if not hand_over:
                    continue
                caused += await self._handoff.consider(db, one.customer_id, one.change, "what they did", now)
        await self._router.route_page(caused, now)

    @activity.defn(name="publish_scoring")
    async def publish(self, order: RescoringOrder) -> bool:
        """Bring rules into force; False when those in force mean the same. Done again, it changes nothing."""
        with discreet("publish_scoring"):
            now = self._calendar.from_server(datetime.now(UTC))
            async with self._database.begin() as db:
                return await rulebooks.publish(db, SCORING, order.definition, order.digest, by=order.by, now=now)

    @activity.defn(name="rescore_customers")
    async def rescore(self, stretch: Stretch) -> Rescored:
        """Bring the scores of the next customers by id to what they are now; returns how far it came.

        An attempt after a crash goes on behind the last page that the server has heard of.
        """
        with discreet("rescore_customers"), Pulse() as pulse:
            done = Rescored(*pulse.resumed) if pulse.resumed is not None else Rescored(stretch.after)
            for _ in range(PAGES):
                now = self._calendar.from_server(datetime.now(UTC))
                done, caused = await self._page(done, now, stretch.hand_over)
                await self._router.route_page(caused, now)
                pulse.at([done.last, done.seen, done.changed, done.finished])
                if done.finished:
                    break
            return done

    async def rescore_all(self, now: datetime, *, hand_over: bool = False) -> Rescored:
        """Bring everybody's score to what it is at `now`, in one go; what the activity does piece by piece."""
        done = Rescored(0)
        while not done.finished:
            done, caused = await self._page(done, now, hand_over)
            await self._router.route_page(caused, now)
        return done

    async def _page(self, before: Rescored, now: datetime, hand_over: bool) -> tuple[Rescored, list[StoredEvent]]:
        """One page in one transaction. Unless `hand_over` says so, nobody is handed over by rules by which not
        everybody has been looked at before: who is above the threshold by new rules alone would flood sales."""
        caused: list[StoredEvent] = []
        async with self._database.begin() as db:
            found = await self._in_force(db)
            ids = await scoring.page(db, before.last, PAGE) if found is not None else []
            if found is None or not ids:
                if found is not None:
                    await rulebooks.applied(db, SCORING, found.digest, now)
                return Rescored(before.last, before.seen, before.changed, True), []
            changed = await scoring.apply(db, found.rules, ids, now)
            if found.settled or hand_over:
                for one in changed:
                    caused += await self._handoff.consider(db, one.customer_id, one.change, "scores worked out", now)
        return Rescored(ids[-1], before.seen + len(ids), before.changed + len(changed), False), caused

    async def _in_force(self, db: AsyncConnection) -> InForce | None:
        found: Rulebook | None = await rulebooks.find(db, SCORING)
        if found is None:
            return None
        if self._read is None or self._read[0] != found.digest:
            self._read = found.digest, Rules.model_validate(found.definition)
        return InForce(self._read[1], found.digest, found.applied_at is not None)
