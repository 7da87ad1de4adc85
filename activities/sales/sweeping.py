"""What nobody else has taken up: tasks that a crash left without a workflow, and leads that a merge has made."""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import activity

from activities.discretion import discreet
from activities.entering.audience import Router
from activities.sales.handoff import Handoff
from activities.sales.keepers import Keepers
from activities.sales.office import Office
from records.events import StoredEvent
from records.sales import crossings, tasks

PAGE = 200
MERGED_WITHIN = timedelta(days=1)
"""How long after a merge it is seen whether that made a lead: longer than a sweep is ever away."""


class SalesSweeping:
    """The activity `sweep_tasks`, every minute. Done again, it changes nothing."""

    def __init__(self, office: Office, router: Router, handoff: Handoff, keepers: Keepers) -> None:
        self._office = office
        self._router = router
        self._handoff = handoff
        self._keepers = keepers

    @activity.defn(name="sweep_tasks")
    async def sweep(self, now: datetime) -> int:
        """Hand over whom a merge lifted across a threshold, and start the workflows of tasks that have none; returns
        how many were started."""
        now = self._office.calendar.from_server(now)
        with discreet("sweep_tasks"):
            await self._hand_over(now)
            started = 0
            while left := await self._left(now - timedelta(seconds=10)):
                for task in left:
                    await self._keepers.launch(task)
                started += len(left)
            return started

    async def _left(self, before: datetime) -> list[int]:
        async with self._office.database.connect() as db:
            return await tasks.unlaunched(db, limit=PAGE, before=before)

    async def _hand_over(self, now: datetime) -> None:
        thresholds = {rule.threshold for rule in self._office.team.rules if rule.threshold is not None}
        if self._office.sales is None or not thresholds:
            return
        caused: list[StoredEvent] = []
        async with self._office.database.begin() as db:
            for threshold in sorted(thresholds, reverse=True):
                for one in await crossings.by_merging(db, threshold, now - MERGED_WITHIN):
                    because = "two records became one"
                    caused += await self._handoff.consider(db, one.customer_id, one.change, because, now)
        await self._router.follow_up(caused, [])
