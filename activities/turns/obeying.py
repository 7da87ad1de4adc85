"""Doing what somebody told a run to do: skip, move, exit, retry, resume, migrate.

An order that makes no sense where the run stands is refused, and the refusal kept beside the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.turns.taken import Taken
from journeys.difference import fate, moved_to
from journeys.interpreter import move, rest_at
from journeys.nearest import unknown_word
from journeys.spreading import fraction
from journeys.steps.ways import WaitFor
from records.messages import ledger
from records.runs import orders
from records.runs.happenings import Happening
from records.runs.orders import PendingOrder

if TYPE_CHECKING:
    from activities.turns.turn import Turns

TO_SETTLE = "its message may or may not have gone: settle that first with `waymark runs resolve`"


class Refusal(Exception):
    """Why a run does not do what it was told, in words."""


async def obey(turns: Turns, db: AsyncConnection, taken: Taken, met: Happening | None) -> bool:
    """Carry out the pending orders of the run, one after the other. False when none of them changed where it is."""
    changed = False
    for order in taken.standing.orders:
        if taken.instruction.act == "finish":
            await _refuse(db, taken, order, "the run has ended")
            continue
        try:
            await _carry_out(turns, db, taken, order, met)
        except Refusal as refusal:
            await _refuse(db, taken, order, str(refusal))
        else:
            changed = True
            await orders.taken(db, [order.id], taken.now)
    return changed


async def refuse_all(db: AsyncConnection, taken: Taken, because: str) -> None:
    """Refuse the pending orders of a run that has ended by itself."""
    for order in taken.standing.orders:
        await _refuse(db, taken, order, because)


async def _refuse(db: AsyncConnection, taken: Taken, order: PendingOrder, because: str) -> None:
    taken.refusals[str(order.id)] = because
    taken.instruction = replace(taken.instruction, refusals=dict(taken.refusals))
    await orders.refuse(db, order.id, taken.now, because)


async def _carry_out(
    turns: Turns, db: AsyncConnection, taken: Taken, order: PendingOrder, met: Happening | None
) -> None:
    by = f"by {order.by}" + (f": {order.because}" if order.because else "")
    match order.kind:
        case "exit":
            await turns.leave(db, taken, f"ended {by}", str(order.args.get("outcome") or "stopped"))
        case "skip":
            await _skip(turns, db, taken, by)
        case "move":
            await _move(turns, db, taken, str(order.args["to"]), by)
        case "retry":
            await _retry(turns, db, taken, by)
        case "resume":
            await _resume(turns, db, taken, order.args, met)
        case "migrate":
            await _migrate(turns, db, taken, int(order.args["version"]), order.args.get("map") or {}, by)


async def _skip(turns: Turns, db: AsyncConnection, taken: Taken, by: str) -> None:
    if taken.cursor.step is None:
        raise Refusal("the run has not begun: there is no step to skip")
    if taken.delivery is None:
        await turns.elapse(db, taken, f"skipped {by}")
        return
    if await _settled(db, taken) is not None:
        raise Refusal("its message is settled already: there is nothing to skip")
    await ledger.skip(db, taken.slot, taken.row(), f"skipped {by}")
    await turns.settle(db, taken, "skipped", {"because": f"skipped {by}"})


async def _move(turns: Turns, db: AsyncConnection, taken: Taken, target: str, by: str) -> None:
    if target not in taken.program.nodes:
        raise Refusal(unknown_word(target, taken.program.nodes, f"is no step of version {taken.version}"))
    if taken.delivery is not None:
        await _settled(db, taken)
    taken.note("move", f"moved to {target} {by}")
    await turns.walk(db, taken, move(taken.program, taken.cursor, target, taken.now, taken.person, f"moved {by}"))


async def _retry(turns: Turns, db: AsyncConnection, taken: Taken, by: str) -> None:
    status = taken.instruction.status
    if status == "held":
        raise Refusal(TO_SETTLE)
    if status != "retrying":
        raise Refusal(f"nothing is put off: the run is {status} at {taken.instruction.step}")
    taken.note("retry", f"tried again {by}")
    await turns.deliver(db, taken)


async def _settled(db: AsyncConnection, taken: Taken) -> ledger.Touch | None:
    """The touch of the delivery at which the run rests, if it has one, which must be settled."""
    touch = await ledger.find(db, taken.slot)
    if touch is not None and touch.status in ("claimed", "uncertain"):
        raise Refusal(TO_SETTLE)
    return touch


async def _resume(
    turns: Turns, db: AsyncConnection, taken: Taken, args: Mapping[str, Any], met: Happening | None
) -> None:
    """Go on after a pause. What is overdue goes on at a moment of its own within a window (`spread`), when the length
    of the pause has passed again (`shift`), or at once, its message being left out (`skip`). `met` is the event that
    the run waits for, when it came in time."""
    mode, since, at = args["mode"], datetime.fromisoformat(args["since"]), datetime.fromisoformat(args["at"])
    if taken.standing.hold is not None:
        raise Refusal(f"still paused: {taken.standing.hold.kind} {taken.standing.hold.name}")
    if taken.instruction.status != "paused":
        if mode != "shift" or taken.instruction.until is None:
            raise Refusal("the run is not paused")
        await _wake_at(turns, db, taken, taken.instruction.until + (at - since), shifted=at - since)
        return
    begun = turns.unpause(taken)
    was = taken.instruction
    taken.note("resume", f"resumed: {mode}")
    if not begun and taken.cursor.step is not None:
        await turns.walk(db, taken, turns.beginning(taken))
        return
    if mode == "spread":
        over = timedelta(seconds=float(args.get("over") or 0))
        moment = at + over * fraction("resume", taken.enrolment.id)
        if moment > taken.now:
            if begun and was.until is not None:
                taken.notes["limit"] = was.until.isoformat()
            await _wake_at(turns, db, taken, moment)
            return
    due = met.at if met is not None else was.until if begun else None
    if mode == "shift" and due is not None and due + (at - since) > taken.now:
        await _wake_at(turns, db, taken, due + (at - since), shifted=at - since)
    elif not begun:
        await turns.walk(db, taken, turns.beginning(taken))
    elif taken.delivery is None:
        await turns.end_wait(db, taken, met)
    elif mode == "skip" and await ledger.find(db, taken.slot) is None:
        await ledger.skip(db, taken.slot, taken.row(), "paused")
        await turns.settle(db, taken, "skipped", {"because": "paused"})
    else:
        await turns.deliver(db, taken)


async def _wake_at(
    turns: Turns, db: AsyncConnection, taken: Taken, moment: datetime, shifted: timedelta | None = None
) -> None:
    """Rest on where the run is until a later moment; events that are awaited count until then only when shifted."""
    if shifted is not None and "limit" in taken.notes:
        limit = datetime.fromisoformat(taken.notes["limit"]) + shifted
        taken.notes["limit"] = limit.isoformat()
    was = taken.instruction
    delivery = taken.delivery
    taken.instruction = replace(
        was,
        turn=taken.turn,
        act="wait",
        step=taken.cursor.step or "entry",
        until=moment,
        summary=was.summary or "begin",
        channel=delivery.channel if delivery is not None else was.channel,
        then=delivery.summary if delivery is not None else was.then,
        status="waiting" if was.status in ("sending", "paused") else was.status,
    )
    await turns.save(db, taken, taken.enrolment.because or "", taken.enrolment.awaiting)


async def _migrate(
    turns: Turns, db: AsyncConnection, taken: Taken, version: int, mapping: dict[str, str], by: str
) -> None:
    """Go over to another version of the map, at the step that the one where the run stands has become."""
    if version == taken.version:
        raise Refusal(f"the run is on version {version} already")
    old = taken.program
    new = await turns.programs.get(db, taken.enrolment.journey, version)
    step = taken.cursor.step
    target = moved_to(old, new, step, mapping) if step is not None else None
    if step is not None and target is None:
        raise Refusal(f"the step {step} is gone in version {version}: say where it goes with --map {step}=STEP")
    if taken.delivery is not None and target != step:
        await _settled(db, taken)
    names = {name: moved_to(old, new, name, mapping) or name for name in taken.cursor.visits if name in old.nodes}
    # A visit counts under its old name too: the ledger has it there, and a new step may bear that name now.
    visits = dict(taken.cursor.visits)
    for name, count in taken.cursor.visits.items():
        visits[names.get(name, name)] = max(visits.get(names.get(name, name), 0), count)
    taken.note("migrate", f"moved from version {taken.version} to {version} {by}")
    taken.program, taken.version = new, version
    taken.cursor = replace(taken.cursor, step=target, visits=visits, loops={})
    if target is None or step is None:
        await turns.save(db, taken, taken.enrolment.because or "", taken.enrolment.awaiting)
        return
    stays = fate(old, new, step, target) == "stays"
    if stays or taken.instruction.status == "paused":
        taken.instruction = replace(taken.instruction, turn=taken.turn, step=target)
        if (was := (taken.notes.get("paused") or {}).get("was")) is not None:
            # What was due at a step that has changed is reckoned anew when the run is let go.
            taken.notes["paused"] = {"was": {**was, "step": target} if stays else None}
        node = new.nodes[target].step
        awaited = node.wait_for.events if isinstance(node, WaitFor) else []
        await turns.save(db, taken, taken.enrolment.because or "", tuple({*new.always_awaited, *awaited}))
        return
    await turns.walk(db, taken, rest_at(new, taken.cursor, taken.person, f"now on version {version}"))
