"""From the folder that marketers edit to published, immutable versions."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.messages.rendering import CustomerView, Templates, render_line
from journeys.definition import Journey
from journeys.difference import Change, compare
from journeys.errors import WaymarkError
from journeys.loading import LoadedJourney, load
from journeys.program import Program
from journeys.source import InvalidFile, Problem
from journeys.steps.effects import Task
from records.runs import moves, versions
from records.runs.versions import PublishedJourney


@dataclass(frozen=True, slots=True)
class Published:
    """A journey and the version that is live now; `new` says whether this publication made it live.

    `before` was live until then, None for the first. `changes` are what differs from it (None where it is written in a
    language that is no longer read). `staying` counts the runs under way on other versions, by version.
    """

    journey: str
    title: str
    version: int
    new: bool
    before: int | None = None
    changes: list[Change] | None = field(default_factory=list)
    staying: dict[int, int] = field(default_factory=dict)


def load_all(folder: Path, fields: Collection[str]) -> list[LoadedJourney]:
    """Every map of a folder, by name.

    Raises:
        InvalidFile: with the problems of all files, two maps of the same name among them; or there is no map.
    """
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not files:
        raise InvalidFile([Problem(str(folder), 1, 1, "holds no journey map: put one NAME.yaml a journey there")])
    return load_files(files, fields)


def load_files(files: Iterable[Path], fields: Collection[str]) -> list[LoadedJourney]:
    """The maps in these files.

    Raises:
        InvalidFile: with the problems of all files.
    """
    loaded: dict[str, LoadedJourney] = {}
    problems: list[Problem] = []
    for file in files:
        try:
            one = load(file, fields)
        except InvalidFile as error:
            problems += error.problems
            continue
        name = one.journey.journey
        if name in loaded:
            problems.append(one.problem(("journey",), f"the journey {name} is also in {loaded[name].source.file}"))
        loaded[name] = one
    if problems:
        raise InvalidFile(problems)
    return list(loaded.values())


def message_problems(loaded: LoadedJourney, templates: Templates, fields: frozenset[str]) -> list[Problem]:
    """What is wrong with the messages that a map sends and the titles of its tasks, each at the step that has it."""
    problems: list[Problem] = []
    for node, send in loaded.program.sends():
        for found in templates.problems(send.send, set(fields)):
            place = loaded.problem((*node.location, "send"), f"{send.send}: {found}")
            problems.append(place)
    nobody = CustomerView({}, fields)
    for node in loaded.program.nodes.values():
        if isinstance(node.step, Task):
            try:
                render_line(node.step.task.title, {"customer": nobody})
            except WaymarkError as error:
                problems.append(loaded.problem((*node.location, "task", "title"), error.message))
    return problems


async def publish(db: AsyncConnection, journeys: Iterable[LoadedJourney], *, now: datetime, by: str) -> list[Published]:
    """Publish maps, and tell what that changes; one whose meaning is that of the live version stays at that version.

    To see what would change, roll the transaction back.
    """
    published = []
    for loaded in journeys:
        journey = loaded.journey
        name = journey.journey
        before = await versions.live(db, name)
        version = await versions.publish(
            db, name=name, title=journey.title, definition=loaded.definition, source=loaded.source.text,
            digest=loaded.digest, now=now, by=by,
        )  # fmt: skip
        was_live = before is not None and before.status == "live"
        new = before is None or before.version != version or not was_live
        staying = {other: runs for other, runs in (await moves.open_runs(db, name)).items() if other != version}
        changes = compare_with(before, loaded) if before is not None else []
        published.append(
            Published(name, journey.title, version, new, before.version if before else None, changes, staying)
        )
    return published


def compare_with(before: PublishedJourney, loaded: LoadedJourney) -> list[Change] | None:
    """What a map changes against a published version; None where that one can no longer be read."""
    try:
        old = Program.of(Journey.model_validate(before.definition))
    except ValueError:
        return None
    return compare(old, loaded.program)
