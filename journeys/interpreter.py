"""What comes next for one contact: pure, without a clock and without I/O.

`walk` is a generator. It yields what it must know (`Ask`) or have done (`Do`), is sent the answer, and returns the
`Rest` at which the run stays until time passes, a delivery ends or an event comes. The same walk with the same
answers always takes the same way.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from journeys.conditions import Condition, holds, leaves, say
from journeys.definition import (
    AddTag,
    Branch,
    CustomerDate,
    Finish,
    RemoveTag,
    Score,
    Send,
    SetFields,
    Step,
    Task,
    Until,
    Wait,
    WaitFor,
    kind_of,
)
from journeys.program import Node, Program
from journeys.timing import Duration, add, at_wall_time, shift

MOST_STEPS_A_TURN = 1000
"""More steps than this without a rest are a map that runs in circles."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a run stands: the step it rests at, since when, for the how-manieth time, and how often it was where.

    `awake` is when the run's last wait ended: what happened since then, while a message was leaving or was put off,
    has not been missed. `heard` are the events that ended waits; none of them ends a second one.
    """

    step: str | None = None
    since: datetime | None = None
    visits: Mapping[str, int] = field(default_factory=dict)
    awake: datetime | None = None
    heard: tuple[int, ...] = ()

    @property
    def visit(self) -> int:
        """The how-manieth visit of the present step this is, from 1."""
        return self.visits.get(self.step or "", 0)

    def at(self, step: str, now: datetime) -> Cursor:
        """The cursor after stepping onto `step`."""
        return replace(self, step=step, since=now, visits={**self.visits, step: self.visits.get(step, 0) + 1})

    def as_json(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "since": self.since.isoformat() if self.since else None,
            "visits": dict(self.visits),
            "awake": self.awake.isoformat() if self.awake else None,
            "heard": list(self.heard),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Cursor:
        if not data:
            return cls()
        since, awake = (datetime.fromisoformat(data[name]) if data[name] else None for name in ("since", "awake"))
        return cls(data["step"], since, dict(data["visits"]), awake, tuple(data["heard"]))


@dataclass(frozen=True, slots=True)
class Ask:
    """A question about the customer, answered with what was seen: each leaf of the conditions, or a field."""

    conditions: tuple[Condition, ...] = ()
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Do:
    """An effect on the customer's record, done once per (step, visit)."""

    node: Node
    step: Score | SetFields | AddTag | RemoveTag | Task
    visit: int


@dataclass(frozen=True, slots=True)
class Passed:
    """A line of the path: a step that was taken, why, and what was seen."""

    step: str
    visit: int
    kind: str
    because: str
    seen: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rest:
    """Where a walk ends: a delivery to make, a wait, or the end of the run."""

    act: Literal["deliver", "wait", "finish"]
    cursor: Cursor
    because: str
    summary: str
    until: datetime | None = None
    awaiting: tuple[str, ...] = ()
    channel: str | None = None
    then: str | None = None
    outcome: str | None = None


Query = Ask | Do | Passed
Walk = Generator[Query, Any, Rest]


def start(program: Program, now: datetime, zone: ZoneInfo) -> Walk:
    """Walk from the first step."""
    return _walk(program, program.first, Cursor(awake=now), now, zone, "entered")


def go_on(program: Program, cursor: Cursor, now: datetime, zone: ZoneInfo, way: str) -> Walk:
    """Walk on from the step at which the run rests, which has come to its end.

    `way` says how: `sent`, `skipped`, `failed` (a delivery), `elapsed` (a wait), or the name of the event that came.
    """
    node = program.nodes[cursor.step or ""]
    target = node.next
    if isinstance(node.step, WaitFor):
        target = node.arms[1] if way == "elapsed" else node.arms[0]
    if not isinstance(node.step, Send):
        cursor = replace(cursor, awake=now)
    return _walk(program, target, cursor, now, zone, way)


