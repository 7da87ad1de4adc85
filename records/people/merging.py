"""Two records of one person become one, and two again when that was a mistake.

Everything that hangs on the customer who goes is hung on the one who is kept, in one transaction; the row of the
merge keeps what undoing needs. What comes after the merge belongs to the one who is kept, also after undoing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journeys.errors import WaymarkError
from records.people import filling, reconciling
from records.people.filling import Before
from records.people.identities import UnknownCustomer
from records.runs.enrolments import OPEN
from records.tables import (
    changes,
    consents,
    customers,
    enrolments,
    events,
    fits,
    goals,
    identities,
    merges,
    score_entries,
    tasks,
    touches,
)

MOVED = (
    *((table, "id", "customer_id") for table in (events, consents, touches, score_entries, changes, tasks, fits)),
    (goals, "enrolment_id", "customer_id"),
    (merges, "id", "kept_id"),
)
"""The tables whose rows go along as they are: what each row is known by, and the column that says whose it is."""


class NotMerged(WaymarkError):
    """The two cannot become one, or what is one cannot become two; the message says why. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge: who was kept, who went, when (UTC), who did it and why; `undone_at` once it is undone.

    `kept_id` is whoever holds the rows now: it changes when the one who was kept is merged into somebody else.
    """

    id: int
    kept_id: int
    gone_id: int
    at: datetime
    by: str
    because: str | None
    undone_at: datetime | None
    undone_by: str | None


_SHOWN = [column for column in merges.c if column.name not in ("before", "told_at")]


async def merge(
    db: AsyncConnection,
    kept_id: int,
    gone_id: int,
    *,
    by: str,
    because: str | None,
    now: datetime,
    prefer_newer: bool = False,
) -> int:
    """Make one customer of two; returns the number of the merge.

    The one who is kept has what it had, and gets what it lacked; `prefer_newer` takes the fields of whoever was
    changed last, where both have one. Consent withdrawn by either stays withdrawn. Runs go on; of the runs in one
    journey those of whoever entered first, and the others are told to leave.

    Raises:
        NotMerged: it is one customer, or one of them was merged already.
        UnknownCustomer: one of them never was.
    """
    if kept_id == gone_id:
        raise NotMerged(
            f"Customer {kept_id} cannot be merged with itself.", hint="Name two customers: the one to keep comes first."
        )
    kept, gone = await _lock(db, kept_id, gone_id)
    moved: dict[str, list[int]] = {}
    before: Before = {"gone": gone, "kept": kept_id, "moved": moved}
    before["exits"] = await reconciling.end_doubled_runs(db, kept_id, gone_id, by=by, now=now)
    before["consents"] = await reconciling.keep_withdrawals(db, kept_id, gone_id, now)
    for join in reconciling.JOINS:
        before |= await join(db, kept_id, gone_id)
    for table, key, owner in MOVED:
        rows = update(table).where(table.c[owner] == gone_id).values({owner: kept_id}).returning(table.c[key])
        moved[table.name] = sorted((await db.execute(rows)).scalars())
    named = update(identities).where(identities.c.customer_id == gone_id).values(customer_id=kept_id)
    names = await db.execute(named.returning(identities.c.kind, identities.c.value))
    before["identities"] = sorted([row.kind, row.value] for row in names)
    await db.execute(delete(customers).where(customers.c.id == gone_id))
    before |= await filling.fill(db, kept, gone, now, prefer_newer=prefer_newer)
    runs = select(enrolments.c.id).where(enrolments.c.customer_id == kept_id, enrolments.c.status.in_(OPEN))
    waiting = (await db.execute(select(runs.exists()))).scalar_one()
    written = insert(merges).values(
        kept_id=kept_id, gone_id=gone_id, at=now, by=by, because=because, before=before,
        told_at=None if waiting else now,
    )  # fmt: skip
    return int((await db.execute(written.returning(merges.c.id))).scalar_one())


async def untold(db: AsyncConnection, *, limit: int, before: datetime, after: int = 0) -> list[Merge]:
    """Merges up to a moment of which the runs of whoever was kept have not heard, by number above `after`."""
    waiting = (merges.c.told_at.is_(None), merges.c.at <= before, merges.c.id > after)
    rows = await db.execute(select(*_SHOWN).where(*waiting).order_by(merges.c.id).limit(limit))
    return [Merge(**row._mapping) for row in rows]


async def mark_told(db: AsyncConnection, merge_ids: Sequence[int], now: datetime) -> None:
    """Note that the runs have heard of these merges."""
    await db.execute(update(merges).where(merges.c.id.in_(list(merge_ids))).values(told_at=now))


async def unmerge(db: AsyncConnection, merge_id: int, *, by: str, now: datetime) -> Merge:
    """Make two customers of one again, each with what it had before. What came since stays with the one who was kept.

    Raises:
        NotMerged: there is no such merge, it was undone, or another one has to be undone first.
    """
    row = (await db.execute(select(merges).where(merges.c.id == merge_id).with_for_update())).one_or_none()
    if row is None:
        raise NotMerged(f"There is no merge {merge_id}.", hint="`waymark customers show CUSTOMER` lists its merges.")
    if row.undone_at is not None:
        raise NotMerged(f"Merge {merge_id} was undone already, on {row.undone_at:%Y-%m-%d %H:%M} UTC.")
    before: Before = row.before
    if (first := before["kept"]) != row.kept_id:
        later = await _merge_of(db, first)
        raise NotMerged(
            f"Customer {first}, who was kept by merge {merge_id}, was merged into another one by merge {later} since.",
            hint=f"Undo merge {later} first: `waymark customers unmerge {later}`.",
        )
    kept_id, gone_id = row.kept_id, row.gone_id
    await _lock_runs(db, kept_id)
    await db.execute(select(customers.c.id).where(customers.c.id == kept_id).with_for_update())
    await filling.insert_customer(db, before["gone"])
    for kind, value in before["identities"]:
        theirs = (identities.c.kind == kind, identities.c.value == value, identities.c.customer_id == kept_id)
        await db.execute(update(identities).where(*theirs).values(customer_id=gone_id))
    for table, key, owner in MOVED:
        back = (table.c[key] == func.any(before["moved"][table.name]), table.c[owner] == kept_id)
        await db.execute(update(table).where(*back).values({owner: gone_id}))
    later_ones = select(merges.c.id).where(
        merges.c.kept_id == kept_id, merges.c.id > merge_id, merges.c.undone_at.is_(None)
    )
    latest = (await db.execute(later_ones.limit(1))).one_or_none() is None
    await reconciling.part_runs(db, before, kept_id, gone_id, renumber=latest)
    for part in reconciling.PARTS:
        await part(db, before, kept_id, gone_id)
    await reconciling.take_back(db, before, now)
    undone = update(merges).where(merges.c.id == merge_id).values(undone_at=now, undone_by=by)
    return Merge(**(await db.execute(undone.returning(*_SHOWN))).one()._mapping)


async def listing(db: AsyncConnection, customer_id: int) -> list[Merge]:
    """The merges that made a customer what it is, and those it went in, the oldest first."""
    concerns = or_(merges.c.kept_id == customer_id, merges.c.gone_id == customer_id)
    return [Merge(**row._mapping) for row in await db.execute(select(*_SHOWN).where(concerns).order_by(merges.c.id))]


async def find(db: AsyncConnection, merge_id: int) -> Merge | None:
    """The merge of this number, or None."""
    row = (await db.execute(select(*_SHOWN).where(merges.c.id == merge_id))).one_or_none()
    return None if row is None else Merge(**row._mapping)


async def last(db: AsyncConnection, customer_id: int) -> Merge | None:
    """The merge in which a customer went; else the last one that it was kept in; None where there is none to undo."""
    concerns = or_(merges.c.kept_id == customer_id, merges.c.gone_id == customer_id)
    query = select(*_SHOWN).where(concerns, merges.c.undone_at.is_(None))
    row = (await db.execute(query.order_by(merges.c.gone_id != customer_id, merges.c.id.desc()).limit(1))).one_or_none()
    return None if row is None else Merge(**row._mapping)


async def _lock(db: AsyncConnection, kept_id: int, gone_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both rows, held with their runs: in the order in which turns take them, the run before its customer."""
    await _lock_runs(db, kept_id, gone_id)
    query = select(customers.c.id, filling.AS_JSON).where(customers.c.id.in_((kept_id, gone_id)))
    found = {row.id: row.json for row in await db.execute(query.order_by(customers.c.id).with_for_update())}
    for one in (kept_id, gone_id):
        if one not in found:
            other = await _merge_of(db, one)
            if other is None:
                raise UnknownCustomer(f"There is no customer {one}.")
            into = (await db.execute(select(merges.c.kept_id).where(merges.c.id == other))).scalar_one()
            raise NotMerged(
                f"Customer {one} was merged into customer {into} by merge {other}.",
                hint=f"Both are one already: nothing is left to do. `waymark customers unmerge {other}` undoes it."
                if into in (kept_id, gone_id)
                else f"Name customer {into} instead.",
            )
    return found[kept_id], found[gone_id]


async def _lock_runs(db: AsyncConnection, *customer_ids: int) -> None:
    mine = select(enrolments.c.id).where(enrolments.c.customer_id.in_(customer_ids))
    await db.execute(mine.order_by(enrolments.c.id).with_for_update())


async def _merge_of(db: AsyncConnection, gone_id: int) -> int | None:
    query = select(merges.c.id).where(merges.c.gone_id == gone_id, merges.c.undone_at.is_(None))
    found: int | None = (await db.execute(query)).scalar_one_or_none()
    return found
