"""`definitions/handoff.yaml`: which leads go to sales, who gets them, and what is promised about each.

The file is one rule with its team beside it, or several under `rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from journeys import segments
from journeys.conditions import Condition, Model, Slug, Text, Whole, Words, listed
from journeys.loading import unknown_fields
from journeys.nearest import unknown_word
from journeys.places import Location
from journeys.source import InvalidFile, Problem, Source
from journeys.team import Team
from journeys.worktime import Span

Assign = Literal["round_robin", "least_loaded", "territory", "owner"]
Outcome = Literal["won", "lost", "nurture", "bad_lead"]
_BEFORE_DUE = re.compile(r"\s+before\s+due$")


def _span(value: object) -> Span:
    if isinstance(value, Span):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no stretch of time: write 1 working day, 4 working hours, or 4h")
    return Span.parse(value)


def _before_due(value: object) -> Span:
    return _span(_BEFORE_DUE.sub("", value.strip()) if isinstance(value, str) else value)


def _ways(value: object) -> object:
    """The owner goes on holiday: somebody else gets what would be theirs, unless the list says otherwise."""
    return ["owner", "round_robin"] if value == "owner" else listed(value)


Time = Annotated[Span, BeforeValidator(_span)]
BeforeDue = Annotated[Span, BeforeValidator(_before_due)]
Threshold = Annotated[Whole, Field(ge=1)]


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
    """When a lead is handed to sales, the task that sales gets, and what is promised about it.

    Without a threshold it takes nobody by score: it keeps tasks that maps make.
    """

    name: Slug = "qualified"
    threshold: Threshold | None = None
    again_below: Whole | None = None
    when: Annotated[tuple[Condition, ...], BeforeValidator(listed)] = ()
    queue: Slug = "sales"
    priority: Annotated[Whole, Field(ge=0, le=9)] = 5
    title: Text = "Qualified lead"
    due: Time = Span.parse("1 working day")
    stage: Text | None = None
    marketing: Literal["stop", "go_on"] = "go_on"
    assign: Annotated[tuple[Assign, ...], BeforeValidator(_ways), Field(min_length=1)] = ("round_robin",)
    tell: Literal["at_once", "working_time", "never"] = "at_once"
    remind: BeforeDue | None = None
    reassign_after: Time | None = None
    escalate_after: Time | None = None
    expire_after: Time | None = None
    outcomes: Outcomes = Outcomes()

    def effect(self, end: Outcome | Literal["expired"]) -> Effect:
        """What an end of a task does. Who goes back to nurture may be handed over again: unless the file says what is
        left of the score, it is brought below the mark for that."""
        effect: Effect = getattr(self.outcomes, end)
        if end == "nurture" and "nurture" not in self.outcomes.model_fields_set and self.again_below is not None:
            return effect.model_copy(update={"score": max(self.again_below - 1, 0)})
        return effect


class OneRule(Rule, Team):
    """A file of one rule. `tasks` names the rule that keeps the tasks of maps that name none."""

    threshold: Threshold
    tasks: Slug | None = None

    @property
    def rules(self) -> tuple[Rule, ...]:
        return (self,)


class SeveralRules(Team):
    """A file of several rules: of those whose threshold is crossed, the first whose conditions hold takes the lead."""

    tasks: Slug | None = None
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]


Sales = OneRule | SeveralRules
NOBODY: Sales = OneRule(threshold=1)
"""A team of nobody in particular, where the definitions name none."""


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
    asked = str([rule.get("when") for rule in source.data.get("rules", [source.data])])
    problems: list[Problem] = []
    if "lifecycle" in asked:
        problems += segments.strange_stages(source, sales, segments.known_stages(definitions))
    if "segment" in asked:
        known = {one.name for one in segments.load_all(definitions / "segments")}
        part = "rules" if "rules" in source.data else "when"
        problems += segments.missing(source, part, known)
    if problems:
        raise InvalidFile(sorted(problems, key=_place))
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
        if rule.threshold is None:
            for key in ("again_below", "when", "stage"):
                if key in rule.model_fields_set:
                    yield (*at, key), f"{key} is about crossing a threshold, and {rule.name} has none"
        elif rule.again_below is not None and rule.again_below >= rule.threshold:
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
    if sales.tasks is not None and rule_of(sales, sales.tasks) is None:
        yield ("tasks",), unknown_word(sales.tasks, [rule.name for rule in sales.rules], "is no rule of this file")
    yield from _twice([(("rules", n, "name"), rule.name) for n, rule in enumerate(sales.rules)], "the rule")
    yield from _twice([(("reps", n, "name"), rep.name) for n, rep in enumerate(sales.reps)], "the rep")
    yield from _twice([(("pipeline", n, "stage"), one.stage) for n, one in enumerate(sales.pipeline)], "the stage")


def _twice(named: list[tuple[Location, str]], what: str) -> Iterator[tuple[Location, str]]:
    seen: set[str] = set()
    for place, name in named:
        if name.lower() in seen:
            yield place, f"{what} {name} stands here twice: each has a name of its own"
        seen.add(name.lower())
