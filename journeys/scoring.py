"""The rules of scores, `definitions/scoring.yaml`, and their arithmetic.

A score is fit (who somebody is) plus activity (what they do: engagement, and the points that journeys gave). What an
event brings halves with every half-life since it happened. There is one way of rounding: each contribution is rounded
to a millionth of a point (half to even), in whole numbers from there on; activity is then rounded once to whole points,
half away from zero. The database counts the same way (`records.audience.scoring`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from journeys.conditions import Condition, Model, Name, Slug, Whole, With, leaves, read_duration
from journeys.conditions import Score as ScoreCondition
from journeys.fields import Fields
from journeys.places import Location
from journeys.segments import field_mistakes, known_stages, missing, strange_stages
from journeys.source import InvalidFile, Problem, Source
from journeys.timing import Duration

MILLION = 1_000_000
"""Contributions are counted in millionths of a point."""
FADED = 64.0
"""After so many half-lives nothing is left that could be counted."""
SECONDS = 86_400
MOST = 1_000_000_000
"""Activity is at most so many points, up or down."""


def _some(points: int) -> int:
    if points == 0:
        raise ValueError("0 points change nothing")
    return points


def _read_half_life(value: object) -> Duration | Literal["never"]:
    return "never" if value == "never" else read_duration(value)


Points = Annotated[Whole, Field(ge=-10_000, le=10_000), AfterValidator(_some)]
HalfLife = Annotated[Duration | Literal["never"], PlainValidator(_read_half_life)]


class FitRule(Model):
    """Points for who somebody is."""

    name: Slug
    when: Condition
    points: Points


class EngagementRule(Model):
    """Points for each event of one name whose properties pass `with`; `cap` bounds what all of them come to, up and
    down, after they have faded by `half_life`."""

    name: Slug
    on: Name
    with_: Annotated[With, Field(alias="with")] = Field(default_factory=dict)
    points: Points
    cap: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = None
    half_life: HalfLife | None = None


class JourneyPoints(Model):
    """What becomes of the points that journeys and sales gave."""

    half_life: HalfLife = "never"


class FitGrades(Model):
    """From how many points of fit on a letter is given; below the last it is D."""

    a: Annotated[Whole, Field(alias="A")]
    b: Annotated[Whole, Field(alias="B")]
    c: Annotated[Whole, Field(alias="C")]

    @model_validator(mode="after")
    def _falling(self) -> Self:
        if not self.a > self.b > self.c:
            raise ValueError("A needs more points than B, and B more than C")
        return self


class ActivityGrades(Model):
    """From how many points of activity on a figure is given; below the last it is 4."""

    one: Annotated[Whole, Field(alias="1")]
    two: Annotated[Whole, Field(alias="2")]
    three: Annotated[Whole, Field(alias="3")]

    @model_validator(mode="after")
    def _falling(self) -> Self:
        if not self.one > self.two > self.three:
            raise ValueError("1 needs more points than 2, and 2 more than 3")
        return self


class Grades(Model):
    """A letter for fit and a figure for activity: A1 is best, D4 is least."""

    fit: FitGrades
    activity: ActivityGrades

    def of(self, fit: int, activity: int) -> str:
        """The grade of somebody with so many whole points of each."""
        letters = (("A", self.fit.a), ("B", self.fit.b), ("C", self.fit.c))
        figures = (("1", self.activity.one), ("2", self.activity.two), ("3", self.activity.three))
        letter = next((word for word, least in letters if fit >= least), "D")
        return letter + next((word for word, least in figures if activity >= least), "4")


class Scoring(Model):
    """`definitions/scoring.yaml`."""

    half_life: HalfLife
    journeys: JourneyPoints = JourneyPoints()
    fit: Annotated[list[FitRule], Field(max_length=100)] = Field(default_factory=list)
    engagement: Annotated[list[EngagementRule], Field(max_length=100)] = Field(default_factory=list)
    grades: Grades

    def half_life_of(self, rule: EngagementRule) -> float | None:
        """In days; None for what does not fade."""
        return days(rule.half_life if rule.half_life is not None else self.half_life)

    @property
    def half_life_of_journeys(self) -> float | None:
        """In days; None, the default, for what does not fade."""
        return days(self.journeys.half_life)


def days(half_life: Duration | Literal["never"]) -> float | None:
    """A half-life in mean days of 24 hours; None for never."""
    return None if half_life == "never" else half_life.days


def contribution(points: int, age: float, half_life: float | None) -> int:
    """What one event brings, in millionths of a point: `age` in seconds, `half_life` in days."""
    if half_life is None:
        return points * MILLION
    fading: float = 0.5 ** min(max(age, 0.0) / (half_life * SECONDS), FADED)
    return round(points * float(MILLION) * fading)


def capped(total: int, cap: int | None) -> int:
    """A rule's contributions together, within its cap of whole points up and down."""
    return total if cap is None else max(-cap * MILLION, min(cap * MILLION, total))


