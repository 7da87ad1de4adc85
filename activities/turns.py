"""One turn of a run, in one database transaction: what happened, what is next, and the record of both."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.effects import Effects
from activities.programs import Programs
from activities.questions import answer
from journeys.definition import Awaited, Send, WaitFor
from journeys.instruction import Instruction, Turn
from journeys.interpreter import Ask, Cursor, Do, Passed, Rest, Walk, go_on, start
from journeys.program import Program
from journeys.timing import add
from journeys.zones import zone_of
from records import enrolments, ledger
from records.enrolments import Enrolment, Happening, Interest, Standing
from records.events import StoredEvent
from records.ledger import Slot

BEFORE_ALL = -1
"""The place of the goal among the path lines of a turn: whatever the turn did, the goal was there before."""
AFTER_DELIVERY = 1000
"""Path lines written after a delivery count from here, so that they never collide with those before it."""


@dataclass
class Taken:
    """A turn under way: the locked run, what it rests at, and the instruction that says so."""

    standing: Standing
    program: Program
    zone: ZoneInfo
    turn: int
    cursor: Cursor
    instruction: Instruction
    repeated: bool = False
    goal: bool = False
    lines: list[dict[str, Any]] = field(default_factory=list)
    caused: list[StoredEvent] = field(default_factory=list)

    def copy(self) -> Taken:
        """The turn as it stands, for a transaction that may be rolled back."""
        return replace(self, lines=list(self.lines), caused=list(self.caused))

    @property
    def enrolment(self) -> Enrolment:
        return self.standing.enrolment

    @property
    def slot(self) -> Slot:
        """The place in the ledger of the send at which the run rests."""
        return Slot(self.enrolment.id, self.cursor.step or "", self.cursor.visit)

    @property
    def send(self) -> Send:
        """The send step at which the run rests."""
        step = self.program.nodes[self.cursor.step or ""].step
        assert isinstance(step, Send)
        return step

    @property
    def been_here(self) -> bool:
        """Whether an earlier turn, or an earlier attempt at this one, came to this send; else its slot is free."""
        before = self.enrolment.instruction or {}
        return self.repeated or before.get("step") == self.cursor.step

    @property
    def put_off(self) -> dict[str, Any]:
        """How often, and since when, the delivery at hand has been put off."""
        return dict(self.enrolment.cursor.get("put_off") or {})


class Turns:
    """Takes turns. `effects` carries out what the steps do to the customer's record."""

    def __init__(self, programs: Programs, effects: Effects, default_zone: str) -> None:
        self._programs = programs
        self._effects = effects
        self._default_zone = default_zone

    async def take(self, db: AsyncConnection, turn: Turn) -> Taken:
        """Advance the run to its next rest, or return what was recorded when this turn was taken before.

        A workflow that was reset asks for turns of long ago; it is answered with the latest and goes on from there.
        """
        standing = await enrolments.lock(db, turn.enrolment)
        enrolment = standing.enrolment
        program = await self._programs.get(db, enrolment.journey, enrolment.version)
        zone = zone_of(standing.time_zone, standing.country, self._default_zone)
        cursor = Cursor.from_json(enrolment.cursor)
        last = restore(enrolment.instruction)
        taken = Taken(standing, program, zone, turn.turn, cursor, last or _NOTHING, goal="goal" in enrolment.cursor)
        if last is not None and (enrolment.turn >= turn.turn or last.act == "finish"):
            taken.turn, taken.repeated = enrolment.turn, True
            return taken
        happenings = await self._happenings(db, taken)
        self._note_goal(taken, happenings)
        ended = next((one for one in happenings if one.role == "exit"), None)
        if ended is not None:
            await self._exit(db, taken, turn.now, ended)
        elif last is None:
            await self._walk(db, taken, start(program, turn.now, zone), turn.now)
        else:
            await self._resume(db, taken, turn, happenings)
        return taken

    async def settle(self, db: AsyncConnection, taken: Taken, way: str, now: datetime, seen: dict[str, Any]) -> None:
        """Go on from a send that has come to its end: `sent`, `skipped` or `failed`."""
        taken.lines.append(
            _line(taken, now, Passed(taken.slot.step, taken.slot.visit, "send", way, seen), AFTER_DELIVERY)
        )
        walk = go_on(taken.program, taken.cursor, now, taken.zone, way)
        await self._walk(db, taken, walk, now, AFTER_DELIVERY + 1)

    async def put_off(
        self, db: AsyncConnection, taken: Taken, until: datetime | None, because: str, note: dict[str, Any]
    ) -> None:
        """Rest at the send: until it is tried again, or, without a time, until somebody settles it."""
        held = until is None
        message = taken.send.send
        taken.instruction = Instruction(
            taken.turn, "wait", taken.slot.step, f"hold {message}: it may or may not have gone" if held
            else f"try {message} again", "uncertain" if held else f"put off {note['times']} times", until,
            channel=None if held else taken.send.channel, then=None if held else f"send {message}",
            status="held" if held else "retrying",
        )  # fmt: skip
        await self._save(db, taken, because, taken.program.always_awaited, {"put_off": note})

    async def _resume(self, db: AsyncConnection, taken: Taken, turn: Turn, happenings: list[_Met]) -> None:
        last, cursor, now = taken.instruction, taken.cursor, turn.now
        due = last.until is not None and (now >= last.until or turn.woke == "timer")
        step = taken.program.nodes[cursor.step or ""].step
        if isinstance(step, Send):
            if last.status == "held":
                settled = await self._settled(db, taken)
                if settled in ("sent", "failed", "skipped"):
                    await self.settle(db, taken, settled, now, {"settled": "by hand"})
                    return
                if settled == "uncertain":
                    await self._stay(db, taken)
                    return
            elif last.act == "wait" and not due:
                await self._stay(db, taken)
                return
            await self._deliver(db, taken)
            return
        met = next((one for one in happenings if one.role == "wait"), None)
        if isinstance(step, WaitFor) and met is not None:
            came = Passed(cursor.step or "", cursor.visit, "wait_for", f"{met.event.name} came", met.seen)
            taken.lines.append(_line(taken, now, came, 0))
            heard = _hearing(cursor, met.event)
            await self._walk(db, taken, go_on(taken.program, heard, now, taken.zone, met.event.name), now)
        elif due:
            kind = "wait_for" if isinstance(step, WaitFor) else "wait"
            over = Passed(cursor.step or "", cursor.visit, kind, "did not come" if kind == "wait_for" else "elapsed")
            taken.lines.append(_line(taken, now, over, 0))
            await self._walk(db, taken, go_on(taken.program, cursor, now, taken.zone, "elapsed"), now)
        else:
            await self._stay(db, taken)

    async def _settled(self, db: AsyncConnection, taken: Taken) -> str | None:
        touch = await ledger.find(db, taken.slot)
        return touch.status if touch else None

    async def _stay(self, db: AsyncConnection, taken: Taken) -> None:
        """Nothing that matters happened: rest on, under a new turn."""
        taken.instruction = replace(taken.instruction, turn=taken.turn)
        enrolment = taken.enrolment
        await self._save(db, taken, enrolment.because or "", enrolment.awaiting, _kept(enrolment))

    async def _deliver(self, db: AsyncConnection, taken: Taken) -> None:
        step = taken.send
        taken.instruction = Instruction(
            taken.turn, "deliver", taken.slot.step, f"send {step.send}", channel=step.channel, status="sending"
        )
        await self._save(db, taken, taken.enrolment.because or "", taken.program.always_awaited, _kept(taken.enrolment))

    async def _exit(self, db: AsyncConnection, taken: Taken, now: datetime, met: _Met) -> None:
        because = f"{met.event.name} came"
        at = taken.cursor.step or "entry"
        taken.lines.append(_line(taken, now, Passed(at, taken.cursor.visit, "exit", because, met.seen), 0))
        taken.instruction = Instruction(
            taken.turn, "finish", at, f"left: {because}", because, outcome=met.outcome, status="exited"
        )
        await self._save(db, taken, because, (), {}, ended_at=now)

    def _note_goal(self, taken: Taken, happenings: list[_Met]) -> None:
        """Write down, once, that the run reached what the journey exists for: also when that ends it."""
        goal = next((one for one in happenings if one.role == "goal"), None)
        if goal is not None and not taken.goal:
            taken.goal = True
            reached = Passed(taken.cursor.step or "entry", taken.cursor.visit, "goal", goal.event.name, goal.seen)
            taken.lines.append(_line(taken, goal.event.at, reached, BEFORE_ALL))

    async def _walk(self, db: AsyncConnection, taken: Taken, walk: Walk, now: datetime, seq: int = 1) -> None:
        """Run the interpreter to its rest, answering its questions from the records."""
        while True:
            rest, seq = await self._to_rest(db, taken, walk, now, seq)
            met = await self._already(db, taken, rest)
            if met is None:
                break
            came = Passed(rest.cursor.step or "", rest.cursor.visit, "wait_for", f"{met.name} had come", _seen(met))
            taken.lines.append(_line(taken, now, came, seq))
            heard = _hearing(rest.cursor, met)
            walk, seq = go_on(taken.program, heard, now, taken.zone, met.name), seq + 1
        await self._rest(db, taken, rest, now)

    async def _to_rest(
        self, db: AsyncConnection, taken: Taken, walk: Walk, now: datetime, seq: int
    ) -> tuple[Rest, int]:
        reply: Any = None
        while True:
            try:
                query = walk.send(reply)
            except StopIteration as stop:
                return stop.value, seq
            reply = None
            match query:
                case Ask():
                    reply = await answer(db, taken.enrolment.customer_id, query, now)
                case Do():
                    taken.caused += await self._effects.apply(db, taken.standing, query, now)
                case Passed():
                    taken.lines.append(_line(taken, now, query, seq))
                    seq += 1

    async def _already(self, db: AsyncConnection, taken: Taken, rest: Rest) -> Happening | None:
        """The event that a wait asks for, when it came before the wait began: since the message was sent, or while
        the run was busy delivering."""
        node = taken.program.nodes.get(rest.cursor.step or "")
        if rest.act != "wait" or node is None or not isinstance(node.step, WaitFor):
            return None
        interests = await self._awaited(db, taken.enrolment, node.step.wait_for, rest.cursor, rest.until)
        besides = _besides(taken.enrolment, rest.cursor)
        found = await enrolments.happened(db, taken.enrolment.customer_id, besides, interests)
        return found[0] if found else None

    async def _rest(self, db: AsyncConnection, taken: Taken, rest: Rest, now: datetime) -> None:
        taken.cursor = rest.cursor
        step = rest.cursor.step or taken.instruction.step or "end"
        status = {"deliver": "sending", "wait": "waiting", "finish": "finished"}[rest.act]
        taken.instruction = Instruction(
            taken.turn, rest.act, step, rest.summary, rest.because, rest.until, rest.channel, rest.then,
            rest.outcome,
            status,  # type: ignore[arg-type]
        )  # fmt: skip
        await self._save(db, taken, rest.because, rest.awaiting, {}, ended_at=now if rest.act == "finish" else None)

    async def _save(
        self,
        db: AsyncConnection,
        taken: Taken,
        because: str,
        awaiting: Any,
        extra: dict[str, Any],
        ended_at: datetime | None = None,
    ) -> None:
        instruction = taken.instruction
        finished = instruction.act == "finish"
        values = {
            "status": instruction.status if finished else "active",
            "turn": taken.turn,
            "instruction": store(instruction),
            "cursor": {**taken.cursor.as_json(), **({"goal": True} if taken.goal else {}), **extra},
            "step": instruction.step,
            "because": because,
            "wakes_at": instruction.until,
            "awaiting": [] if finished else list(awaiting),
            "outcome": instruction.outcome,
            "ended_at": ended_at,
        }
        await enrolments.save(db, taken.enrolment.id, values, taken.lines)
        taken.lines = []

    async def _happenings(self, db: AsyncConnection, taken: Taken) -> list[_Met]:
        """What has happened to the customer that concerns this run, read from the records rather than from signals:
        an event that was stored a moment ago counts even if its signal is still on the way."""
        enrolment, program, cursor = taken.enrolment, taken.program, taken.cursor
        interests = [
            Interest("exit", way.on, enrolment.enrolled_at, where=dict(way.where)) for way in program.journey.exit
        ]
        outcomes = [way.outcome for way in program.journey.exit]
        goal = program.journey.goal
        if goal is not None and not taken.goal:
            until = None if goal.within is None else add(enrolment.enrolled_at, goal.within, taken.zone)
            interests.append(Interest("goal", goal.on, enrolment.enrolled_at, until))
        node = program.nodes.get(cursor.step or "")
        if node is not None and isinstance(node.step, WaitFor) and taken.instruction.act == "wait":
            until = taken.instruction.until
            interests += await self._awaited(db, enrolment, node.step.wait_for, cursor, until)
        found = await enrolments.happened(db, enrolment.customer_id, _besides(enrolment, cursor), interests)
        return [_Met(one, interests[one.interest], outcomes) for one in found]

    async def _awaited(
        self, db: AsyncConnection, enrolment: Enrolment, awaited: Awaited, cursor: Cursor, until: datetime | None
    ) -> list[Interest]:
        since = cursor.awake or enrolment.enrolled_at
        where: dict[str, Any] = dict(awaited.where)
        if awaited.message:
            since = await enrolments.sent_at(db, enrolment.id, awaited.message) or since
            where["message"] = awaited.message
        return [Interest("wait", name, since, until, where) for name in awaited.on]


