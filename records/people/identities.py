"""Who is who: each external id, e-mail address and phone number that names a person, and the person it names.

This table is the authority. A customer's own columns hold the first of each kind, which is shown and written to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, delete, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_unless_there
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.errors import WaymarkError
from journeys.identities import DEFAULT, KINDS, IdentityRules, Key
from records.tables import Instant, customers, identities, merges

__all__ = ["DEFAULT", "KINDS", "Identity", "IdentityRules", "Key", "UnknownCustomer", "claim", "current", "of",
           "owners", "release"]  # fmt: skip


class UnknownCustomer(WaymarkError):
    """Nobody goes by this reference. Look at the list of customers, or import the contact first."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One name of a customer, and since when it is known."""

    kind: str
    value: str
    since: datetime


def _asked(keys: Sequence[Key]) -> tuple[object, object]:
    return literal([kind for kind, _ in keys], ARRAY(Text)), literal([value for _, value in keys], ARRAY(Text))


async def owners(db: AsyncConnection, keys: Iterable[Key]) -> dict[Key, int]:
    """Whose each key is; keys that nobody has are left out. One question, however many keys."""
    asked = sorted(set(keys))
    if not asked:
        return {}
    wanted = func.unnest(*_asked(asked)).table_valued("kind", "value", name="wanted").render_derived()
    query = select(identities.c.kind, identities.c.value, identities.c.customer_id).join(
        wanted, (wanted.c.kind == identities.c.kind) & (wanted.c.value == identities.c.value)
    )
    return {(row.kind, row.value): row.customer_id for row in await db.execute(query)}


async def claim(db: AsyncConnection, customer_id: int, keys: Iterable[Key], now: datetime) -> bool:
    """Make free keys names of a customer; False when somebody else has one of them by now.

    Waits for whoever writes the same key at this moment. The keys are taken in one fixed order, so that two who want
    the same ones do not wait for each other.
    """
    wanted = sorted(set(keys))
    if not wanted:
        return True
    given = func.unnest(*_asked(wanted)).table_valued("kind", "value", name="given").render_derived()
    rows = select(given.c.kind, given.c.value, literal(customer_id), literal(now, Instant))
    taken = insert_unless_there(identities).from_select(["kind", "value", "customer_id", "since"], rows)
    await db.execute(taken.on_conflict_do_nothing())
    return all(owner == customer_id for owner in (await owners(db, wanted)).values())


async def release(db: AsyncConnection, customer_id: int, key: Key) -> None:
    """Let a key no longer be a name of this customer."""
    mine = (identities.c.kind == key[0], identities.c.value == key[1], identities.c.customer_id == customer_id)
    await db.execute(delete(identities).where(*mine))


async def of(db: AsyncConnection, customer_id: int) -> list[Identity]:
    """All names of a customer: external ids, addresses, numbers, each kind in the order in which they became known."""
    query = select(identities.c.kind, identities.c.value, identities.c.since).where(
        identities.c.customer_id == customer_id
    )
    found = [Identity(**row._mapping) for row in await db.execute(query)]
    return sorted(found, key=lambda one: (KINDS.index(one.kind), one.since, one.value))


async def current(db: AsyncConnection, customer_id: int) -> int:
    """Who this customer is now: itself, or whom it was merged into.

    Raises:
        UnknownCustomer: there never was one, or it was erased.
    """
    there = select(customers.c.id).where(customers.c.id == customer_id)
    merged = select(merges.c.kept_id).where(merges.c.gone_id == customer_id, merges.c.undone_at.is_(None))
    found = (await db.execute(there.union_all(merged))).scalars().first()
    if found is None:
        raise UnknownCustomer(f"There is no customer {customer_id}.")
    return int(found)
