"""One turn of a run, in one database transaction: what happened, what is next, and the record of both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.turns import obeying
from activities.turns.effects import Effects
from activities.turns.gates import Closed, Gates
from activities.turns.hearing import already, hear, hearing
from activities.turns.programs import Programs
from activities.turns.questions import answer
from activities.turns.taken import AFTER_DELIVERY, NOTES, NOTHING, Taken, restore, store
from journeys.instruction import Instruction, Turn
from journeys.interpreter import Ask, Cursor, Do, Passed, Person, Rest, Walk, go_on, rest_at, start
from journeys.spreading import held_out
from journeys.steps.ways import WaitFor
from journeys.timing import punctual
from journeys.zones import zone_of
from records.messages import ledger
from records.runs import goals, standings
from records.runs.happenings import Happening


@dataclass(frozen=True, slots=True)
class Way:
    """How a rest has come to its end: the run begins, an event came, the time is over, or a delivery is made or
    settled."""

    kind: Literal["start", "event", "elapsed", "deliver", "settled"]
    event: Happening | None = None
    settled: str = ""


class Turns:
    """Takes turns. `effects` carries out what the steps do to the customer's record, `gates` say when not to send."""

    def __init__(self, programs: Programs, effects: Effects, gates: Gates, default_zone: str) -> None:
        self.programs = programs
        self.gates = gates
        self._effects = effects
        self._default_zone = default_zone

    async def take(self, db: AsyncConnection, turn: Turn) -> Taken:
        """Advance the run to its next rest, or return what was recorded when this turn was taken before.

        A workflow that was reset asks for turns of long ago; it is answered with the latest and goes on from there.
        """
        standing = await standings.lock(db, turn.enrolment)
        enrolment = standing.enrolment
        last = restore(enrolment.instruction)
        taken = Taken(
            standing,
            await self.programs.get(db, enrolment.journey, enrolment.version),
            Person(zone_of(standing.time_zone, standing.country, self._default_zone), standing.country, standing.key),
            turn.turn,
            turn.now,
            Cursor.from_json(enrolment.cursor),
            last or NOTHING,
            enrolment.version,
            goal="goal" in enrolment.cursor,
            held_out=enrolment.held_out,
            notes={name: enrolment.cursor[name] for name in NOTES if name in enrolment.cursor},
        )
        if last is not None and (enrolment.turn >= turn.turn or last.act == "finish"):
            taken.turn, taken.repeated, taken.seq = enrolment.turn, True, AFTER_DELIVERY
            taken.now = punctual(taken.cursor.since or turn.now, turn.now)
            return taken
        happenings = await hear(db, taken)
        taken.now = _moment(taken, turn, last, happenings)
        share = taken.journey.holdout
        if last is None and share is not None:
            taken.held_out = held_out(share, "holdout", enrolment.journey, standing.key)
        await self._reach_goal(db, taken, happenings)
        ended = next((one for one in happenings if one.interest.role == "exit"), None)
        if ended is not None:
            await self.leave(db, taken, f"{ended.name} came", ended.interest.outcome or "exited", ended.seen)
            await obeying.refuse_all(db, taken, f"the run has just left: {ended.name} came")
        elif not await obeying.obey(self, db, taken, _awaited(happenings)):
            await self._move(db, taken, turn, happenings, begins=last is None)
        return taken

    async def settle(self, db: AsyncConnection, taken: Taken, way: str, seen: dict[str, Any]) -> None:
        """Go on from a delivery that has come to its end: `sent`, `skipped` or `failed`."""
        taken.seq = max(taken.seq, AFTER_DELIVERY)
        taken.note("webhook" if taken.send.channel == "webhook" else "send", way, seen)
        await self.walk(db, taken, go_on(taken.program, taken.cursor, taken.now, taken.person, way))

    async def put_off(
        self, db: AsyncConnection, taken: Taken, until: datetime | None, because: str, note: dict[str, Any]
    ) -> None:
        """Rest at the delivery: until it is tried again, or, without a time, until somebody settles it."""
        held, message = until is None, taken.send.message
        taken.instruction = Instruction(
            taken.turn, "wait", taken.slot.step, f"hold {message}: it may or may not have gone" if held
            else f"try {message} again", "uncertain" if held else f"put off {note['times']} times", until,
            channel=None if held else taken.send.channel, then=None if held else taken.send.summary,
            status="held" if held else "retrying",
        )  # fmt: skip
        taken.notes = {"put_off": note}
        await self.save(db, taken, because, taken.program.always_awaited)

    async def wait_at_gate(self, db: AsyncConnection, taken: Taken, closed: Closed) -> None:
        """Rest at the delivery until it may go; one that never may is skipped, and the run goes on."""
        send = taken.send
        if closed.status == "skipped":
            await ledger.skip(db, taken.slot, taken.row(), closed.because)
            await self.settle(db, taken, "skipped", {"because": closed.because})
            return
        instruction = Instruction(
            taken.turn, "wait", taken.slot.step, f"hold {send.message}: {closed.because}", closed.because,
            closed.until, channel=send.channel, then=send.summary, status=closed.status,
        )  # fmt: skip
        if closed.status == "paused":
            taken.notes["paused"] = {"was": store(replace(instruction, act="deliver", status="sending"))}
        taken.instruction = instruction
        await self.save(db, taken, closed.because, taken.program.always_awaited)

    async def walk(self, db: AsyncConnection, taken: Taken, walk: Walk) -> None:
        """Run the interpreter to its rest, answering its questions from the records."""
        taken.notes = {}
        while True:
            rest = await self._to_rest(db, taken, walk)
            met = await already(db, taken, rest)
            if met is None:
                break
            taken.cursor = rest.cursor
            taken.note("wait_for", f"{met.name} had come", met.seen)
            heard, option = hearing(rest.cursor, met), met.interest.option
            walk = go_on(taken.program, heard, taken.now, taken.person, met.name, option)
        taken.cursor = rest.cursor
        await self.arrive(db, taken, rest)

    async def arrive(self, db: AsyncConnection, taken: Taken, rest: Rest) -> None:
        """Rest where the walk came to; at a delivery, only when it may go now."""
        closed = self.gates.closed(taken) if rest.act == "deliver" else None
        if closed is not None:
            await self.wait_at_gate(db, taken, closed)
            return
        step = rest.cursor.step or taken.instruction.step or "end"
        status = {"deliver": "sending", "wait": "waiting", "finish": "finished"}[rest.act]
        taken.instruction = Instruction(
            taken.turn, rest.act, step, rest.summary, rest.because, rest.until, rest.channel, rest.then,
            rest.outcome,
            status,  # type: ignore[arg-type]
        )  # fmt: skip
        await self.save(db, taken, rest.because, rest.awaiting)

    async def deliver(self, db: AsyncConnection, taken: Taken) -> None:
        """Make the delivery at which the run rests, if it may go now."""
        taken.notes.pop("paused", None)
        because, send = taken.enrolment.because or "", taken.send
        await self.arrive(
            db, taken,
            Rest("deliver", taken.cursor, because, send.summary, channel=send.channel,
                 awaiting=taken.program.always_awaited),
        )  # fmt: skip

    async def elapse(self, db: AsyncConnection, taken: Taken, because: str | None = None) -> None:
        """Go on from a wait whose time is over."""
        waited_for = isinstance(taken.program.nodes[taken.cursor.step or ""].step, WaitFor)
        kind, why = ("wait_for", "did not come") if waited_for else ("wait", "elapsed")
        taken.note(kind, because or why)
        await self.walk(db, taken, go_on(taken.program, taken.cursor, taken.now, taken.person, "elapsed"))

    async def end_wait(self, db: AsyncConnection, taken: Taken, met: Happening | None) -> None:
        """Go on from a wait: by the event that came in time, or because its time is over."""
        await self._follow(db, taken, Way("event", met) if met is not None else Way("elapsed"))

    async def leave(
        self, db: AsyncConnection, taken: Taken, because: str, outcome: str, seen: dict[str, Any] | None = None
    ) -> None:
        """End the run where it stands."""
        taken.note("exit", because, seen)
        at = taken.cursor.step or "entry"
        taken.instruction = Instruction(
            taken.turn, "finish", at, f"left: {because}", because, outcome=outcome, status="exited"
        )
        taken.notes = {}
        await self.save(db, taken, because, ())

    async def stay(self, db: AsyncConnection, taken: Taken) -> None:
        """Nothing that matters happened: rest on, under a new turn."""
        taken.instruction = replace(taken.instruction, turn=taken.turn, version=None, refusals={})
        await self.save(db, taken, taken.enrolment.because or "", taken.enrolment.awaiting)

    def beginning(self, taken: Taken) -> Walk:
        """The way from the first step; for a run whose map has changed while it was held, from where it stands."""
        if taken.cursor.step is None:
            return start(taken.program, taken.now, taken.person)
        return rest_at(taken.program, taken.cursor, taken.person, "its map has changed")

    def unpause(self, taken: Taken) -> bool:
        """Put the run back to what it was at when a hold stopped it; False when it had not begun, or what it was at is
        no more."""
        was = restore((taken.notes.pop("paused", None) or {}).get("was"))
        taken.instruction = was or NOTHING
        return was is not None

    async def save(self, db: AsyncConnection, taken: Taken, because: str, awaiting: Any) -> None:
        """Write down what the turn came to."""
        moved = taken.version if taken.version != taken.enrolment.version else None
        taken.instruction = replace(taken.instruction, version=moved, refusals=dict(taken.refusals))
        instruction = taken.instruction
        finished = instruction.act == "finish"
        values = {
            "status": instruction.status if finished else "active",
            "turn": taken.turn,
            "instruction": store(instruction),
            "cursor": {**taken.cursor.as_json(), **({"goal": True} if taken.goal else {}), **taken.notes},
            "step": instruction.step,
            "because": because,
            "wakes_at": instruction.until,
            "awaiting": [] if finished else list(awaiting),
            "outcome": instruction.outcome,
            "ended_at": taken.now if finished else None,
            "version": taken.version,
            "held_out": taken.held_out,
        }
        await standings.save(db, taken.enrolment.id, values, taken.lines)
        taken.lines = []

    async def _move(
        self, db: AsyncConnection, taken: Taken, turn: Turn, happenings: list[Happening], *, begins: bool
    ) -> None:
        """Go on if the rest has come to its end; stand still where the run is held."""
        hold = taken.standing.hold
        if taken.instruction.status == "paused":
            if hold is not None:
                await self.stay(db, taken)
                return
            begins = not self.unpause(taken)
        way = Way("start") if begins else await self._way_on(db, taken, turn, happenings)
        if way is None:
            await self.stay(db, taken)
        elif hold is not None:
            await self._pause(db, taken, hold.what, begins)
        else:
            await self._follow(db, taken, way)

    async def _way_on(self, db: AsyncConnection, taken: Taken, turn: Turn, happenings: list[Happening]) -> Way | None:
        last = taken.instruction
        due = last.until is not None and (taken.now >= last.until or turn.woke == "timer")
        if taken.cursor.step is None:
            return Way("start") if due or last.until is None else None
        if taken.delivery is not None:
            if last.status == "held":
                touch = await ledger.find(db, taken.slot)
                if touch is None:
                    return Way("deliver")
                return Way("settled", settled=touch.status) if touch.status in ("sent", "failed", "skipped") else None
            return Way("deliver") if last.act == "deliver" or due else None
        if (met := _awaited(happenings)) is not None:
            return Way("event", met)
        return Way("elapsed") if due else None

    async def _follow(self, db: AsyncConnection, taken: Taken, way: Way) -> None:
        match way:
            case Way(kind="start"):
                await self.walk(db, taken, self.beginning(taken))
            case Way(kind="settled", settled=how):
                await self.settle(db, taken, how, {"settled": "by hand"})
            case Way(kind="deliver"):
                await self.deliver(db, taken)
            case Way(kind="event", event=met) if met is not None:
                taken.note("wait_for", f"{met.name} came", met.seen)
                heard, option = hearing(taken.cursor, met), met.interest.option
                await self.walk(db, taken, go_on(taken.program, heard, taken.now, taken.person, met.name, option))
            case _:
                await self.elapse(db, taken)

    async def _pause(self, db: AsyncConnection, taken: Taken, what: str, begins: bool) -> None:
        """Stand still, and remember what was due. Exits and the goal still act."""
        because = f"paused: {what}"
        step = taken.cursor.step or "entry"
        taken.notes["paused"] = {"was": None if begins else store(taken.instruction)}
        channel = taken.send.channel if taken.delivery is not None else None
        taken.instruction = Instruction(
            taken.turn, "wait", step, f"stand still: {because}", because, channel=channel, status="paused"
        )
        taken.note("pause", because)
        await self.save(db, taken, because, taken.enrolment.awaiting or taken.program.always_awaited)

    async def _reach_goal(self, db: AsyncConnection, taken: Taken, happenings: list[Happening]) -> None:
        """Write down, once, that the run reached what the journey exists for: also when that ends it."""
        goal = next((one for one in happenings if one.interest.role == "goal"), None)
        if goal is not None and not taken.goal:
            taken.goal = True
            taken.note("goal", goal.name, goal.seen, at=goal.at)
            run = replace(taken.enrolment, held_out=taken.held_out, version=taken.version)
            await goals.reach(db, run, event_id=goal.id, at=goal.at, value=goal.value)

    async def _to_rest(self, db: AsyncConnection, taken: Taken, walk: Walk) -> Rest:
        reply: Any = None
        while True:
            try:
                query = walk.send(reply)
            except StopIteration as stop:
                rest: Rest = stop.value
                return rest
            reply = None
            match query:
                case Ask():
                    reply = await answer(db, taken.enrolment.customer_id, query, taken.now)
                case Do():
                    caused = await self._effects.apply(db, taken.standing, query, taken.now)
                    taken.caused += caused.events
                    taken.entered += caused.entered
                    reply = caused.result
                case Passed():
                    taken.pass_by(query)


def _awaited(happenings: list[Happening]) -> Happening | None:
    """The event that the run waits for, when it has come."""
    return next((one for one in happenings if one.interest.role == "wait"), None)


def _moment(taken: Taken, turn: Turn, last: Instruction | None, happenings: list[Happening]) -> datetime:
    """The moment of a turn in business time: the one that was due, so that waits in a row do not creep, unless the
    run comes later than that; and never before the last."""
    due: datetime | None
    met = next((one for one in happenings if one.interest.role != "goal"), None)
    if met is not None:
        due = met.at
    elif last is None:
        due = taken.enrolment.begins_at
    else:
        due = last.until if last.act == "wait" else taken.cursor.since
    now = punctual(due, turn.now) if due is not None else turn.now
    return max(now, taken.cursor.since or now)
