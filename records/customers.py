"""The people: found by any of their names, written from a contact, changed field by field with the reason kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as insert_unless_there
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.errors import WaymarkError
from records import changes, consents
from records.changes import Change
from records.contacts import COLUMNS, IDENTIFIERS, Contact, clean_column, clean_property
from records.tables import customers, shown
from records.tags import tag, untag

KEPT = (
    "id", "score", "tags", "properties", "qualified_at", "created_at", "updated_at",
    "lifecycle", "fit", "grade", "scored_at", "owner",
)  # fmt: skip
"""The columns that no journey sets by name."""

__all__ = ["ConflictingIdentity", "Contact", "Customer", "UnknownCustomer", "Upserted", "field", "find", "get",
           "list_page", "qualify", "set_fields", "tag", "untag", "upsert"]  # fmt: skip


class UnknownCustomer(WaymarkError):
    """Nobody goes by this reference. Look at the list of customers, or import the contact first."""


class ConflictingIdentity(WaymarkError):
    """The identifiers of one contact belong to different customers. Correct the contact; nothing was written."""


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
        full = " ".join(part for part in (self.first_name, self.last_name) if part)
        return full or self.email or self.phone or self.external_id or f"customer {self.id}"


@dataclass(frozen=True, slots=True)
class Upserted:
    """What became of a contact. `still_withdrawn` names the channels whose earlier withdrawal was left to stand."""

    id: int
    outcome: Literal["created", "updated", "unchanged"]
    still_withdrawn: tuple[str, ...] = ()


async def upsert(
    db: AsyncConnection, contact: Contact, *, now: datetime, source: str = "import", regrant: bool = False
) -> Upserted:
    """Writes a contact: creates the customer or completes the one it matches by external id, email or phone.

    Fields that the contact does not state stay; tags are added; properties are merged. A grant of consent does not
    undo an earlier withdrawal unless `regrant` says that the person asked again.

    Raises:
        ConflictingIdentity: two customers match, or a weaker identifier matches a customer with another stronger one.
        WaymarkError: the contact has no identifier.
    """
    said = contact.columns()
    if not any(name in said for name in IDENTIFIERS):
        raise WaymarkError(
            "The contact has nothing to know it by.", hint="Give an external id, an email address or a phone number."
        )
    outcome: Literal["created", "updated", "unchanged"]
    for _ in range(3):
        row = await _match(db, said)
        if row is not None:
            customer_id = row.id
            changed = await _complete(db, row, said, contact, because=source, now=now)
            outcome = "updated" if changed else "unchanged"
            break
        created = await _create(db, said, contact, now=now)
        if created is not None:
            customer_id, outcome = created, "created"
            break
        # Somebody else created it in this moment: now it is there to be matched.
    else:
        raise ConflictingIdentity("Several others change this contact at this moment.", hint="Try again.")
    if not contact.consents:
        return Upserted(customer_id, outcome)
    written, withdrawn = await consents.declare(
        db, customer_id, contact.consents, source=source, at=now, regrant=regrant
    )
    return Upserted(customer_id, "updated" if written and outcome == "unchanged" else outcome, withdrawn)


async def find(db: AsyncConnection, reference: str) -> Customer:
    """The customer with this id, external id, email or phone; `id:42` or `external_id:42` says which of them.

    Raises:
        UnknownCustomer: there is none, or the reference means two different customers.
    """
    kind, colon, rest = reference.strip().partition(":")
    named = kind in ("id", *IDENTIFIERS) and bool(colon)
    value = (rest if named else reference).strip()
    tests = {
        "id": customers.c.id == int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None,
        "external_id": customers.c.external_id == value,
        "email": customers.c.email == value.lower(),
        "phone": customers.c.phone == value,
    }
    wanted = [test for name, test in tests.items() if test is not None and (not named or name == kind)]
    found = (await db.execute(select(*shown(customers)).where(or_(*wanted)).limit(2))).all() if wanted else []
    if not found:
        raise UnknownCustomer(
            f"No customer goes by {reference!r}.",
            hint="Give an id, an external id, an email address or a phone number.",
        )
    if len(found) > 1:
        raise UnknownCustomer(
            f"{value!r} is the id of one customer and another name of a second one.",
            hint=f"Write id:{value} or external_id:{value}.",
        )
    return Customer(**found[0]._mapping)


async def get(db: AsyncConnection, customer_id: int) -> Customer:
    """The customer with this id. Raises `UnknownCustomer`."""
    row = (await db.execute(select(*shown(customers)).where(customers.c.id == customer_id))).one_or_none()
    if row is None:
        raise UnknownCustomer(f"There is no customer {customer_id}.")
    return Customer(**row._mapping)


async def list_page(
    db: AsyncConnection, *, after: int = 0, limit: int = 50, search: str | None = None
) -> list[Customer]:
    """Customers in the order of their ids, those after the id `after`; `search` is a part of a name or identifier."""
    query = select(*shown(customers)).where(customers.c.id > after).order_by(customers.c.id).limit(limit)
    if search and search.strip():
        full_name = func.concat_ws(" ", customers.c.first_name, customers.c.last_name)
        places = (customers.c.email, customers.c.external_id, customers.c.phone, full_name)
        query = query.where(or_(*(place.icontains(search.strip(), autoescape=True) for place in places)))
    return [Customer(**row._mapping) for row in await db.execute(query)]


async def set_fields(
    db: AsyncConnection,
    customer_id: int,
    values: Mapping[str, Any],
    *,
    because: str | None,
    enrolment_id: int | None = None,
    now: datetime,
) -> list[str]:
    """Sets columns and properties; None clears one. Each change is kept with its reason. Returns what changed.

    Raises:
        UnknownCustomer: there is no such customer.
        ConflictingIdentity: another customer has that identifier; the transaction is lost.
        WaymarkError: the field is not one that can be set, or the stage would be empty.
    """
    for name in values:
        if name in KEPT:
            raise WaymarkError(f"{name} cannot be set.", hint="Use score:, tag: or untag: for scores and tags.")
    columns = {name: clean_column(name, value) for name, value in values.items() if name in COLUMNS}
    if columns.get("stage", "") is None:
        raise WaymarkError("A customer always has a stage.", hint="Name one, such as stage: new.")
    properties = {name: clean_property(value) for name, value in values.items() if name not in COLUMNS}
    locked = select(customers).where(customers.c.id == customer_id).with_for_update(key_share=True)
    row = (await db.execute(locked)).one_or_none()
    if row is None:
        raise UnknownCustomer(f"There is no customer {customer_id}.")
    written, kept = changes.between(row._asdict(), columns, properties)
    await _update(db, customer_id, written, kept, because=because, enrolment_id=enrolment_id, now=now)
    return [change.name for change in kept]


async def _match(db: AsyncConnection, said: Mapping[str, str]) -> Row[Any] | None:
    names = [name for name in IDENTIFIERS if name in said]
    query = select(customers).where(or_(*(customers.c[name] == said[name] for name in names)))
    rows = (await db.execute(query.with_for_update(key_share=True))).all()
    if len(rows) > 1:
        ids = ", ".join(str(row.id) for row in rows)
        raise ConflictingIdentity(
            f"The contact names several customers at once: {ids}.",
            hint="Correct its identifiers, or import each person as a contact of their own.",
        )
    row = rows[0] if rows else None
    matched = next((name for name in names if row is not None and row._mapping[name] == said[name]), None)
    for stronger in names[: names.index(matched)] if row is not None and matched else []:
        if row is not None and row._mapping[stronger] is not None:
            raise ConflictingIdentity(
                f"The contact has the {matched} of customer {row.id} and another {stronger}.",
                hint=f"Correct the {matched}, or change the {stronger} of customer {row.id} first.",
            )
    return row


async def _create(db: AsyncConnection, said: Mapping[str, str], contact: Contact, *, now: datetime) -> int | None:
    values = {
        **said,
        "tags": contact.stated_tags(),
        "properties": contact.stated_properties(),
        "created_at": now,
        "updated_at": now,
    }
    fresh = insert_unless_there(customers).values(values).on_conflict_do_nothing().returning(customers.c.id)
    row = (await db.execute(fresh)).one_or_none()
    return None if row is None else int(row.id)


async def _complete(
    db: AsyncConnection, row: Row[Any], said: Mapping[str, str], contact: Contact, *, because: str, now: datetime
) -> bool:
    written, kept = changes.between(row._asdict(), said, contact.stated_properties())
    added = [word for word in contact.stated_tags() if word not in row.tags]
    if added:
        written["tags"] = [*row.tags, *added]
        kept += [Change("tag", word) for word in added]
    await _update(db, row.id, written, kept, because=because, enrolment_id=None, now=now)
    return bool(kept)


async def _update(
    db: AsyncConnection,
    customer_id: int,
    written: Mapping[str, Any],
    kept: list[Change],
    *,
    because: str | None,
    enrolment_id: int | None,
    now: datetime,
) -> None:
    if not kept:
        return
    try:
        await db.execute(update(customers).where(customers.c.id == customer_id).values(**written, updated_at=now))
    except IntegrityError as error:
        raise ConflictingIdentity(
            f"Customer {customer_id} cannot get this identifier: another customer has it.",
            hint="Find the other one by it, and correct one of the two.",
        ) from error
    await changes.keep(db, customer_id, kept, because=because, enrolment_id=enrolment_id, at=now)


async def qualify(db: AsyncConnection, customer_id: int, at: datetime) -> bool:
    """Note that the customer is a qualified lead. False when it was one already: a lead is handed over once."""
    marked = await db.execute(
        update(customers)
        .where(customers.c.id == customer_id, customers.c.qualified_at.is_(None))
        .values(qualified_at=at)
    )
    return marked.rowcount == 1


async def field(db: AsyncConnection, customer_id: int, name: str) -> Any:
    """One standard or custom field of a customer; None when it is empty."""
    column = customers.c.get(name)
    asked = column if column is not None else customers.c.properties[name].astext
    return (await db.execute(select(asked).where(customers.c.id == customer_id))).scalar_one_or_none()
