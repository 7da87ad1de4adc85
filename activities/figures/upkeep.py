"""What follows from whatever happened to customers: what their orders come to, their stage, their score, their
segments; in this order, as each may ask for those before it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from activities.figures.membership import Membership
from activities.figures.scoring import Scoring
from activities.figures.valuing import Valuing
from records.events import StoredEvent


class Upkeep:
    """Keeps what is known of a customer true at once, instead of at the next look of the clock."""

    def __init__(self, valuing: Valuing, scoring: Scoring, membership: Membership) -> None:
        self._valuing = valuing
        self._scoring = scoring
        self._membership = membership

    async def after(self, customer_id: int, now: datetime) -> list[StoredEvent]:
        """Work out all of it for one customer at `now`; returns the changes of membership."""
        await self.figures([customer_id], now)
        return await self._membership.evaluate_for(customer_id, now)

    async def figures(self, customer_ids: Sequence[int], now: datetime) -> None:
        """Work out values, stages and scores of many customers by few statements. Segments follow within five minutes:
        who could have changed is known to them."""
        await self._valuing.evaluate_for(customer_ids, now)
        await self._scoring.evaluate_for(customer_ids, now)

    async def history(self, customer_ids: Collection[int], now: datetime) -> None:
        """`figures`, of what is long past: no journey hears who came to another stage, and nobody goes to sales."""
        ids = sorted(customer_ids)
        await self._valuing.evaluate_for(ids, now, heard=False)
        await self._scoring.evaluate_for(ids, now, hand_over=False)
