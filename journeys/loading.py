"""From a YAML file to a checked journey, with errors that name file, line and column."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from journeys.conditions import STANDARD_FIELDS
from journeys.definition import Journey
from journeys.nearest import unknown_word
from journeys.program import Location, Program, ProgramError
from journeys.source import InvalidFile, Problem, Source


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
        unknown = unknown_fields(source, set(fields))
        if unknown:
            raise InvalidFile(unknown)
    return loaded


def unknown_fields(source: Source, declared: set[str]) -> list[Problem]:
    """Fields that a map tests, sets or waits for and that no customer can have."""
    known = [*STANDARD_FIELDS, *sorted(declared)]
    problems: list[Problem] = []

    def look(value: Any, location: tuple[int | str, ...]) -> None:
        if isinstance(value, list):
            for index, item in enumerate(value):
                look(item, (*location, index))
        if not isinstance(value, dict):
            return
        for key, inner in value.items():
            here = (*location, key)
            names: dict[tuple[int | str, ...], str] = {}
            if key == "field" and isinstance(inner, dict):
                names = {(*here, "name"): str(inner.get("name"))}
            elif key == "set" and isinstance(inner, dict):
                names = {(*here, name): name for name in inner}
            elif key == "date" and isinstance(inner, str):
                names = {here: inner.removeprefix("customer.")}
            elif key == "fields" and isinstance(inner, list):
                names = {(*here, number): str(name) for number, name in enumerate(inner)}
            for place, name in names.items():
                if name not in known:
                    message = unknown_word(name, known, "is no field of a customer")
                    problems.append(source.problem(place, message + "; declare it in definitions/fields.yaml"))
            look(inner, here)

    look(source.data, ())
    return problems
