"""What is wrong with a map, or odd about it, beyond its form: found without sending anything and without records.

An error refuses publishing; a warning is shown. Each stands at its place in the file, and none is a guess: what cannot
be told from the definitions alone is not told here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from journeys.checks.fields import field_problems
from journeys.checks.messages import message_remarks
from journeys.checks.sending import sending_problems, sending_remarks
from journeys.checks.ways import way_problems, way_remarks
from journeys.definition import Entry
from journeys.fields import Field
from journeys.loading import LoadedJourney
from journeys.nearest import unknown_word
from journeys.places import Location
from journeys.segments import PARTS, missing, strange_stages
from journeys.sending import SendingRules
from journeys.source import Problem
from journeys.steps.effects import Start
from journeys.steps.sends import Send

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    message: str
    severity: Severity

    @classmethod
    def of(cls, problem: Problem, severity: Severity = "error") -> Finding:
        return cls(problem.file, problem.line, problem.column, problem.message, severity)

    @property
    def problem(self) -> Problem:
        return Problem(self.file, self.line, self.column, self.message)

    def __str__(self) -> str:
        return str(self.problem)


@dataclass(frozen=True)
class Surroundings:
    """What a map can be held against. `journeys` are those of the folder; `published` those of the records, None when
    nobody looked. `sent` names, by message, the journeys that send it. `stages` are those of the lifecycle, None where
    there is none to hold a map against."""

    fields: Mapping[str, Field] = field(default_factory=dict)
    rules: SendingRules = field(default_factory=SendingRules)
    segments: Collection[str] = ()
    journeys: Collection[str] = ()
    published: Collection[str] | None = None
    sent: Mapping[str, Collection[str]] = field(default_factory=dict)
    stages: Collection[str] | None = None


def sent_by(maps: Collection[LoadedJourney]) -> dict[str, set[str]]:
    """The messages that maps send, each with the journeys that do."""
    found: dict[str, set[str]] = {}
    for one in maps:
        for _, send in one.program.sends():
            found.setdefault(send.send, set()).add(one.journey.journey)
    return found


Said = tuple[Location, str]


def findings(loaded: LoadedJourney, around: Surroundings) -> list[Finding]:
    """Everything that can be said about a map from the definitions alone, in the order of the file."""
    found = [Finding.of(one) for part in PARTS for one in missing(loaded.source, part, around.segments)]
    found += [Finding.of(one) for one in strange_stages(loaded.source, loaded.journey, around.stages)]
    severities: tuple[tuple[Severity, Iterator[Said]], ...] = (
        ("error", _errors(loaded, around)), ("warning", _warnings(loaded, around)),
    )  # fmt: skip
    for severity, said in severities:
        found += [Finding.of(loaded.problem(place, message), severity) for place, message in said]
    return in_order(found)


def in_order(found: Collection[Finding]) -> list[Finding]:
    """Findings as they stand in their files, each once."""
    return sorted(dict.fromkeys(found), key=lambda one: (one.file, one.line, one.column, one.severity, one.message))


def _only(severity: Severity, remarks: Iterable[tuple[str, Location, str]]) -> Iterator[Said]:
    return ((place, message) for found, place, message in remarks if found == severity)


def _errors(loaded: LoadedJourney, around: Surroundings) -> Iterator[Said]:
    program = loaded.program
    yield from _only("error", message_remarks(program, around.sent))
    yield from way_problems(program)
    yield from sending_problems(program, around.rules)
    yield from _only("error", field_problems(loaded.journey, around.fields))
    if around.published is not None:
        yield from _strangers(loaded, around, "neither published nor in the folder")


def _warnings(loaded: LoadedJourney, around: Surroundings) -> Iterator[Said]:
    program = loaded.program
    yield from _only("warning", message_remarks(program, around.sent))
    yield from way_remarks(program)
    yield from sending_remarks(program, around.rules)
    yield from _only("warning", field_problems(loaded.journey, around.fields))
    if around.published is None:
        yield from _strangers(loaded, around, "not in the folder; whether it is published was not looked up")
    journey = loaded.journey
    sends = any(isinstance(node.step, Send) for node in program.nodes.values())
    if journey.holdout is not None and not sends:
        yield ("holdout",), "the journey sends nothing that a holdout could be kept from"
    entries = [way for way in journey.enter if isinstance(way, Entry)]
    if len(journey.enter) == 1 and entries and journey.re_enter == "never":
        for number, exit_ in enumerate(journey.exit):
            if exit_.on == entries[0].on and not exit_.with_:
                yield (
                    ("exit", number, "on"),
                    f"{exit_.on} is also the only way in: whoever it happens to again leaves, and never comes back",
                )


def _strangers(loaded: LoadedJourney, around: Surroundings, where: str) -> Iterator[Said]:
    known = {*around.journeys, *(around.published or ())} - {loaded.journey.journey}
    for node in loaded.program.nodes.values():
        if isinstance(node.step, Start) and node.step.start not in known:
            yield (*node.location, "start"), unknown_word(node.step.start, sorted(known), f"is {where}")
