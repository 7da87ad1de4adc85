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

from journeys.conditions import Condition, leaves
from journeys.moments import date_moment, day_of, moment_of
from journeys.program import Node, Program
from journeys.saying import holds, say
from journeys.spreading import pick, spread
from journeys.steps.effects import AddTag, RemoveTag, Score, SetConsent, SetFields, Start, Task
from journeys.steps.sends import Send, Webhook
from journeys.steps.step import Step
from journeys.steps.waits import CustomerDate, Until, Wait
from journeys.steps.ways import Branch, Finish, Loop, Split, WaitFor, kind_of
from journeys.timing import add

MOST_STEPS_A_TURN = 1000
"""More steps than this without a rest are a map that runs in circles."""


@dataclass(frozen=True, slots=True)
class Person:
    """What the way depends on beside the map: where the contact lives, and the key by which chance knows it.

    `country` is ISO 3166-1 alpha-2, for public holidays; the zone is that of the moment: a contact that moved while
    it waited wakes at the instant that was reckoned when the wait began.
    """

    zone: ZoneInfo
    country: str | None
    key: str


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a run stands: the step it rests at, since when, for the how-manieth time, and how often it was where.

    `awake` is when the run's last wait ended: what happened since then, while a message was leaving or was put off,
    has not been missed. `heard` are the events that ended waits; none of them ends a second one. `loops` counts how
    often each loop that is under way has gone back.
    """

    step: str | None = None
    since: datetime | None = None
    visits: Mapping[str, int] = field(default_factory=dict)
    awake: datetime | None = None
    heard: tuple[int, ...] = ()
    loops: Mapping[str, int] = field(default_factory=dict)

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
            "loops": dict(self.loops),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Cursor:
        if not data or "visits" not in data:
            return cls()
        since, awake = (datetime.fromisoformat(data[name]) if data[name] else None for name in ("since", "awake"))
        return cls(
            data["step"], since, dict(data["visits"]), awake, tuple(data["heard"]), dict(data.get("loops") or {})
        )


@dataclass(frozen=True, slots=True)
class Ask:
    """A question about the customer, answered with what was seen: each leaf of the conditions, or a field."""

    conditions: tuple[Condition, ...] = ()
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Do:
    """An effect on the customer's record, done once per (step, visit)."""

    node: Node
    step: Score | SetFields | AddTag | RemoveTag | SetConsent | Task | Start
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


def start(program: Program, now: datetime, person: Person) -> Walk:
    """Walk from the first step."""
    return _walk(program, program.first, Cursor(awake=now), now, person, "entered")


def go_on(program: Program, cursor: Cursor, now: datetime, person: Person, way: str, option: int = 0) -> Walk:
    """Walk on from the step at which the run rests, which has come to its end.

    `way` says how: `sent`, `skipped`, `failed` (a delivery), `elapsed` (a wait), or the name of the event that came;
    `option` is then which of those that a wait_for waits for.
    """
    node = program.nodes[cursor.step or ""]
    target = node.next
    if isinstance(node.step, WaitFor):
        target = node.arms[-1] if way == "elapsed" else node.arms[option]
    if not isinstance(node.step, Send | Webhook):
        cursor = replace(cursor, awake=now)
    return _walk(program, target, cursor, now, person, way)


def move(program: Program, cursor: Cursor, target: str, now: datetime, person: Person, because: str) -> Walk:
    """Walk from another step of the map, whichever it is; loops that were under way are forgotten."""
    return _walk(program, target, replace(cursor, awake=now, loops={}), now, person, because)


def rest_at(program: Program, cursor: Cursor, person: Person, because: str) -> Walk:
    """Rest again at the step at which the run stands, reckoned from when it came there: after its map has changed.

    A step that is not rested at, in the map as it is now, is walked from.
    """
    assert cursor.step is not None
    visits = {**cursor.visits, cursor.step: max(cursor.visit - 1, 0)}
    since = cursor.since or cursor.awake
    assert since is not None
    return _walk(program, cursor.step, replace(cursor, visits=visits), since, person, because)


