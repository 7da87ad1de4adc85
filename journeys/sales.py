"""`definitions/handoff.yaml`: which leads go to sales, who gets them, and what is promised about each.

The file is one rule with its team beside it, or several under `rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from journeys import segments
from journeys.conditions import Condition, Day, Model, Slug, Text, Whole, Words, listed
from journeys.loading import unknown_fields
from journeys.program import Location
from journeys.sending import Minute, Weekdays
from journeys.source import InvalidFile, Problem, Source
from journeys.worktime import Span, WorkWeek
from journeys.zones import zone_of

Assign = Literal["round_robin", "least_loaded", "territory", "owner"]
Outcome = Literal["won", "lost", "nurture", "bad_lead"]
_BEFORE_DUE = re.compile(r"\s+before\s+due$")
_ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;]+")


def _span(value: object) -> Span:
    if isinstance(value, Span):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no stretch of time: write 1 working day, 4 working hours, or 4h")
    return Span.parse(value)


def _before_due(value: object) -> Span:
    return _span(_BEFORE_DUE.sub("", value.strip()) if isinstance(value, str) else value)


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value!r} is no time zone: an IANA name such as Europe/Berlin") from None
    return value


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError(f"{value!r} is no mail address")
    return value


def _ways(value: object) -> object:
    """The owner goes on holiday: somebody else gets what would be theirs, unless the list says otherwise."""
    return ["owner", "round_robin"] if value == "owner" else listed(value)


Time = Annotated[Span, BeforeValidator(_span)]
BeforeDue = Annotated[Span, BeforeValidator(_before_due)]
Zone = Annotated[str, AfterValidator(_zone)]
Address = Annotated[str, Field(max_length=254), AfterValidator(_address)]
PersonName = Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=60)]
CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class Working(Model):
    """The hours of work. Without days, the working days of the country; without times, whole days."""

    days: Weekdays | None = None
    from_: Annotated[Minute, Field(alias="from")] = "00:00"
    to: Minute = "24:00"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if minutes(self.from_) >= minutes(self.to):
            raise ValueError(f"working hours end after they begin, not from {self.from_} to {self.to}")
        return self


class Absence(Model):
    """From the first day to the last, both included."""

    from_: Annotated[Day, Field(alias="from")]
    to: Day

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.to < self.from_:
            raise ValueError(f"away from {self.from_} to {self.to} goes backwards")
        return self


def _absence(value: object) -> object:
    return value if isinstance(value, dict | Absence) else {"from": value, "to": value}


class Person(Model):
    """Who gets mails from Waymark. `time_zone` and `working` are the workspace's and the team's where left out."""

    name: PersonName
    email: Address
    time_zone: Zone | None = None
    country: CountryCode | None = None
    working: Working | None = None
    away: Annotated[tuple[Annotated[Absence, BeforeValidator(_absence)], ...], BeforeValidator(listed)] = ()

    def is_away(self, day: date) -> bool:
        """Whether it is a day of an absence."""
        return any(one.from_ <= day <= one.to for one in self.away)


class Rep(Person):
    """Who sells: in which countries, and from which queues (all, where none are named)."""

    territories: Annotated[tuple[CountryCode, ...], BeforeValidator(listed)] = ()
    queues: Annotated[tuple[Slug, ...], BeforeValidator(listed)] = ()


class Manager(Person):
    """Who hears of what is late."""


class Stage(Model):
    """A stage of the pipeline, and how likely what stands there is won."""

    stage: Slug
    chance: Annotated[Decimal, Field(ge=0, le=1)]


class Effect(Model):
    """What an outcome does to the customer. `score` is the most that is left of it."""

    stage: Text | None = None
    score: Annotated[Whole, Field(ge=0)] | None = None
    tag: Annotated[Words, Field(max_length=20)] | None = None


class Outcomes(Model):
    """What each end of a task does to the customer."""

    won: Effect = Effect(stage="customer")
    lost: Effect = Effect(stage="lost")
    nurture: Effect = Effect(stage="nurturing")
    bad_lead: Effect = Effect(stage="disqualified", score=0, tag=["bad_lead"])
    expired: Effect = Effect()


class Rule(Model):
    """When a lead is handed to sales, and the task that sales gets."""

    name: Slug = "qualified"
    threshold: Annotated[Whole, Field(ge=1)]
    again_below: Whole | None = None
    when: Annotated[tuple[Condition, ...], BeforeValidator(listed)] = ()
    queue: Slug = "sales"
    priority: Annotated[Whole, Field(ge=0, le=9)] = 5
    title: Text = "Qualified lead"
    due: Time = Span.parse("1 working day")
    stage: Text | None = None
    marketing: Literal["stop", "go_on"] = "go_on"
    assign: Annotated[tuple[Assign, ...], BeforeValidator(_ways), Field(min_length=1)] = ("round_robin",)
    remind: BeforeDue | None = None
    reassign_after: Time | None = None
    escalate_after: Time | None = None
    expire_after: Time | None = None
    outcomes: Outcomes = Outcomes()


class Team(Model):
    """Who sells, when they work, and the way of a deal."""

    reps: tuple[Rep, ...] = ()
    manager: Manager | None = None
    working: Working | None = None
    country: CountryCode | None = None
    pipeline: tuple[Stage, ...] = (
        Stage(stage="contacted", chance=Decimal("0.1")), Stage(stage="meeting", chance=Decimal("0.3")),
        Stage(stage="offer", chance=Decimal("0.5")), Stage(stage="negotiation", chance=Decimal("0.8")),
    )  # fmt: skip

    def week(self, person: Person | None, default_zone: str) -> WorkWeek:
        """When somebody works; the team's own hours for nobody in particular."""
        working = (person.working if person is not None else None) or self.working or Working()
        return WorkWeek(
            zone_of(person.time_zone if person is not None else None, None, default_zone),
            (person.country if person is not None else None) or self.country,
            working.days,
            minutes(working.from_),
            minutes(working.to),
            tuple((one.from_, one.to) for one in person.away) if person is not None else (),
        )

    def rep(self, name: str | None) -> Rep | None:
        """The rep of this name; None when there is none."""
        return next((rep for rep in self.reps if rep.name == name), None)

    def working_on(self, queue: str) -> tuple[Rep, ...]:
        """The reps who work on a queue."""
        return tuple(rep for rep in self.reps if not rep.queues or queue in rep.queues)

    def chance(self, stage: str | None) -> Decimal:
        """How likely what stands at a stage is won; a stage that is no longer in the file counts for nothing."""
        return next((one.chance for one in self.pipeline if one.stage == stage), Decimal(0))


