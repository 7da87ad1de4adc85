"""What passes between the workflow and its activities. Ids, times and names of steps: never personal data."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Woke = Literal["start", "timer", "event", "delivery", "order"]
"""What a turn is taken for."""

QUEUE = "waymark"
"""The task queue of the workflows and of `advance`."""


def channel_queue(channel: str) -> str:
    """The task queue on which a channel's deliveries run, so that each has its own rate and its own pause."""
    return f"{QUEUE}-{channel}"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a run: the how-manieth, when (UTC, the workflow's clock), and what woke it."""

    enrolment: int
    turn: int
    now: datetime
    woke: Woke


@dataclass(frozen=True, slots=True)
class Instruction:
    """What a turn came to: the next thing that takes time.

    `deliver` asks for a delivery on `channel`; `wait` rests until `until` (UTC; None: until an event); a wait whose
    step is followed by a send names that send's `channel`, so that the turn after it can run where it delivers, and
    says so in `then`; `finish` ends the run. `summary` is what operators read on the timer or the activity.
    `version` is that of the map, when the run has been moved to another; `refusals` says, by the number of an order,
    why the run does not do what it was told.
    """

    turn: int
    act: Literal["deliver", "wait", "finish"]
    step: str
    summary: str
    because: str = ""
    until: datetime | None = None
    channel: str | None = None
    then: str | None = None
    outcome: str | None = None
    status: Literal["waiting", "sending", "retrying", "held", "paused", "quiet", "capped", "finished", "exited"] = (
        "waiting"
    )
    version: int | None = None
    refusals: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """The argument of `CustomerJourney`, carried over continue-as-new."""

    enrolment: int
    journey: str
    version: int
    turn: int = 0
    resting: Instruction | None = None
    seen: list[str] = field(default_factory=list)
    inbox: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Event:
    """A signal that something happened to the customer. The records hold what; this only wakes the run.

    `key` is the event's id in the records; a key that was seen before is dropped.
    """

    key: str
    name: str
    at: datetime
