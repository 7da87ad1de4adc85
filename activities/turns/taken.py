"""A turn under way: the locked run, where it stands, and what the turn has come to so far."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from journeys.definition import Journey
from journeys.identity import touch_key
from journeys.instruction import Instruction, Turn
from journeys.interpreter import Cursor, Passed, Person
from journeys.program import Program
from journeys.steps.sends import Delivered, Send, Webhook
from records.events import StoredEvent
from records.messages.ledger import Slot
from records.runs.enrolments import Enrolment
from records.runs.standings import Standing

AFTER_DELIVERY = 1000
"""Path lines written after a delivery count from here, so that they never collide with those before it."""
NOTES = ("put_off", "paused", "limit")
"""What the cursor remembers of the present rest, beside the goal: it goes when the run moves on."""


@dataclass
class Taken:
    """A turn. `now` is its moment in business time: the one that was due, unless the run came late.

    `notes` is what is remembered of the present rest: `put_off` how often, and since when, its delivery was tried;
    `paused` what was due when a hold stopped it; `limit` until when an awaited event counts, when that is not until
    the run wakes.
    """

    standing: Standing
    program: Program
    person: Person
    turn: int
    now: datetime
    cursor: Cursor
    instruction: Instruction
    version: int
    repeated: bool = False
    goal: bool = False
    held_out: bool = False
    notes: dict[str, Any] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    seq: int = 0
    caused: list[StoredEvent] = field(default_factory=list)
    entered: list[Enrolment] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)

    def copy(self) -> Taken:
        """The turn as it stands, for a transaction that may be rolled back."""
        return replace(
            self, lines=list(self.lines), caused=list(self.caused), entered=list(self.entered), notes=dict(self.notes)
        )

    @property
    def enrolment(self) -> Enrolment:
        return self.standing.enrolment

    @property
    def journey(self) -> Journey:
        return self.program.journey

    @property
    def slot(self) -> Slot:
        """The place in the ledger of the delivery at which the run rests."""
        return Slot(self.enrolment.id, self.cursor.step or "", self.cursor.visit)

    @property
    def delivery(self) -> Delivered | None:
        """The step at which the run rests, when a channel delivers it."""
        node = self.program.nodes.get(self.cursor.step or "")
        return node.step if node is not None and isinstance(node.step, Send | Webhook) else None

    @property
    def send(self) -> Delivered:
        """The delivered step at which the run rests, which must be one."""
        step = self.delivery
        assert step is not None
        return step

    @property
    def been_here(self) -> bool:
        """Whether an earlier turn, or an earlier attempt at this one, came to this send; else its slot is free."""
        before = self.enrolment.instruction or {}
        return self.repeated or before.get("step") == self.cursor.step

    @property
    def put_off(self) -> dict[str, Any]:
        """How often, and since when, the delivery at hand has been put off."""
        return dict(self.notes.get("put_off") or {})

    def pass_by(self, passed: Passed, at: datetime | None = None) -> None:
        """Add a line to the path that the run took."""
        self.lines.append(
            {
                "enrolment_id": self.enrolment.id,
                "turn": self.turn,
                "seq": self.seq,
                "step": passed.step,
                "visit": passed.visit,
                "kind": passed.kind,
                "at": at or self.now,
                "detail": {"because": passed.because, "seen": dict(passed.seen)},
            }
        )
        self.seq += 1

    def note(self, kind: str, because: str, seen: dict[str, Any] | None = None, at: datetime | None = None) -> None:
        """Add a line about the step at which the run stands."""
        self.pass_by(Passed(self.cursor.step or "entry", self.cursor.visit, kind, because, seen or {}), at)

    def row(self, address: str | None = None) -> dict[str, Any]:
        """The ledger's row for the delivery at which the run rests, before it is known how it ends."""
        slot, enrolment, send = self.slot, self.enrolment, self.send
        return {
            "customer_id": enrolment.customer_id,
            "journey": enrolment.journey,
            "version": self.version,
            "channel": send.channel,
            "message": send.message,
            "key": touch_key(slot.enrolment_id, slot.step, slot.visit),
            "claimed_at": self.now,
            "address": address,
            "attempts": self.put_off.get("times", 0) + 1,
            "transactional": send.transactional,
        }


NOTHING = Instruction(0, "wait", "", "")


def erased(turn: Turn) -> Instruction:
    """The end of a run whose customer is no longer in the records."""
    return Instruction(turn.turn, "finish", "end", "left: the customer was erased", outcome="erased", status="exited")


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