class OneRule(Rule, Team):
    """A file of one rule."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        return (self,)


class SeveralRules(Team):
    """A file of several rules: of those whose threshold is crossed, the first whose conditions hold takes the lead."""

    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]


Sales = OneRule | SeveralRules
NOBODY: Sales = OneRule(threshold=1)
"""A team of nobody in particular, where the definitions name none."""


def minutes(wall: str) -> int:
    """Minutes after midnight of a wall time, up to 24:00."""
    hours, minute = wall.split(":")
    return int(hours) * 60 + int(minute)


def rule_of(sales: Sales | None, name: str | None) -> Rule | None:
    """The rule of this name; None when there is none, or none any more."""
    return next((rule for rule in sales.rules if rule.name == name), None) if sales is not None else None


def load(definitions: Path, fields: Iterable[str] | None = None) -> Sales | None:
    """The rules in `handoff.yaml` of the definitions folder; None when there is no such file. `fields` are the custom
    fields that the workspace declares (None: unchecked).

    Raises:
        InvalidFile: with every problem found in it.
    """
    path = definitions / "handoff.yaml"
    if not path.exists():
        return None
    source = Source.read(path)
    sales = parse(source, fields)
    if any("segment" in str(rule.get("when")) for rule in source.data.get("rules", [source.data])):
        known = {one.name for one in segments.load_all(definitions / "segments")}
        part = "rules" if "rules" in source.data else "when"
        if unknown := segments.missing(source, part, known):
            raise InvalidFile(unknown)
    return sales


def parse(source: Source, fields: Iterable[str] | None = None) -> Sales:
    """The rules in a file that was read.

    Raises:
        InvalidFile: with every problem found in it.
    """
    sales: Sales = source.to(SeveralRules) if "rules" in source.data else source.to(OneRule)
    problems = [source.problem(place, message) for place, message in _wrong(sales)]
    if fields is not None:
        problems += unknown_fields(source, sales, set(fields))
    if problems:
        raise InvalidFile(sorted(problems, key=_place))
    return sales


def _place(problem: Problem) -> tuple[int, int]:
    return problem.line, problem.column


def _wrong(sales: Sales) -> Iterator[tuple[Location, str]]:
    """What no part of the file shows by itself."""
    several = isinstance(sales, SeveralRules)
    for number, rule in enumerate(sales.rules):
        at: Location = ("rules", number) if several else ()
        if rule.again_below is not None and rule.again_below >= rule.threshold:
            yield (*at, "again_below"), f"again_below is below the threshold, {rule.threshold}"
        if rule.escalate_after is not None and sales.manager is None:
            yield (*at, "escalate_after"), "escalate_after needs a manager: name one under manager"
        for key in ("remind", "reassign_after"):
            if getattr(rule, key) is not None and not sales.working_on(rule.queue):
                yield (*at, key), f"{key} needs somebody who works on the queue {rule.queue}: name them under reps"
        if "assign" in rule.model_fields_set and not sales.working_on(rule.queue):
            yield (*at, "assign"), f"nobody works on the queue {rule.queue}: name them under reps"
        if "territory" in rule.assign and sales.reps and not any(rep.territories for rep in sales.reps):
            yield (*at, "assign"), "no rep has territories: give them some, or assign by another way"
    if not sales.pipeline:
        yield ("pipeline",), "pipeline: is empty"
    yield from _twice([(("rules", n, "name"), rule.name) for n, rule in enumerate(sales.rules)], "the rule")
    yield from _twice([(("reps", n, "name"), rep.name) for n, rep in enumerate(sales.reps)], "the rep")
    yield from _twice([(("pipeline", n, "stage"), one.stage) for n, one in enumerate(sales.pipeline)], "the stage")


def _twice(named: list[tuple[Location, str]], what: str) -> Iterator[tuple[Location, str]]:
    seen: set[str] = set()
    for place, name in named:
        if name.lower() in seen:
            yield place, f"{what} {name} stands here twice: each has a name of its own"
        seen.add(name.lower())
