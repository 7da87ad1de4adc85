"""Customers written: from a contact, or field by field with the reason kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.errors import WaymarkError
from records import changes
from records.changes import Change
from records.people import consents, identities, merging, unnamed
from records.people.contacts import COLUMNS, IDENTIFIERS, Contact, clean_column, clean_property
from records.people.identities import DEFAULT, IdentityRules, Key, UnknownCustomer
from records.tables import customers

KEPT = (
    "id", "score", "tags", "properties", "qualified_at", "created_at", "updated_at",
    "lifecycle", "fit", "grade", "scored_at", "owner",
)  # fmt: skip
"""The columns that no journey sets by name."""


class ConflictingIdentity(WaymarkError):
    """An identifier belongs to somebody else, or somebody else takes it at this moment. Nothing was written."""


Outcome = Literal["created", "updated", "merged", "unchanged"]


@dataclass(frozen=True, slots=True)
class Upserted:
    """What became of a contact; "merged" says that it showed several customers to be one. `still_withdrawn` names the
    channels whose earlier withdrawal was left to stand."""

    id: int
    outcome: Outcome
    still_withdrawn: tuple[str, ...] = ()


async def upsert(
    db: AsyncConnection,
    contact: Contact,
    *,
    now: datetime,
    source: str = "import",
    regrant: bool = False,
    replace: bool = False,
    rules: IdentityRules = DEFAULT,
) -> Upserted:
    """Writes a contact: creates the customer, or completes the one whom its external id, email or phone names.

    Keys of several customers make one of them, the oldest; new keys become further names. Fields that the contact
    does not state stay; tags are added; properties are merged. The address and the number that are written to stay,
    too, unless those of the contact `replace` them. A grant of consent does not undo an earlier withdrawal unless
    `regrant` says that the person asked again.

    Raises:
        ConflictingIdentity: others kept writing the same keys at this moment.
        WaymarkError: the contact has no identifier.
    """
    said = contact.columns()
    if not any(name in said for name in IDENTIFIERS):
        raise WaymarkError(
            "The contact has nothing to know it by.", hint="Give an external id, an email address or a phone number."
        )
    keys = rules.keys(said)
    merged = False
    for _ in range(5):
        found = await _whom(db, said, keys, source=source, now=now)
        if found is None:
            created = await _create(db, said, keys, contact, sharing=rules.sharing(said), now=now)
            if created is not None:
                return await _declare(db, Upserted(created, "created"), contact, source, now, regrant)
            continue
        row, known, joined = found
        merged |= joined
        # Somebody else may have merged the customer away, or taken a key, in this moment: then all is asked anew.
        if row is not None and await identities.claim(db, row.id, keys, now):
            fresh = [key for key in keys if key not in known]
            changed = await _complete(
                db, row, said, fresh, contact, rules, because=source, replace=replace, now=now
            )  # fmt: skip
            done = Upserted(row.id, "merged" if merged else "updated" if changed else "unchanged")
            return await _declare(db, done, contact, source, now, regrant)
    raise ConflictingIdentity("Several others change this contact at this moment.", hint="Try again.")


async def _declare(
    db: AsyncConnection, done: Upserted, contact: Contact, source: str, now: datetime, regrant: bool
) -> Upserted:
    if not contact.consents:
        return done
    written, withdrawn = await consents.declare(db, done.id, contact.consents, source=source, at=now, regrant=regrant)
    return Upserted(done.id, "updated" if written and done.outcome == "unchanged" else done.outcome, withdrawn)


async def set_fields(
    db: AsyncConnection,
    customer_id: int,
    values: Mapping[str, Any],
    *,
    because: str | None,
    enrolment_id: int | None = None,
    now: datetime,
    rules: IdentityRules = DEFAULT,
) -> list[str]:
    """Sets columns and properties; None clears one. Each change is kept with its reason. Returns what changed.

    An address that is replaced stays a name of the customer; one that is cleared names nobody any more.

    Raises:
        UnknownCustomer: there is no such customer.
        ConflictingIdentity: another customer has that identifier.
        WaymarkError: the field is not one that can be set, or the stage would be empty.
    """
    for name in values:
        if name in KEPT:
            raise WaymarkError(f"{name} cannot be set.", hint="Use score:, tag: or untag: for scores and tags.")
    columns = {name: clean_column(name, value) for name, value in values.items() if name in COLUMNS}
    if columns.get("stage", "") is None:
        raise WaymarkError("A customer always has a stage.", hint="Name one, such as stage: new.")
    properties = {name: clean_property(value) for name, value in values.items() if name not in COLUMNS}
    row = await _locked(db, customer_id)
    if row is None:
        raise UnknownCustomer(f"There is no customer {customer_id}.")
    written, kept = changes.between(row._asdict(), columns, properties)
    for kind in IDENTIFIERS:
        if kind in written and written[kind] is None:
            await identities.release(db, customer_id, (kind, row._mapping[kind]))
    if not await identities.claim(db, customer_id, rules.keys(written), now):
        raise ConflictingIdentity(
            f"Customer {customer_id} cannot get this identifier: another customer has it.",
            hint="Find the other one by it; if both are one person, `waymark customers merge` joins them.",
        )
    if rules.sharing(written):
        written["sharing"] = True
    await _update(db, customer_id, written, kept, because=because, enrolment_id=enrolment_id, now=now)
    return [change.name for change in kept]


async def qualify(db: AsyncConnection, customer_id: int, at: datetime) -> bool:
    """Note that the customer is a qualified lead. False when it was one already: a lead is handed over once."""
    marked = await db.execute(
        update(customers)
        .where(customers.c.id == customer_id, customers.c.qualified_at.is_(None))
        .values(qualified_at=at)
    )
    return marked.rowcount == 1


async def _whom(
    db: AsyncConnection, said: Mapping[str, str], keys: list[Key], *, source: str, now: datetime
) -> tuple[Row[Any] | None, Collection[Key], bool] | None:
    """The customer whom the keys name, locked (None: gone in this moment), those of the keys that are known, and
    whether several customers were merged. None when the keys name nobody.

    A contact without any key that joins is whoever was written just so (`unnamed`).
    """
    if not keys:
        known_by = unnamed.traits(said)
        await unnamed.hold(db, known_by)
        same = (await unnamed.owners(db, {known_by})).get(known_by)
        return None if same is None else (await _locked(db, same), (), False)
    known = await identities.owners(db, keys)
    if not known:
        return None
    kept, *others = sorted(set(known.values()))
    for gone in others:
        because = " and ".join(f"{kind} {value}" for kind, value in keys)
        try:
            await merging.merge(db, kept, gone, by=source, because=f"one contact has {because}", now=now)
        except (merging.NotMerged, UnknownCustomer):
            return None, known, False
    return await _locked(db, kept), known, bool(others)


async def _locked(db: AsyncConnection, customer_id: int) -> Row[Any] | None:
    locked = select(customers).where(customers.c.id == customer_id).with_for_update(key_share=True)
    return (await db.execute(locked)).one_or_none()


async def _create(
    db: AsyncConnection, said: Mapping[str, str], keys: list[Key], contact: Contact, *, sharing: bool, now: datetime
) -> int | None:
    values = {
        **said,
        "sharing": sharing,
        "tags": contact.stated_tags(),
        "properties": contact.stated_properties(),
        "created_at": now,
        "updated_at": now,
    }
    made = await db.execute(insert(customers).values(values).returning(customers.c.id))
    customer_id = int(made.scalar_one())
    if await identities.claim(db, customer_id, keys, now):
        return customer_id
    # Somebody else created it in this moment: now it is there to be found.
    await db.execute(delete(customers).where(customers.c.id == customer_id))
    return None


async def _complete(
    db: AsyncConnection,
    row: Row[Any],
    said: Mapping[str, str],
    fresh: Sequence[Key],
    contact: Contact,
    rules: IdentityRules,
    *,
    because: str,
    replace: bool,
    now: datetime,
) -> bool:
    stay = ("external_id",) if replace else IDENTIFIERS
    news = {name: value for name, value in said.items() if name not in stay or row._mapping[name] is None}
    written, kept = changes.between(row._asdict(), news, contact.stated_properties())
    added = [word for word in contact.stated_tags() if word not in row.tags]
    if added:
        written["tags"] = [*row.tags, *added]
        kept += [Change("tag", word) for word in added]
    kept += [Change("property", f"another {kind}", None, value) for kind, value in fresh if kind not in written]
    if rules.sharing(written):
        written["sharing"] = True
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
    await db.execute(update(customers).where(customers.c.id == customer_id).values(**written, updated_at=now))
    await changes.keep(db, customer_id, kept, because=because, enrolment_id=enrolment_id, at=now)
