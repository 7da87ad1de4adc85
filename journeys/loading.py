"""From a YAML file to a checked journey, with errors that name file, line and column."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from journeys.conditions import STANDARD_FIELDS, FieldTest
from journeys.definition import Journey
from journeys.nearest import unknown_word
from journeys.parts import parts
from journeys.places import Location
from journeys.program import Program, ProgramError
from journeys.source import InvalidFile, Problem, Source
from journeys.steps.effects import SetFields
from journeys.steps.sends import WebhookCall
from journeys.steps.waits import CustomerDate


@dataclass(frozen=True)
class LoadedJourney:
    """A map that is fit to publish: its model, its program, and the file it was read from."""

    journey: Journey
    program: Program
    source: Source

    @property
    def definition(self) -> dict[str, Any]:
        """The map as plain JSON, which reads back as the same journey: what a published version keeps."""
        return json.loads(self._json())  # type: ignore[no-any-return]

    @property
    def digest(self) -> str:
        """SHA-256 of the meaning, not of the text: a comment or a blank line makes no new version."""
        return hashlib.sha256(self._json().encode()).hexdigest()

    def _json(self) -> str:
        return json.dumps(self.source.data, sort_keys=True, ensure_ascii=False, default=lambda day: day.isoformat())

    def problem(self, location: Location, message: str) -> Problem:
        """A problem at a place in the map, for checks that know more than the file does."""
        return self.source.problem(location, message)


def load(path: Path, fields: Iterable[str] | None = None) -> LoadedJourney:
    """Read one map from a file; `fields` are the custom fields that the workspace declares (None: unchecked).

    Raises:
        InvalidFile: with every problem found.
    """
    return _load(Source.read(path), fields)


def parse(text: str, file: str = "<text>", fields: Iterable[str] | None = None) -> LoadedJourney:
    """Read one map from text.

    Raises:
        InvalidFile: with every problem found.
    """
    return _load(Source.parse(text, file), fields)


def _load(source: Source, fields: Iterable[str] | None) -> LoadedJourney:
    journey = source.to(Journey)
    try:
        program = Program.of(journey)
    except ProgramError as error:
        raise InvalidFile([source.problem(error.location, str(error))]) from error
    loaded = LoadedJourney(journey, program, source)
    if fields is not None:
        unknown = unknown_fields(source, journey, set(fields))
        if unknown:
            raise InvalidFile(unknown)
    return loaded


def unknown_fields(source: Source, model: BaseModel, declared: set[str]) -> list[Problem]:
    """Fields that a file tests, sets, waits for or gives away and that no customer can have."""
    known = [*STANDARD_FIELDS, *sorted(declared)]
    return [
        source.problem(
            place, unknown_word(name, known, "is no field of a customer") + "; declare it in definitions/fields.yaml"
        )
        for name, place in named_fields(model)
        if name not in known
    ]


def named_fields(model: BaseModel) -> Iterator[tuple[str, Location]]:
    """The fields of the customer that a map or a segment names, each with its place."""
    for part, at in parts(model):
        match part:
            case FieldTest(name=name):
                yield name, (*at, "name")
            case SetFields(set=values):
                yield from ((name, (*at, "set", name)) for name in values)
            case CustomerDate():
                yield part.field, (*at, "date")
            case WebhookCall(fields=names):
                yield from ((name, (*at, "fields", number)) for number, name in enumerate(names))
