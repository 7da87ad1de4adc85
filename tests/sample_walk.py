"""Walks the people of the sample through the shipped maps, on paper: no database, no server, no clock.

The interpreter is the real one. What it asks about a customer is answered here from the sample's own rows, for the
kinds of conditions that the shipped maps use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from activities.handoff import HandoffRule
from journeys.conditions import (
    AllOf,
    AnyOf,
    Clicked,
    Condition,
    Consented,
    FieldIs,
    Happened,
    Not,
    Opened,
    PropertyTest,
    Score,
    Tagged,
)
from journeys.interpreter import Ask, Do, Passed, Person, Rest, Walk, go_on, questions, start
from journeys.program import Program
from journeys.saying import holds, say
from journeys.steps import AddTag, RemoveTag, SetFields, Task, WaitFor
from journeys.steps import Score as ScoreStep
from journeys.timing import add
from records.contacts import Contact


@dataclass(frozen=True)
class Event:
    """A row of events.csv at its moment."""

    at: datetime
    name: str
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Run:
    """One run of one map."""

    program: Program
    rest: Rest

    @property
    def name(self) -> str:
        return self.program.journey.journey


@dataclass
class Walker:
    """One customer on the way through all maps. `ways` counts the arms taken, `misfits` tells what came too soon."""

    contact: Contact
    programs: Sequence[Program]
    handoff: HandoffRule
    ways: Counter[tuple[str, str, str]]
    runs: list[Run] = field(default_factory=list)
    entered: set[str] = field(default_factory=set)
    outcomes: dict[str, str] = field(default_factory=dict)
    seen: list[Event] = field(default_factory=list)
    sent: dict[str, datetime] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    score: int = 0
    open_tasks: int = 0
    misfits: list[str] = field(default_factory=list)

    def live(self, events: Iterable[Event], end: datetime) -> None:
        """Let everything happen, in order, until `end`."""
        for event in sorted(events, key=lambda one: one.at):
            self._pass_time(event.at)
            self._happen(event)
        self._pass_time(end)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.contact.time_zone or "UTC")

    @property
    def person(self) -> Person:
        return Person(self.zone, self.contact.country, self.contact.external_id or "")

    def _pass_time(self, until: datetime) -> None:
        while due := [run for run in self.runs if run.rest.until and run.rest.until < until]:
            run = min(due, key=lambda one: one.rest.until or until)
            assert run.rest.until is not None
            self._resume(run, run.rest.until, "elapsed")

    def _happen(self, event: Event) -> None:
        self._judge(event)
        self.seen.append(event)
        for run in list(self.runs):
            if way := next((one for one in run.program.journey.exit if _meets(event, one.event, one.tests)), None):
                self._end(run, way.outcome)
            elif (option := self._awaited(run, event)) is not None:
                self._resume(run, event.at, event.name, option)
        for program in self.programs:
            journey = program.journey
            for entry in journey.triggers:
                allowed = entry.where is None or self._holds(entry.where, event.at)
                if _meets(event, entry.event, entry.tests) and allowed and journey.journey not in self.entered:
                    self.entered.add(journey.journey)
                    run = Run(program, self._walk(start(program, event.at, self.person), program, event.at))
                    self.runs.append(run)
                    self._deliver(run, event.at)

    def _judge(self, event: Event) -> None:
        """Whether the event could happen: a reaction to something sent, a task that is open."""
        message = event.properties.get("message")
        if message and (self.sent.get(message) or event.at + timedelta(1)) >= event.at:
            self.misfits.append(f"{self.contact.external_id}: {event.name} before {message} was sent")
        if event.name == "task.done":
            if not self.open_tasks:
                self.misfits.append(f"{self.contact.external_id}: task.done without a task")
            self.open_tasks -= 1

    def _awaited(self, run: Run, event: Event) -> int | None:
        """Which of those that the run waits for the event is."""
        step = run.program.nodes[run.rest.cursor.step or ""].step
        for number, option in enumerate(step.wait_for.options if isinstance(step, WaitFor) else []):
            of_message = option.message in (None, event.properties.get("message"))
            if of_message and any(_meets(event, name, option.with_) for name in option.on):
                return number
        return None

    def _resume(self, run: Run, now: datetime, way: str, option: int = 0) -> None:
        node = run.program.nodes[run.rest.cursor.step or ""]
        if isinstance(node.step, WaitFor):
            self.ways[run.name, node.id, "else" if way == "elapsed" else "then"] += 1
        run.rest = self._walk(go_on(run.program, run.rest.cursor, now, self.person, way, option), run.program, now)
        self._deliver(run, now)

    def _deliver(self, run: Run, now: datetime) -> None:
        while run.rest.act == "deliver":
            message = run.rest.summary.removeprefix("send ")
            channel = message.partition("/")[0]
            address = self.contact.email if channel == "email" else self.contact.phone
            way = "sent" if address and self.contact.consents.get(channel) else "skipped"
            if way == "sent":
                self.sent.setdefault(message, now)
            run.rest = self._walk(go_on(run.program, run.rest.cursor, now, self.person, way), run.program, now)
        if run.rest.act == "finish":
            self._end(run, run.rest.outcome or "completed")

    def _end(self, run: Run, outcome: str) -> None:
        self.runs.remove(run)
        self.outcomes[run.name] = outcome

    def _walk(self, walk: Walk, program: Program, now: datetime) -> Rest:
        answer: Any = None
        while True:
            try:
                query = walk.send(answer)
            except StopIteration as stop:
                rest: Rest = stop.value
                return rest
            answer = None
            match query:
                case Ask(field=str() as name):
                    answer = self._field(name)
                case Ask():
                    answer = {words: self._true(leaf, now) for words, leaf in questions(query).items()}
                case Passed(kind="branch"):
                    self.ways[program.journey.journey, query.step, query.because] += 1
                case Do(step=step):
                    self._do(step)

    def _do(self, step: object) -> None:
        match step:
            case ScoreStep(score=points):
                before, self.score = self.score, self.score + points.points
                if before < self.handoff.threshold <= self.score:
                    self.open_tasks += 1
            case AddTag(tag=tags):
                self.tags |= set(tags)
            case RemoveTag(untag=tags):
                self.tags -= set(tags)
            case Task():
                self.open_tasks += 1
            case SetFields():
                pass

    def _field(self, name: str) -> Any:
        return self.contact.properties.get(name)

    def _holds(self, condition: Condition, now: datetime) -> bool:
        match condition:
            case AllOf(all=parts) | AnyOf(any=parts):
                return holds(condition, {say(part): self._true(part, now) for part in parts})
            case _:
                return self._true(condition, now)

    def _true(self, leaf: Condition, now: datetime) -> bool:
        match leaf:
            case Score(score=range_):
                low, high = range_.at_least, range_.below
                return (low is None or self.score >= low) and (high is None or self.score < high)
            case Consented(consent=channel):
                return self.contact.consents.get(channel, False)
            case Tagged(tag=tags):
                return bool(self.tags & set(tags))
            case FieldIs(field=test):
                value = self._field(test.name)
                if test.exists is not None:
                    return (value is not None) == test.exists
                if test.is_ is not None:
                    return value in test.is_
                return value is not None and test.at_least is not None and float(value) >= test.at_least
            case Opened(opened=message):
                return self._happened("email.opened", {"message": PropertyTest.model_validate({"is": [message]})}, None)
            case Clicked(clicked=message):
                return self._happened(
                    "email.clicked", {"message": PropertyTest.model_validate({"is": [message]})}, None
                )
            case Happened(event=test):
                since = (
                    add(now, type(test.within)(-test.within.count, test.within.unit), self.zone)
                    if test.within
                    else None
                )
                return self._happened(test.name, test.with_, since)
            case Not(not_=part):
                return not self._true(part, now)
            case _:
                raise NotImplementedError(say(leaf))

    def _happened(self, name: str, tests: Mapping[str, PropertyTest], since: datetime | None) -> bool:
        return any(_meets(event, name, tests) and (since is None or event.at >= since) for event in self.seen)


def _meets(event: Event, name: str, tests: Mapping[str, PropertyTest]) -> bool:
    """Whether it is this event, with properties as the shipped maps test them: by being one of a list."""
    assert all(test.model_fields_set == {"is_"} for test in tests.values())
    return event.name == name and all(event.properties.get(key) in (test.is_ or []) for key, test in tests.items())