@dataclass(frozen=True)
class _Met:
    """An event beside the interest it met."""

    event: Happening
    interest: Interest
    outcomes: list[str]

    @property
    def role(self) -> str:
        return self.interest.role

    @property
    def outcome(self) -> str:
        return self.outcomes[self.event.interest]

    @property
    def seen(self) -> dict[str, Any]:
        return _seen(self.event)


def _seen(event: Happening) -> dict[str, Any]:
    return {"event": event.id, "name": event.name, "at": event.at.isoformat()}


_NOTHING = Instruction(0, "wait", "", "")


def _hearing(cursor: Cursor, event: Happening) -> Cursor:
    return replace(cursor, heard=(*cursor.heard, event.id))


def _besides(enrolment: Enrolment, cursor: Cursor) -> list[int]:
    """The events that no longer count: the one that brought the customer in, and those that ended a wait."""
    return [*cursor.heard, *([enrolment.event_id] if enrolment.event_id is not None else [])]


def erased(turn: Turn) -> Instruction:
    """The end of a run whose customer is no longer in the records."""
    return Instruction(turn.turn, "finish", "end", "left: the customer was erased", outcome="erased", status="exited")


def _kept(enrolment: Enrolment) -> dict[str, Any]:
    return {"put_off": enrolment.cursor["put_off"]} if "put_off" in enrolment.cursor else {}


def _line(taken: Taken, now: datetime, passed: Passed, seq: int) -> dict[str, Any]:
    return {
        "enrolment_id": taken.enrolment.id,
        "turn": taken.turn,
        "seq": seq,
        "step": passed.step,
        "visit": passed.visit,
        "kind": passed.kind,
        "at": now,
        "detail": {"because": passed.because, "seen": dict(passed.seen)},
    }


def store(instruction: Instruction) -> dict[str, Any]:
    """An instruction as the records keep it."""
    data = asdict(instruction)
    data["until"] = instruction.until.isoformat() if instruction.until else None
    return data


def restore(data: dict[str, Any] | None) -> Instruction | None:
    """The instruction that was kept, or None before the first turn."""
    if not data:
        return None
    until = datetime.fromisoformat(data["until"]) if data["until"] else None
    return Instruction(**{**data, "until": until})
