"""What a rehearsal is about: its maps, segments and messages, looked at before any server starts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from activities.intake.importing import CustomerFile
from activities.messages.rendering import Templates
from activities.publishing import load_files, message_problems
from journeys import segments
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.loading import LoadedJourney
from journeys.nearest import unknown_word
from journeys.source import InvalidFile, Problem
from workers.rehearsal.happenings import open_happenings
from workers.rehearsal.rehearsing import Plan
from workers.rehearsal.ways_in import needed
from workers.settings import Settings


class Unrehearsable(InvalidFile):
    """Maps, segments or messages cannot be used; all problems are in `problems`."""


def plan(of: Settings, names: list[str], customers: Path, events: Path | None, start: datetime, days: int) -> Plan:
    """What is to be rehearsed: maps by their names or files, from `start` on.

    Raises:
        Unrehearsable: maps, segments or messages cannot be used.
        WaymarkError: a file is no table, or there is no such map.
    """
    fields = load_fields(of.definitions / "fields.yaml")
    # What is no table is refused before any server starts.
    CustomerFile(customers, fields, relative_to=start.date())
    if events is not None:
        open_happenings(events)
    try:
        maps = load_files(dict.fromkeys(_file(of.definitions / "journeys", name) for name in names), fields)
        asked = needed(maps, segments.load_all(of.definitions / "segments", fields))
        problems = _message_problems(of, maps, frozenset(fields))
    except InvalidFile as error:
        problems = error.problems
    if problems:
        raise Unrehearsable(problems)
    _check_segments(maps, {one.name for one in asked})
    return Plan(maps, asked, customers, events, start, days)


def _message_problems(of: Settings, maps: list[LoadedJourney], fields: frozenset[str]) -> list[Problem]:
    templates = Templates(of.templates, of.workspace_locale)
    return list(dict.fromkeys(problem for one in maps for problem in message_problems(one, templates, fields)))


def _check_segments(maps: list[LoadedJourney], known: set[str]) -> None:
    for one in maps:
        if missing := sorted(segments.named_in(one.definition) - known):
            raise WaymarkError(unknown_word(missing[0], known, f"in {one.journey.journey} is no segment"))


def _file(folder: Path, name: str) -> Path:
    """The file of a map that is given by its name or by its path."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    found = {file.stem: file for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])}
    if name not in found:
        raise WaymarkError(
            unknown_word(name, found, f"is no map in {folder}"), hint="Give the name of one there, or a YAML file."
        )
    return found[name]