def _walk(program: Program, target: str | None, cursor: Cursor, now: datetime, person: Person, because: str) -> Walk:
    for _ in range(MOST_STEPS_A_TURN):
        if target is None:
            return Rest("finish", replace(cursor, step=None), because, "finished", outcome="completed")
        node = program.nodes[target]
        cursor = cursor.at(node.id, now)
        step = node.step
        match step:
            case Send() | Webhook():
                return Rest(
                    "deliver", cursor, because, step.summary, channel=step.channel, awaiting=program.always_awaited
                )
            case WaitFor(wait_for=awaited):
                until = add(now, awaited.up_to, person.zone)
                about = "".join(f" on {option.message}" for option in awaited.options[:1] if option.message)
                summary = f"wait {awaited.up_to.words()} for {' or '.join(awaited.events)}{about}"
                awaiting = tuple(dict.fromkeys([*program.always_awaited, *awaited.events]))
                channel, then = _followed(program, node.arms[-1])
                return Rest(
                    "wait", cursor, because, summary, until=until, awaiting=awaiting, channel=channel, then=then,
                )  # fmt: skip
            case Wait(wait=Until(until=CustomerDate() as day)):
                value = yield Ask(field=day.field)
                moment = _day_moment(program, node, day, value, now, person)
                if moment is None or moment <= now:
                    why = f"{day.field} is {'unknown' if moment is None else 'past'}"
                    yield Passed(node.id, cursor.visit, "wait", f"not waited for: {why}", {day.field: str(value)})
                    target, because = node.next, why
                else:
                    offset = f" {day.offset.words()}" if day.offset.count else ""
                    return _wait(program, node, cursor, moment, f"wait until {day.field}{offset}", because)
            case Wait(wait=other):
                assert not isinstance(other, Until) or not isinstance(other.until, CustomerDate)
                moment, summary = moment_of(other, now, person.zone, person.country)
                over = getattr(other.until if isinstance(other, Until) else other, "spread", None)
                moment = spread(moment, over, program.journey.journey, node.id, person.key)
                if moment <= now:
                    yield Passed(node.id, cursor.visit, "wait", "not waited for: it is that time", {})
                    target = node.next
                else:
                    return _wait(program, node, cursor, moment, summary, because)
            case Branch():
                target, because = yield from _branch(node, cursor)
            case Split():
                arm = pick(step.split, program.journey.journey, node.id, person.key)
                because = f"arm {arm} of {', '.join(f'{name} {share}' for name, share in step.split.items())}"
                yield Passed(node.id, cursor.visit, "split", because, {"arm": arm})
                target = node.arms[list(step.split).index(arm)]
            case Loop():
                cursor, target, because = yield from _loop(program, node, cursor)
            case Finish(finish=outcome):
                yield Passed(node.id, cursor.visit, "finish", because)
                return Rest("finish", cursor, because, f"finished: {outcome}", outcome=outcome)
            case Score() | SetFields() | AddTag() | RemoveTag() | SetConsent() | Task() | Start():
                done = yield Do(node, step, cursor.visit)
                yield Passed(node.id, cursor.visit, _kind(step), because, {"result": done} if done else {})
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
    """The channel and the words of the delivery that comes straight after a wait, if one does."""
    step = program.nodes[target].step if target else None
    return (step.channel, step.summary) if isinstance(step, Send | Webhook) else (None, None)


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


def _loop(program: Program, node: Node, cursor: Cursor) -> Generator[Query, Any, tuple[Cursor, str | None, str]]:
    """Back, or on. A loop that is left starts counting anew when the run comes to it again, in a loop around it."""
    step = node.step
    assert isinstance(step, Loop)
    times, seen = cursor.loops.get(node.id, 0), dict[str, bool]()
    if step.loop.when is not None:
        seen = yield Ask((step.loop.when,))
    inside = program.between(step.loop.to, node.id)
    loops = {name: count for name, count in cursor.loops.items() if name not in inside}
    if step.loop.when is not None and not holds(step.loop.when, seen):
        because = f"not again: {say(step.loop.when)} does not hold"
    elif times >= step.loop.at_most:
        because = f"not again: {times} of {step.loop.at_most} times"
    else:
        because = f"again, {times + 1} of {step.loop.at_most}"
        yield Passed(node.id, cursor.visit, "loop", because, seen)
        return replace(cursor, loops={**loops, node.id: times + 1}), node.arms[0], because
    yield Passed(node.id, cursor.visit, "loop", because, seen)
    return replace(cursor, loops=loops), node.next, because


def _day_moment(
    program: Program, node: Node, day: CustomerDate, value: object, now: datetime, person: Person
) -> datetime | None:
    known: date | None = day_of(value, person.zone)
    if known is None:
        return None
    moment = date_moment(day, known, now, person.zone)
    return moment and spread(moment, day.spread, program.journey.journey, node.id, person.key)


def _kind(step: Step) -> str:
    return kind_of(step) or ""


def questions(ask: Ask) -> dict[str, Condition]:
    """The leaves that an `Ask` needs, by what they say; each is asked once."""
    return {say(leaf): leaf for condition in ask.conditions for leaf in leaves(condition)}