def _walk(program: Program, target: str | None, cursor: Cursor, now: datetime, zone: ZoneInfo, because: str) -> Walk:
    for _ in range(MOST_STEPS_A_TURN):
        if target is None:
            return Rest("finish", replace(cursor, step=None), because, "finished", outcome="completed")
        node = program.nodes[target]
        cursor = cursor.at(node.id, now)
        step = node.step
        match step:
            case Send():
                return Rest(
                    "deliver", cursor, because, f"send {step.send}", channel=step.channel,
                    awaiting=program.always_awaited,
                )  # fmt: skip
            case WaitFor(wait_for=awaited):
                until = add(now, awaited.up_to, zone)
                about = f" on {awaited.message}" if awaited.message else ""
                summary = f"wait {awaited.up_to.words()} for {' or '.join(awaited.on)}{about}"
                awaiting = tuple(dict.fromkeys([*program.always_awaited, *awaited.on]))
                channel, then = _followed(program, node.arms[1])
                return Rest(
                    "wait", cursor, because, summary, until=until, awaiting=awaiting, channel=channel, then=then,
                )  # fmt: skip
            case Wait(wait=Duration() as duration):
                return _wait(program, node, cursor, add(now, duration, zone), f"wait {duration.words()}", because)
            case Wait(wait=Until(until=day)):
                value = yield Ask(field=day.field)
                until_date = _instant(day, value, zone)
                if until_date is None or until_date <= now:
                    why = f"{day.field} is {'unknown' if until_date is None else 'past'}"
                    yield Passed(node.id, cursor.visit, "wait", f"not waited for: {why}", {day.field: str(value)})
                    target, because = node.next, why
                else:
                    offset = f" {day.offset.words()}" if day.offset.count else ""
                    return _wait(program, node, cursor, until_date, f"wait until {day.field}{offset}", because)
            case Branch():
                target, because = yield from _branch(node, cursor)
            case Finish(finish=outcome):
                yield Passed(node.id, cursor.visit, "finish", because)
                return Rest("finish", cursor, because, f"finished: {outcome}", outcome=outcome)
            case Score() | SetFields() | AddTag() | RemoveTag() | Task():
                yield Do(node, step, cursor.visit)
                yield Passed(node.id, cursor.visit, _kind(step), because)
                target = node.next
            case _:  # pragma: no cover - the union is closed
                raise AssertionError(f"{step} has no meaning")
    raise RuntimeError(f"{program.journey.journey} takes {MOST_STEPS_A_TURN} steps without a rest: it runs in circles")


def _wait(program: Program, node: Node, cursor: Cursor, until: datetime, summary: str, because: str) -> Rest:
    channel, then = _followed(program, node.next)
    return Rest(
        "wait", cursor, because, summary, until=until, awaiting=program.always_awaited, channel=channel, then=then,
    )  # fmt: skip


def _followed(program: Program, target: str | None) -> tuple[str | None, str | None]:
    """The channel and the words of the send that comes straight after a wait, if one does."""
    step = program.nodes[target].step if target else None
    return (step.channel, f"send {step.send}") if isinstance(step, Send) else (None, None)


def _branch(node: Node, cursor: Cursor) -> Generator[Query, Any, tuple[str | None, str]]:
    step = node.step
    assert isinstance(step, Branch)
    conditions = tuple(arm.when for arm in step.branch if arm.when is not None)
    seen: dict[str, bool] = yield Ask(conditions)
    for arm, target in zip(step.branch, node.arms, strict=True):
        if arm.when is None or holds(arm.when, seen):
            because = say(arm.when) if arm.when is not None else "otherwise"
            yield Passed(node.id, cursor.visit, "branch", because, seen)
            return target, because
    yield Passed(node.id, cursor.visit, "branch", "no arm fits", seen)
    return node.next, "no arm fits"


def _instant(day: CustomerDate, value: object, zone: ZoneInfo) -> datetime | None:
    """The moment that a date of the customer means, or None when the customer has none."""
    if value is None:
        return None
    if isinstance(value, datetime):
        known = value.astimezone(zone).date()
    elif isinstance(value, date):
        known = value
    else:
        try:
            known = date.fromisoformat(str(value)[:10])
        except ValueError:
            return None
    try:
        return at_wall_time(shift(known, day.offset), day.at, zone)
    except OverflowError:
        return None  # a day at the very end of the calendar is somebody's "never"


def _kind(step: Step) -> str:
    return kind_of(step) or ""


def questions(ask: Ask) -> dict[str, Condition]:
    """The leaves that an `Ask` needs, by what they say; each is asked once."""
    return {say(leaf): leaf for condition in ask.conditions for leaf in leaves(condition)}