def whole(total: int) -> int:
    """Millionths as whole points, half away from zero."""
    size = min((abs(total) + MILLION // 2) // MILLION, MOST)
    return size if total >= 0 else -size


def engagement(rules: Scoring, happened: Iterable[tuple[str, datetime]], at: datetime) -> dict[str, int]:
    """What each rule of engagement comes to at a moment, capped, in millionths; `happened` are the events up to then,
    each under the name of a rule that it meets."""
    known = {rule.name: rule for rule in rules.engagement}
    totals = dict.fromkeys(known, 0)
    for name, moment in happened:
        rule = known[name]
        totals[name] += contribution(rule.points, (at - moment).total_seconds(), rules.half_life_of(rule))
    return {name: capped(total, known[name].cap) for name, total in totals.items()}


@dataclass(frozen=True)
class LoadedScoring:
    """The rules, and the file that they were read from."""

    rules: Scoring
    source: Source

    @property
    def definition(self) -> dict[str, Any]:
        """The rules as plain JSON, which reads back as the same rules."""
        return json.loads(self._json())  # type: ignore[no-any-return]

    @property
    def digest(self) -> str:
        """SHA-256 of the meaning, not of the text."""
        return hashlib.sha256(self._json().encode()).hexdigest()

    def _json(self) -> str:
        return json.dumps(self.source.data, sort_keys=True, ensure_ascii=False, default=lambda day: day.isoformat())


def load(path: Path, fields: Fields | None = None, segments: Iterable[str] | None = None) -> LoadedScoring:
    """Read the rules from a file; `fields` and `segments` are those that there are (None: unchecked). Stages of the
    lifecycle are checked by `lifecycle.yaml` beside it.

    Raises:
        InvalidFile: with every problem found.
    """
    return _load(Source.read(path), fields, segments, known_stages(path.parent))


def parse(text: str, file: str = "scoring.yaml", fields: Fields | None = None) -> LoadedScoring:
    """Read the rules from text. Raises InvalidFile."""
    return _load(Source.parse(text, file), fields, None, None)


def _load(
    source: Source, fields: Fields | None, segments: Iterable[str] | None, stages: Collection[str] | None
) -> LoadedScoring:
    loaded = LoadedScoring(source.to(Scoring), source)
    problems = [source.problem(place, words) for place, words in _wrong(loaded.rules)]
    problems += field_mistakes(source, loaded.rules, fields) if fields is not None else []
    problems += missing(source, "fit", list(segments)) if segments is not None else []
    problems += strange_stages(source, loaded.rules, stages)
    if problems:
        raise InvalidFile(sorted(problems, key=_place))
    return loaded


def _place(problem: Problem) -> tuple[int, int]:
    return problem.line, problem.column


def _wrong(rules: Scoring) -> Iterator[tuple[Location, str]]:
    seen: set[str] = set()
    parts: tuple[tuple[str, Sequence[FitRule | EngagementRule]], ...] = (
        ("fit", rules.fit), ("engagement", rules.engagement),
    )  # fmt: skip
    for part, number, name in ((part, n, one.name) for part, listed in parts for n, one in enumerate(listed)):
        if name in seen:
            yield (part, number, "name"), f"the rule {name} stands twice: each has a name of its own"
        seen.add(name)
    for number, rule in enumerate(rules.fit):
        if any(isinstance(leaf, ScoreCondition) for leaf in leaves(rule.when)):
            yield ("fit", number, "when"), "asks for the score, which is made of it"
