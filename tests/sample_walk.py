"""Walks the people of the sample through the shipped maps, on paper: no database, no server, no clock.

The interpreter is the real one, and so are the rules of sending. What is asked about a customer is answered here from
the sample's own rows, for the kinds of conditions that the shipped maps use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from journeys.conditions import (
    AllOf,
    AnyOf,
    Clicked,
    Condition,
    Consented,
    FieldIs,
    Happened,
    InSegment,
    Not,
    Opened,
    PropertyTest,
    Score,
    Tagged,
    TiedTest,
    Touched,
)
from journeys.interpreter import Ask, Do, Passed, Person, Rest, Walk, go_on, questions, start
from journeys.program import Program
from journeys.sales import Rule
from journeys.saying import holds, say
from journeys.sending import SendingRules, Window, cap_since, next_open
from journeys.spreading import held_out, spread
from journeys.steps.effects import AddTag, RemoveTag, SetFields, Start, Task
from journeys.steps.effects import Score as ScoreStep
from journeys.steps.sends import Send
from journeys.steps.ways import WaitFor
from journeys.timing import Duration, add
from records.people.contacts import Contact


@dataclass(frozen=True)
class Event:
    """A row of events.csv at its moment."""

    at: datetime
    name: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    value: float | None = None


@dataclass
class Run:
    """One run of one map. `opens` is when a message that was due may go, `heard` what has ended waits."""

    program: Program
    trigger: Event
    rest: Rest
    opens: datetime | None = None
    heard: list[Event] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.program.journey.journey

    @property
    def due(self) -> datetime | None:
        """When it wakes by itself."""
        return self.opens or self.rest.until


@dataclass
class Walker:
    """One customer on the way through all maps. `ways` counts the arms taken, `misfits` tells what came too soon."""

    contact: Contact
    programs: Sequence[Program]
    handoff: Rule
    rules: SendingRules
    ways: Counter[tuple[str, str, str]]
    runs: list[Run] = field(default_factory=list)
    entered: set[str] = field(default_factory=set)
    counted: list[tuple[str, datetime]] = field(default_factory=list)
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
        while due := [run for run in self.runs if run.due and run.due < until]:
            run = min(due, key=lambda one: one.due or until)
            assert run.due is not None
            if run.opens:
                self._deliver(run, run.opens)
            else:
                self._resume(run, run.due, "elapsed")

    def _happen(self, event: Event) -> None:
        self._judge(event)
        self.seen.append(event)
        for run in list(self.runs):
            exits = run.program.journey.exit
            if way := next((one for one in exits if _meets(event, one.event, one.tests, run.trigger)), None):
                self._end(run, way.outcome)
            elif not run.opens and (option := self._awaited(run, event)) is not None:
                self._hear(run, event, event.at, option)
        for program in self.programs:
            journey = program.journey
            for entry in journey.triggers:
                allowed = entry.where is None or self._holds(entry.where, event.at)
                if _meets(event, entry.event, entry.tests) and allowed:
                    self._enter(program, event)

    def _enter(self, program: Program, event: Event) -> None:
        journey = program.journey
        if journey.journey not in self.entered or journey.re_enter == "always":
            self.entered.add(journey.journey)
            rest = self._walk(start(program, event.at, self.person), program, event.at)
            run = Run(program, event, rest)
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
            if of_message and any(_meets(event, name, option.with_, run.trigger) for name in option.on):
                return number
        return None

    def _hear(self, run: Run, event: Event, now: datetime, option: int) -> None:
        run.heard.append(event)
        self._resume(run, now, event.name, option)

    def _resume(self, run: Run, now: datetime, way: str, option: int = 0) -> None:
        node = run.program.nodes[run.rest.cursor.step or ""]
        if isinstance(node.step, WaitFor):
            self.ways[run.name, node.id, "else" if way == "elapsed" else f"option {option}"] += 1
        run.rest = self._walk(go_on(run.program, run.rest.cursor, now, self.person, way, option), run.program, now)
        self._deliver(run, now)

    def _deliver(self, run: Run, now: datetime) -> None:
        while run.rest.act == "deliver":
            send = run.program.nodes[run.rest.cursor.step or ""].step
            assert isinstance(send, Send)
            run.opens = self._opens(run, send, now)
            if run.opens:
                return
            way = "sent" if self._may_go(run, send, now) else "skipped"
            if way == "sent":
                self.sent.setdefault(send.send, now)
                self.counted += [] if send.transactional else [(send.channel, now)]
            run.rest = self._walk(go_on(run.program, run.rest.cursor, now, self.person, way), run.program, now)
        if run.rest.act == "finish":
            self._end(run, run.rest.outcome or "completed")
            return
        awake = run.rest.cursor.awake or run.trigger.at
        for event in self.seen:  # what came while a message was held until the morning
            option = self._awaited(run, event)
            if (
                event.at > awake
                and not event.properties.get("message")
                and event not in run.heard
                and option is not None
            ):
                self._hear(run, event, now, option)
                return

    def _opens(self, run: Run, send: Send, now: datetime) -> datetime | None:
        """When a message that may not go now may."""
        if send.transactional or self._kept_out(run):
            return None
        own = send.window if send.window is not None else run.program.journey.send_window
        window = own if isinstance(own, Window) else None
        quiet = self.rules.quiet_hours(send.channel, self.contact.country)
        opens = next_open(now, self.zone, window, quiet)
        assert opens is not None
        if opens == now or (send.if_quiet or run.program.journey.if_quiet) == "skip":
            return None
        over = window.spread if window is not None and window.spread else self.rules.spread
        later = spread(opens, over, "window", run.name, run.rest.cursor.step, self.person.key)
        return later if next_open(later, self.zone, window, quiet) == later else opens

    def _may_go(self, run: Run, send: Send, now: datetime) -> bool:
        address = self.contact.email if send.channel == "email" else self.contact.phone
        if not address or send.transactional:
            return bool(address)
        if self._kept_out(run) or not self.contact.consents.get(send.channel):
            return False
        return not any(
            sum(at > cap_since(now, cap, self.zone) for one, at in self.counted if channel in (None, one)) >= cap.count
            for channel, cap in self.rules.caps(send.channel)
        )

    def _kept_out(self, run: Run) -> bool:
        share = run.program.journey.holdout
        return share is not None and held_out(share, "holdout", run.name, self.person.key)

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
                case Passed(kind="split"):
                    self.ways[program.journey.journey, query.step, query.seen["arm"]] += 1
                case Do(step=step):
                    self._do(step, now)

    def _do(self, step: object, now: datetime) -> None:
        match step:
            case Start(start=journey):
                other = next(one for one in self.programs if one.journey.journey == journey)
                self._enter(other, Event(now, "entered"))
            case ScoreStep(score=points):
                before, self.score = self.score, self.score + points.points
                threshold = self.handoff.threshold
                if threshold is not None and before < threshold <= self.score:
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
                return self._answered("email.opened", message)
            case Clicked(clicked=message):
                return self._answered("email.clicked", message)
            case Happened(event=test):
                times = sum(
                    _meets(event, test.name, test.with_) and event.at >= self._since(test.within, now)
                    for event in self.seen
                )
                least = 1 if test.at_least is None and test.at_most is None else test.at_least or 0
                return least <= times and (test.at_most is None or times <= test.at_most)
            case Touched(touched=touch):
                return touch.message in self.sent and self.sent[touch.message] >= self._since(touch.within, now)
            case InSegment():
                return False
            case Not(not_=part):
                return not self._true(part, now)
            case _:
                raise NotImplementedError(say(leaf))

    def _answered(self, name: str, message: str) -> bool:
        return any(event.name == name and event.properties.get("message") == message for event in self.seen)

    def _since(self, within: Duration | None, now: datetime) -> datetime:
        return add(now, Duration(-within.count, within.unit), self.zone) if within else datetime.min.replace(tzinfo=UTC)


def _meets(event: Event, name: str, tests: Mapping[str, PropertyTest], trigger: Event | None = None) -> bool:
    """Whether it is this event, with properties as the shipped maps test them."""
    return event.name == name and all(_passes(event, key, test, trigger) for key, test in tests.items())


def _passes(event: Event, name: str, test: PropertyTest, trigger: Event | None) -> bool:
    assert test.model_fields_set <= {"is_", "at_least", "same_as"}
    value = event.value if name == "value" else event.properties.get(name)
    if isinstance(test, TiedTest) and test.tie:
        return trigger is not None and value is not None and value == trigger.properties.get(test.tie)
    if test.is_ is not None:
        return value in test.is_
    return value is not None and test.at_least is not None and float(value) >= test.at_least
