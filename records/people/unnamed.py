"""Customers whom no key names: all they have is shared with others. Such a contact is whoever was written just so.

Just so: with the same external id, address and number (or as little of them), and the same name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from records.people.contacts import IDENTIFIERS
from records.tables import TRAITS

Traits = tuple[str | None, ...]
"""What such a contact is known by: the values of `NAMES`."""
NAMES = (*IDENTIFIERS, "first_name", "last_name")
INTAKE = "waymark intake"
"""The lock that pages of imports are written under."""

_HELD = text(
    "SELECT pg_advisory_xact_lock_shared(hashtextextended(:intake, 0)), "
    "pg_advisory_xact_lock(hashtextextended('contact/' || CAST(:traits AS text), 0))"
)
# What is not among several thousand others is looked up one by one, whatever the planner takes them for.
_SAME = text(
    f"SELECT asked.at, same.id FROM (SELECT *, {TRAITS} AS traits "  # noqa: S608 (names of our own columns)
    f"FROM unnest({', '.join(f'CAST(:{name} AS text[])' for name in NAMES)}) "
    f"WITH ORDINALITY AS given ({', '.join(NAMES)}, at)) AS asked CROSS JOIN LATERAL "
    f"(SELECT customers.id FROM customers WHERE customers.sharing AND {TRAITS} = asked.traits AND "
    + " AND ".join(f"customers.{name} IS NOT DISTINCT FROM asked.{name}" for name in NAMES)
    + " AND NOT EXISTS (SELECT FROM identities WHERE identities.customer_id = customers.id) OFFSET 0) AS same "
    "ORDER BY same.id DESC"
)


def traits(stated: Mapping[str, str]) -> Traits:
    """What a contact without keys that join is known by."""
    return tuple(stated.get(name) for name in NAMES)


async def hold(db: AsyncConnection, known_by: Traits) -> None:
    """Be the only one who writes such a contact until the transaction ends: imports write pages, others one by one."""
    await db.execute(_HELD, {"intake": INTAKE, "traits": repr(known_by)})


async def owners(db: AsyncConnection, asked: Collection[Traits]) -> dict[Traits, int]:
    """Who is known just so, the oldest where there are several. One question, however many are asked for."""
    if not asked:
        return {}
    each = list(asked)
    columns = {name: [one[at] for one in each] for at, name in enumerate(NAMES)}
    await db.execute(text("SET LOCAL enable_seqscan = off"))
    found = {each[row.at - 1]: row.id for row in await db.execute(_SAME, columns)}
    await db.execute(text("SET LOCAL enable_seqscan = on"))
    return found
