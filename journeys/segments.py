"""Segments: named conditions whose members are kept, so that entering and leaving one are events.

`definitions/segments/NAME.yaml` holds one each. A segment may name others; it is evaluated after them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from journeys.checks.fields import field_problems
from journeys.conditions import Condition, InLifecycle, InSegment, Model, Slug, Text, leaves
from journeys.fields import Fields
from journeys.loading import unknown_fields
from journeys.nearest import unknown_word
from journeys.parts import parts
from journeys.places import Location
from journeys.source import InvalidFile, Problem, Source

PARTS = ("enter", "exit", "steps")
"""The parts of a map that may name segments."""
_OTHERS = ("with", "set", "fields")
"""What holds names that customers and events give to their own things; one may be called `segment`."""


class Segment(Model):
    """The customers who meet `where`, under a name."""

    segment: Slug
    title: Text
    description: Annotated[str, Field(max_length=5000)] | None = None
    where: Condition

    @property
    def named(self) -> set[str]:
        """The other segments that its condition asks for."""
        return {name for leaf in leaves(self.where) if isinstance(leaf, InSegment) for name in leaf.segment}


@dataclass(frozen=True)
class LoadedSegment:
    """A segment, and the file that it was read from."""

    segment: Segment
    source: Source

    @property
    def name(self) -> str:
        return self.segment.segment

    @property
    def definition(self) -> dict[str, Any]:
        """The segment as plain JSON, which reads back as the same segment."""
        return json.loads(self._json)  # type: ignore[no-any-return]

    @property
    def digest(self) -> str:
        """SHA-256 of the meaning, not of the text."""
        return hashlib.sha256(self._json.encode()).hexdigest()

    @cached_property
    def _json(self) -> str:
        return json.dumps(self.source.data, sort_keys=True, ensure_ascii=False, default=lambda day: day.isoformat())


def load(path: Path, fields: Fields | None = None, stages: Collection[str] | None = None) -> LoadedSegment:
    """Read one segment from a file; `fields` are the custom fields that the workspace declares, `stages` those of its
    lifecycle (None: unchecked).

    Raises:
        InvalidFile: with every problem found.
    """
    return _load(Source.read(path), fields, stages)


def parse(
    text: str, file: str = "<text>", fields: Fields | None = None, stages: Collection[str] | None = None
) -> LoadedSegment:
    """Read one segment from text.

    Raises:
        InvalidFile: with every problem found.
    """
    return _load(Source.parse(text, file), fields, stages)


def parse_condition(
    text: str, file: str, fields: Fields, known: Collection[str], stages: Collection[str] | None = None
) -> Condition:
    """Read a condition alone, such as `{tag: vip}`; `known` are the segments that it may name.

    Raises:
        InvalidFile: with every problem found, at its place in the text.
    """
    try:
        return _read_condition(text, file, fields, known, stages)
    except InvalidFile as error:
        # It was read as a part of a file: indented, below the word.
        problems = [replace(one, line=max(one.line - 1, 1), column=max(one.column - 2, 1)) for one in error.problems]
        raise InvalidFile(problems) from error


def _read_condition(
    text: str, file: str, fields: Fields, known: Collection[str], stages: Collection[str] | None
) -> Condition:
    source = Source.parse("where:\n" + "".join(f"  {line}\n" for line in text.splitlines()), file)
    read = source.to(_Asked)
    problems = [*field_mistakes(source, read, fields), *missing(source, "where", known)]
    if problems := [*problems, *strange_stages(source, read, stages)]:
        raise InvalidFile(problems)
    return read.where


class _Asked(Model):
    where: Condition


def _load(source: Source, fields: Fields | None, stages: Collection[str] | None) -> LoadedSegment:
    loaded = LoadedSegment(source.to(Segment), source)
    problems = field_mistakes(source, loaded.segment, fields) if fields is not None else []
    problems += strange_stages(source, loaded.segment, stages)
    if problems:
        raise InvalidFile(problems)
    return loaded


def known_stages(definitions: Path) -> set[str] | None:
    """The stages of a workspace's `lifecycle.yaml`, whether or not that is right otherwise; None where it has none.

    Raises:
        InvalidFile: it cannot be read.
    """
    path = definitions / "lifecycle.yaml"
    if not path.exists():
        return None
    stages = Source.read(path).data.get("stages")
    return {str(one.get("stage")) for one in stages if isinstance(one, dict)} if isinstance(stages, list) else None


def strange_stages(source: Source, model: BaseModel, stages: Collection[str] | None) -> list[Problem]:
    """Stages of the lifecycle that conditions of a file ask for and that there are not (`stages` None: unchecked)."""
    if stages is None:
        return []
    return [
        source.problem((*at, "lifecycle", number), unknown_word(stage, sorted(stages), "is no stage of lifecycle.yaml"))
        for part, at in parts(model)
        if isinstance(part, InLifecycle)
        for number, stage in enumerate(part.lifecycle)
        if stage not in stages
    ]


def field_mistakes(source: Source, model: BaseModel, fields: Fields) -> list[Problem]:
    """Fields that conditions of a file ask for and that no customer has, and tests that do not fit what a field holds:
    a segment asks everybody for them, all the time, and is not to find nobody by mistake."""
    return [
        *unknown_fields(source, model, set(fields)),
        *(source.problem(place, message) for _, place, message in field_problems(model, fields)),
    ]


def load_all(folder: Path, fields: Fields | None = None) -> list[LoadedSegment]:
    """Every segment of a folder, each after those that it names. A folder that is not there has none. With `fields`,
    stages of the lifecycle are checked too, by `lifecycle.yaml` beside the folder.

    Raises:
        InvalidFile: with the problems of all files; among them names that stand twice, that nothing has, or that lead
            back to where they stand.
    """
    found: list[LoadedSegment] = []
    problems: list[Problem] = []
    stages = known_stages(folder.parent) if fields is not None else None
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            found.append(load(file, fields, stages))
        except InvalidFile as error:
            problems += error.problems
    if problems:
        raise InvalidFile(problems)
    return arranged(found)


def arranged(segments: Iterable[LoadedSegment]) -> list[LoadedSegment]:
    """The segments, each after those that it names.

    Raises:
        InvalidFile: a name stands twice, is unknown, or leads back to where it stands; at the place of the name.
    """
    known: dict[str, LoadedSegment] = {}
    problems: list[Problem] = []
    for one in segments:
        if one.name in known:
            message = f"the segment {one.name} is also in {known[one.name].source.file}"
            problems.append(one.source.problem(("segment",), message))
        known.setdefault(one.name, one)
    for one in known.values():
        problems += _unknown(one, known)
    if not problems:
        problems = _circles(known)
    if problems:
        raise InvalidFile(problems)
    return [known[one.segment] for one in in_order(one.segment for one in known.values())]


def in_order(segments: Iterable[Segment]) -> list[Segment]:
    """Segments, each after those that it names; by name where that leaves a choice.

    Raises:
        graphlib.CycleError: they name each other in a circle; `load_all` lets none in.
    """
    known = {one.segment: one for one in sorted(segments, key=lambda one: one.segment)}
    sorter = TopologicalSorter({name: sorted(one.named) for name, one in known.items()})
    return [known[name] for name in sorter.static_order() if name in known]


def _unknown(one: LoadedSegment, known: Collection[str]) -> list[Problem]:
    return missing(one.source, "where", known)


def missing(source: Source, part: str, known: Collection[str]) -> list[Problem]:
    """The segments that one part of a file names (`where` of a segment; `enter`, `exit`, `steps` of a map) and that
    there are not, each at its place."""
    return [
        source.problem(place, unknown_word(name, sorted(known), "is no segment"))
        for name, place in _places(source.data.get(part), (part,))
        if name not in known
    ]


def _circles(known: dict[str, LoadedSegment]) -> list[Problem]:
    """The first circle there is, at the place in its first file that leads into it."""
    try:
        in_order(one.segment for one in known.values())
    except CycleError as error:
        circle = list(reversed(error.args[1]))  # each names the one after it
        first = min(circle)
        start = circle.index(first)
        around = [*circle[start:-1], *circle[:start], first]
        one = known[first]
        place = next(place for name, place in _places(one.source.data["where"], ("where",)) if name == around[1])
        words = (
            f"the segment {first} asks for itself" if around[1] == first else f"goes in a circle: {' → '.join(around)}"
        )
        return [one.source.problem(place, words)]
    return []


def named_in(definition: Mapping[str, Any]) -> set[str]:
    """The segments that a map names: in its ways in and out, and in conditions."""
    return {name for part in PARTS for name, _ in _places(definition.get(part), (part,))}


def _places(value: Any, location: Location) -> Iterator[tuple[str, Location]]:
    """The names of segments in a part of a file, each with its place."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _places(item, (*location, number))
    elif isinstance(value, dict):
        for key, inner in value.items():
            here = (*location, key)
            if key in ("segment", "left") and isinstance(inner, str):
                yield inner, here
            elif key in ("segment", "left") and isinstance(inner, list):
                yield from ((name, (*here, number)) for number, name in enumerate(inner) if isinstance(name, str))
            elif key not in _OTHERS:
                yield from _places(inner, here)
