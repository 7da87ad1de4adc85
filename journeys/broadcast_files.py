"""Broadcasts as files, with errors at their places."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property
from pathlib import Path
from typing import Any

from journeys.broadcast import Broadcast
from journeys.fields import Fields
from journeys.nearest import unknown_word
from journeys.places import Location
from journeys.segments import field_mistakes, known_stages, missing, strange_stages
from journeys.source import InvalidFile, Problem, Source


@dataclass(frozen=True)
class LoadedBroadcast:
    """A broadcast, and the file that it was read from."""

    broadcast: Broadcast
    source: Source

    @property
    def name(self) -> str:
        return self.broadcast.broadcast

    @property
    def places(self) -> list[tuple[str, Location]]:
        """The messages that it names, each with its place in the file."""
        arms = self.broadcast.ab.arms if self.broadcast.ab is not None else None
        if arms:
            return [(message, ("ab", "arms", arm)) for arm, message in arms.items()]
        return [(self.broadcast.send or "", ("send",))]

    @cached_property
    def definition(self) -> dict[str, Any]:
        """The broadcast as plain JSON, which reads back as the same broadcast."""
        said = json.dumps(self.source.data, ensure_ascii=False, default=_iso)
        return json.loads(said)  # type: ignore[no-any-return]


def load(
    path: Path,
    fields: Fields | None = None,
    segments: Collection[str] | None = None,
    stages: Collection[str] | None = None,
) -> LoadedBroadcast:
    """Read one broadcast; `fields` are the custom fields, `segments` the segments and `stages` those of the lifecycle
    that there are (None: unchecked).

    Raises:
        InvalidFile: with every problem found.
    """
    return _load(Source.read(path), fields, segments, stages)


def parse(
    text: str, file: str = "<text>", fields: Fields | None = None, segments: Collection[str] | None = None
) -> LoadedBroadcast:
    """Read one broadcast from text, as `load` does."""
    return _load(Source.parse(text, file), fields, segments, None)


@dataclass(frozen=True)
class Folder:
    """The broadcasts of a folder by name, and what is wrong with its other files."""

    broadcasts: dict[str, LoadedBroadcast]
    problems: list[Problem]


def load_all(folder: Path, fields: Fields | None = None, segments: Collection[str] | None = None) -> Folder:
    """Every broadcast of a folder, by name. A folder that is not there has none; a name that stands twice is a problem
    of the second file. Stages of the lifecycle are checked by `lifecycle.yaml` beside the folder."""
    found: dict[str, LoadedBroadcast] = {}
    problems: list[Problem] = []
    stages = known_stages(folder.parent)
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            one = load(file, fields, segments, stages)
        except InvalidFile as error:
            problems += error.problems
            continue
        if one.name in found:
            message = f"the broadcast {one.name} is also in {found[one.name].source.file}"
            problems.append(one.source.problem(("broadcast",), message))
            continue
        found[one.name] = one
    return Folder(dict(sorted(found.items())), problems)


def _load(
    source: Source,
    fields: Fields | None,
    segments: Collection[str] | None,
    stages: Collection[str] | None,
) -> LoadedBroadcast:
    loaded = LoadedBroadcast(source.to(Broadcast), source)
    problems = field_mistakes(source, loaded.broadcast, fields) if fields is not None else []
    problems += strange_stages(source, loaded.broadcast, stages)
    if segments is not None:
        problems += missing(source, "where", segments)
        named = loaded.broadcast.segment
        if named is not None and named not in segments:
            problems.append(source.problem(("segment",), unknown_word(named, sorted(segments), "is no segment")))
    if problems:
        raise InvalidFile(problems)
    return loaded


def _iso(value: date | datetime | time) -> str:
    return value.isoformat()
