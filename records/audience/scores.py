"""Points: every change of a score is an entry with its reason, and the sum stands on the customer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from records.people.identities import UnknownCustomer
from records.tables import customers, score_entries


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """The score before and after an entry."""

    before: int
    after: int

    def crosses(self, threshold: int) -> bool:
        """Whether this entry, and no other, lifted the score to the threshold."""
        return self.before < threshold <= self.after


async def add(
    db: AsyncConnection,
    customer_id: int,
    points: int,
    because: str,
    at: datetime,
    enrolment_id: int | None = None,
    step: str | None = None,
    visit: int | None = None,
    *,
    rule: str | None = None,
) -> ScoreChange | None:
    """Adds points (negative ones too); None when this visit of this step has added its points already.

    The customer's row stays locked until the transaction ends, so additions follow one another and exactly one of
    them crosses a threshold.

    Raises:
        UnknownCustomer: there is no such customer.
    """
    # The lock is a statement of its own: what follows must see what the one before us has left.
    lock = select(customers.c.score).where(customers.c.id == customer_id).with_for_update(key_share=True)
    before = (await db.execute(lock)).scalar()
    if before is None:
        raise UnknownCustomer(f"There is no customer {customer_id}.")
    entry = (
        insert(score_entries)
        .values(
            customer_id=customer_id,
            points=points,
            because=because,
            rule=rule,
            enrolment_id=enrolment_id,
            step=step,
            visit=visit,
            at=at,
        )
        .on_conflict_do_nothing(index_elements=["enrolment_id", "step", "visit"])
        .returning(score_entries.c.customer_id)
        .cte("entry")
    )
    total = (
        update(customers)
        .where(customers.c.id == entry.c.customer_id)
        .values(score=customers.c.score + points, updated_at=at)
        .returning(customers.c.score)
    )
    after = (await db.execute(total)).scalar()
    return None if after is None else ScoreChange(before, after)
