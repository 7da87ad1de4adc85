"""The people: what is known of each, found by any of their names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.identities import one_spelling
from records.people.contacts import IDENTIFIERS
from records.people.identities import UnknownCustomer
from records.people.naming import full_name
from records.tables import customers, merges, shown
from records.tables import identities as names


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer as stored. `score` counts points; `properties` holds the custom fields."""

    id: int
    external_id: str | None
    email: str | None
    phone: str | None
    first_name: str | None
    last_name: str | None
    country: str | None
    locale: str | None
    time_zone: str | None
    stage: str
    score: int
    qualified_at: datetime | None
    tags: list[str]
    properties: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    lifecycle: str | None
    fit: int
    grade: str | None
    scored_at: datetime | None
    owner: str | None

    @property
    def name(self) -> str:
        """What to call the customer in lists: the full name, or the best identifier."""
        full = full_name(self.first_name, self.last_name)
        return full or self.email or self.phone or self.external_id or f"customer {self.id}"


async def find(db: AsyncConnection, reference: str) -> Customer:
    """The customer with this id, or any of its external ids, emails or phones; `id:42` or `external_id:42` says which.

    The id of somebody who was merged into another one means the other one.

    Raises:
        UnknownCustomer: there is none, or the reference means several customers.
    """
    kind, colon, rest = reference.strip().partition(":")
    named = kind in ("id", *IDENTIFIERS) and bool(colon)
    value = (rest if named else reference).strip()
    kinds = [kind] if named else ["id", *IDENTIFIERS]
    spelled = {kind: one_spelling(kind, value) for kind in kinds if kind != "id"}
    tests = [(names.c.kind == kind) & (names.c.value == word) for kind, word in spelled.items()]
    ways = [select(names.c.customer_id).where(or_(*tests))] if tests else []
    # What is shared by several people names none of them, but may stand on one customer only.
    shared = select(customers.c.id).where(customers.c.sharing)
    ways += [shared.where(customers.c[kind] == word).limit(3) for kind, word in spelled.items()]
    if "id" in kinds and value.isascii() and value.isdigit() and len(value) < 19:
        ways.append(select(customers.c.id).where(customers.c.id == int(value)))
        gone = (merges.c.gone_id == int(value), merges.c.undone_at.is_(None))
        ways.append(select(merges.c.kept_id).where(*gone))
    ids = sorted(set((await db.execute(union_all(*ways))).scalars())) if ways else []
    if not ids:
        raise UnknownCustomer(
            f"No customer goes by {reference!r}.",
            hint="Give an id, an external id, an email address or a phone number.",
        )
    if len(ids) > 1:
        if value.isdigit():
            message, hint = "is the id of one customer and another name of a second one", f"id:{value} or external_id:"
            raise UnknownCustomer(f"{value!r} {message}.", hint=f"Write {hint}{value}.")
        which = ", ".join(f"id:{one}" for one in ids)
        raise UnknownCustomer(f"{value!r} is a name of several customers.", hint=f"Write which of them: {which}.")
    return await get(db, ids[0])


async def get(db: AsyncConnection, customer_id: int) -> Customer:
    """The customer with this id. Raises `UnknownCustomer`."""
    row = (await db.execute(select(*shown(customers)).where(customers.c.id == customer_id))).one_or_none()
    if row is None:
        raise UnknownCustomer(f"There is no customer {customer_id}.")
    return Customer(**row._mapping)


async def field(db: AsyncConnection, customer_id: int, name: str) -> Any:
    """One standard or custom field of a customer; None when it is empty."""
    column = customers.c.get(name)
    asked = column if column is not None else customers.c.properties[name].astext
    return (await db.execute(select(asked).where(customers.c.id == customer_id))).scalar_one_or_none()
