"""What two records of one person cannot both keep, and who gives way when they are merged; `merging` asks.

Each function returns what undoing needs, as JSON, and there is one beside it that undoes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_unless_there
from sqlalchemy.ext.asyncio import AsyncConnection

from records.people.consents import LATEST
from records.people.filling import Before, empty, insert_row
from records.runs import orders
from records.runs.enrolments import OPEN
from records.tables import (
    consents,
    customer_values,
    enrolments,
    holds,
    segment_members,
    segments,
    touches,
)

STRICTER = "merge: the stricter stands"
"""The source of a withdrawal that a merge writes; nobody said it, so it goes again when the merge is undone."""
OUTCOME = "merged"
"""How a run ends whose customer is in that journey already."""


async def end_doubled_runs(db: AsyncConnection, kept_id: int, gone_id: int, *, by: str, now: datetime) -> list[int]:
    """Tell the runs of whoever entered a journey later to leave, where both are in it; returns the orders."""
    columns = (enrolments.c.id, enrolments.c.customer_id, enrolments.c.journey)
    both = select(*columns).where(enrolments.c.customer_id.in_((kept_id, gone_id)), enrolments.c.status.in_(OPEN))
    first: dict[str, int] = {}
    given = []
    for run in await db.execute(both.order_by(enrolments.c.enrolled_at, enrolments.c.id)):
        if first.setdefault(run.journey, run.customer_id) != run.customer_id:
            because = f"customer {gone_id} was merged into customer {kept_id}, who is in this journey already"
            order = await orders.give(db, run.id, "exit", {"outcome": OUTCOME}, by=by, because=because, now=now)
            given.append(order)
    return given


async def keep_withdrawals(db: AsyncConnection, kept_id: int, gone_id: int, now: datetime) -> list[int]:
    """Let what either has withdrawn stand, also where the other agreed later; returns the entries that say so."""
    both = select(consents).where(consents.c.customer_id.in_((kept_id, gone_id)))
    latest: dict[tuple[str, int], Any] = {}
    for said in await db.execute(both.order_by(*LATEST)):
        latest.setdefault((said.channel, said.customer_id), said)
    written = []
    for channel in sorted({channel for channel, _ in latest}):
        last = [latest[channel, one] for one in (kept_id, gone_id) if (channel, one) in latest]
        newest = max(last, key=lambda one: (one.at, one.id))
        if newest.granted and not all(one.granted for one in last):
            entry = insert(consents).values(
                customer_id=kept_id, channel=channel, granted=False, source=STRICTER, at=max(now, newest.at)
            )
            written.append(int((await db.execute(entry.returning(consents.c.id))).scalar_one()))
    return written


async def join_runs(db: AsyncConnection, kept_id: int, gone_id: int) -> Before:
    """Hang the runs of one on the other, numbered anew by when they entered; an occasion counts once."""
    columns = (enrolments.c.id, enrolments.c.customer_id, enrolments.c.journey, enrolments.c.entry)
    both = select(*columns, enrolments.c.occasion).where(enrolments.c.customer_id.in_((kept_id, gone_id)))
    runs = (await db.execute(both.order_by(enrolments.c.enrolled_at, enrolments.c.id))).all()
    kept, gone = ([run for run in runs if run.customer_id == one] for one in (kept_id, gone_id))
    numbers: dict[int, tuple[int, int]] = {}
    for journey in {run.journey for run in kept} & {run.journey for run in gone}:
        taken = sorted(run.entry for run in kept if run.journey == journey)
        ours = [run for run in runs if run.journey == journey]
        # No number is given that a run had before: it is part of the name of a workflow.
        free = [*taken, *range(taken[-1] + 1, taken[-1] + 1 + len(ours) - len(taken))]
        numbers |= {run.id: (run.entry, entry) for run, entry in zip(ours, free, strict=True)}
    met = {(run.journey, run.occasion) for run in kept if run.occasion is not None}
    occasions = {run.id: run.occasion for run in gone if (run.journey, run.occasion) in met}
    if occasions:
        await db.execute(update(enrolments).where(enrolments.c.id.in_(occasions)).values(occasion=None))
    await _number(db, {run: new for run, (old, new) in numbers.items() if old != new}, kept_id, gone_id)
    return {
        "runs": [run.id for run in gone],
        "entries": {str(run): old for run, (old, _) in numbers.items()},
        "occasions": {str(run): occasion for run, occasion in occasions.items()},
    }


async def part_runs(db: AsyncConnection, before: Before, kept_id: int, gone_id: int, *, renumber: bool) -> None:
    """Undo `join_runs`; the runs that stay are numbered as before only if `renumber`."""
    theirs = set(before["runs"])
    still = select(enrolments.c.id, enrolments.c.entry).where(enrolments.c.customer_id == kept_id)
    now = {row.id: row.entry for row in await db.execute(still)}
    old = {int(run): entry for run, entry in before["entries"].items()}
    back = {run: old[run] for run in old.keys() & now.keys() if (run in theirs or renumber) and old[run] != now[run]}
    await _number(db, back, gone_id, kept_id, only=sorted(theirs & now.keys()))
    for run, occasion in before["occasions"].items():
        mine = (enrolments.c.id == int(run), enrolments.c.customer_id == gone_id)
        await db.execute(update(enrolments).where(*mine).values(occasion=occasion))


async def _number(
    db: AsyncConnection, numbers: Mapping[int, int], to: int, source: int, *, only: Sequence[int] | None = None
) -> None:
    """Move runs from one customer to another and number some: first all below zero, each with a number of its own, as
    none may be there twice, before the move or after."""
    for place, run in enumerate(numbers, 1):
        await db.execute(update(enrolments).where(enrolments.c.id == run).values(entry=-place))
    theirs = enrolments.c.customer_id == source
    chosen = theirs if only is None else and_(theirs, enrolments.c.id.in_(only))
    await db.execute(update(enrolments).where(chosen).values(customer_id=to))
    for run, entry in numbers.items():
        await db.execute(update(enrolments).where(enrolments.c.id == run).values(entry=entry))


MERGED_MEANWHILE = "merged while the message was leaving"
"""Why nobody knows yet whether a message of a broadcast went."""
_WENT = {"sent": 2, "uncertain": 1, "claimed": 1}
"""How surely a message went."""


async def join_broadcasts(db: AsyncConnection, kept_id: int, gone_id: int) -> Before:
    """Count one message of a broadcast where both have one: the other stays in the ledger, on its own. What went has
    the place rather than what did not: a message that was refused may go again where it has the place.

    A message that is just leaving goes on in doubt, until it is known how it ended: who takes a shard over would look
    for its claim under the number that it left for, and let it go again.
    """
    place = touches.c.broadcast_id
    both = select(touches.c.id, place, touches.c.customer_id, touches.c.status).where(
        touches.c.customer_id.in_((kept_id, gone_id)), place.is_not(None)
    )
    held: dict[int, dict[int, Any]] = {}
    for row in await db.execute(both):
        held.setdefault(row.broadcast_id, {})[row.customer_id] = row
    yielding = {}
    for broadcast, of in held.items():
        if len(of) == 2:
            kept, gone = of[kept_id], of[gone_id]
            yielding[(kept if _WENT.get(gone.status, 0) > _WENT.get(kept.status, 0) else gone).id] = broadcast
    doubted = and_(touches.c.customer_id == gone_id, place.is_not(None)) | touches.c.id.in_(yielding)
    leaving = update(touches).where(doubted, touches.c.status == "claimed")
    await db.execute(leaving.values(status="uncertain", because=MERGED_MEANWHILE))
    if yielding:
        await db.execute(update(touches).where(touches.c.id.in_(yielding)).values(broadcast_id=None))
    return {"broadcasts": {str(touch): broadcast for touch, broadcast in yielding.items()}}


async def part_broadcasts(db: AsyncConnection, before: Before, kept_id: int, gone_id: int) -> None:
    """Undo `join_broadcasts`."""
    for touch, broadcast in before["broadcasts"].items():
        theirs = (touches.c.id == int(touch), touches.c.customer_id.in_((kept_id, gone_id)))
        await db.execute(update(touches).where(*theirs).values(broadcast_id=broadcast))


async def join_memberships(db: AsyncConnection, kept_id: int, gone_id: int) -> Before:
    """A member of whatever either is a member of, since the earlier of the two; the next evaluation looks anew."""
    columns = (segment_members.c.segment, segment_members.c.customer_id, segment_members.c.since)
    rows = (await db.execute(select(*columns).where(segment_members.c.customer_id.in_((kept_id, gone_id))))).all()
    kept, gone = ({row.segment: row.since for row in rows if row.customer_id == one} for one in (kept_id, gone_id))
    await db.execute(delete(segment_members).where(segment_members.c.customer_id == gone_id))
    for segment, since in gone.items():
        entry = insert_unless_there(segment_members).values(segment=segment, customer_id=kept_id, since=since)
        earlier = func.least(segment_members.c.since, entry.excluded.since)
        same = ["segment", "customer_id"]
        await db.execute(entry.on_conflict_do_update(index_elements=same, set_={"since": earlier}))
    return {
        "members": {segment: since.isoformat() for segment, since in gone.items()},
        "was_member": {segment: kept[segment].isoformat() for segment in kept.keys() & gone.keys()},
    }


async def part_memberships(db: AsyncConnection, before: Before, kept_id: int, gone_id: int) -> None:
    """Undo `join_memberships`, for the segments that are still there."""
    there = set((await db.execute(select(segments.c.name))).scalars())
    for segment, since in before["members"].items():
        mine = (segment_members.c.segment == segment, segment_members.c.customer_id == kept_id)
        if (was := before["was_member"].get(segment)) is None:
            await db.execute(delete(segment_members).where(*mine))
        else:
            await db.execute(update(segment_members).where(*mine).values(since=datetime.fromisoformat(was)))
        if segment in there:
            entry = {"segment": segment, "customer_id": gone_id, "since": datetime.fromisoformat(since)}
            await db.execute(insert(segment_members).values(entry))


async def join_values(db: AsyncConnection, kept_id: int, gone_id: int) -> Before:
    """What both have ordered, until the figures are made anew."""
    both = customer_values.c.customer_id.in_((kept_id, gone_id))
    found = {row.customer_id: dict(row._mapping) for row in await db.execute(select(customer_values).where(both))}
    kept, gone = found.get(kept_id), found.get(gone_id)
    if gone is None:
        return {"values": None}
    joined = {name: value if kept is None else _joined(name, kept[name], value) for name, value in gone.items()}
    await db.execute(delete(customer_values).where(both))
    await db.execute(insert(customer_values).values({**joined, "customer_id": kept_id}))
    said = {"kept": kept, "gone": gone, "joined": {**joined, "customer_id": kept_id}}
    return {"values": {name: row and _as_text(row) for name, row in said.items()}}


async def part_values(db: AsyncConnection, before: Before, kept_id: int, gone_id: int) -> None:
    """Undo `join_values`; figures that were made anew since stay until that happens again."""
    if (rows := before["values"]) is None:
        return
    names = [column.name for column in customer_values.c]
    mine = customer_values.c.customer_id == kept_id
    there = (await db.execute(select(customer_values).where(mine))).one_or_none()
    if there is not None and _as_text(there._asdict()) == rows["joined"]:
        await db.execute(delete(customer_values).where(mine))
        if rows["kept"] is not None:
            await insert_row(db, customer_values.name, names, rows["kept"])
    await insert_row(db, customer_values.name, names, rows["gone"])


def _joined(name: str, kept: Any, gone: Any) -> Any:
    if name == "first_order_at":
        return min(kept, gone)
    return max(kept, gone) if name in ("last_order_at", "r", "f", "m") else kept + gone


def _as_text(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in row.items()}


async def join_holds(db: AsyncConnection, kept_id: int, gone_id: int) -> Before:
    """Whoever is held stays held."""
    names = {"kept": str(kept_id), "gone": str(gone_id)}
    query = select(holds).where(holds.c.kind == "customer", holds.c.name.in_(names.values()))
    found = {row.name: row for row in await db.execute(query)}
    if names["gone"] in found:
        mine = (holds.c.kind == "customer", holds.c.name == names["gone"])
        free = names["kept"] not in found
        await db.execute(update(holds).where(*mine).values(name=names["kept"]) if free else delete(holds).where(*mine))
    theirs = found.get(names["gone"])
    hold = theirs and {
        "mode": theirs.mode, "since": theirs.since.isoformat(), "by": theirs.by, "because": theirs.because
    }  # fmt: skip
    return {"holds": {"kept": names["kept"] in found, "gone": hold}}


async def part_holds(db: AsyncConnection, before: Before, kept_id: int, gone_id: int) -> None:
    """Undo `join_holds`; a hold that was released since stays released."""
    hold = before["holds"]["gone"]
    mine = (holds.c.kind == "customer", holds.c.name == str(kept_id))
    if hold is None or (await db.execute(select(holds.c.name).where(*mine))).one_or_none() is None:
        return
    if not before["holds"]["kept"]:
        await db.execute(delete(holds).where(*mine))
    since = datetime.fromisoformat(hold["since"])
    await db.execute(insert(holds).values({**hold, "since": since, "kind": "customer", "name": str(gone_id)}))


async def take_back(db: AsyncConnection, before: Before, now: datetime) -> None:
    """Take back what the merge said by itself: withdrawals, and orders to leave that no run has taken yet."""
    if before["consents"]:
        await db.execute(delete(consents).where(consents.c.id.in_(before["consents"])))
    for order in before["exits"]:
        given = await orders.get(db, order)
        if given is not None and given.taken_at is None:
            await orders.refuse(db, order, now, "the merge was undone")


JOINS = (join_runs, join_broadcasts, join_memberships, join_values, join_holds)
"""What makes one of two, in this order."""
PARTS = (part_broadcasts, part_memberships, part_values, part_holds, empty)
"""What makes two of one again."""
