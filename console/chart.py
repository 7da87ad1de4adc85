"""A journey map as boxes and links, worded for people: what every drawing of it is made from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from journeys.definition import EveryFew
from journeys.program import Node, Program
from journeys.saying import say
from journeys.steps import (
    AddTag,
    AnyStep,
    Branch,
    CustomerDate,
    Finish,
    RemoveTag,
    Score,
    Send,
    SetFields,
    Task,
    Wait,
    WaitFor,
    kind_of,
)  # fmt: skip
from journeys.timing import Duration

START, END = ":start", ":end"
"""Ids of the two boxes that are no steps; no step id can hold a colon."""
_VARIABLE = re.compile(r"\{\{\s*(?:customer\.)?(\w+)[^}]*\}\}")


@dataclass(frozen=True, slots=True)
class Box:
    """One step. `kind` is the step's kind (`email` and `sms` for sends, `start` and `end` for the two others)."""

    id: str
    kind: str
    heading: str
    text: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """The way from one box to another, and when it is taken (empty: always)."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A whole map. `facts` are the lines that hold wherever a contact stands: exits, the goal, entering again."""

    title: str
    facts: tuple[str, ...]
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]


def plain(text: str) -> str:
    """Text of a map on one line, without what only steers terminals and printers."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def chart_of(program: Program) -> Chart:
    """The chart of a map: boxes in the order of the file, each with at most one link to any other."""
    links: dict[tuple[str, str], list[str]] = {(START, program.first or END): [""]}
    for node in program.nodes.values():
        for target, label in ways(node):
            labels = links.setdefault((node.id, target), [])
            if label not in labels:
                labels.append(label)
    boxes = [Box(START, "start", "Enter", entry(program)), *map(_box, program.nodes.values())]
    if any(target == END for _, target in links):
        boxes.append(Box(END, "end", "End", "completed"))
    return Chart(
        plain(program.journey.title),
        tuple(map(plain, facts(program))),
        tuple(boxes),
        tuple(Link(source, target, plain(", or ".join(labels))) for (source, target), labels in links.items()),
    )


def ways(node: Node) -> list[tuple[str, str]]:
    """Where a step leads, and on what condition; nowhere from the end."""
    step = node.step
    match step:
        case Finish():
            return []
        case WaitFor(wait_for=awaited):
            came, late = node.arms
            return [(came or END, " or ".join(awaited.on)), (late or END, f"after {awaited.up_to.words()}")]
        case Branch():
            arms = [
                (target or END, say(arm.when) if arm.when is not None else "otherwise")
                for arm, target in zip(step.branch, node.arms, strict=True)
            ]
            passed = [] if any(arm.otherwise for arm in step.branch) else [(node.next or END, "otherwise")]
            return arms + passed
        case _:
            return [(node.next or END, "")]


def entry(program: Program) -> str:
    """How contacts come in, a line each way."""
    ways = [f"{way.on}, if {say(way.where)}" if way.where else way.on for way in program.journey.triggers]
    if "api" in program.journey.enter:
        ways.append("by API or command")
    return "\nor ".join(map(plain, ways))


def facts(program: Program) -> tuple[str, ...]:
    """What holds at every step."""
    journey = program.journey
    lines = []
    for way in journey.exit:
        where = "".join(f" with {name} {value}" for name, value in way.where.items())
        lines.append(f"Leaves at once on {way.on}{where}: {way.outcome}")
    if journey.goal:
        within = f" within {journey.goal.within.words()}" if journey.goal.within else ""
        lines.append(f"Goal: {journey.goal.on}{within}")
    again = {"never": "never", "after_exit": "after leaving", "always": "always"}
    rule = journey.re_enter
    lines.append("Enters again: " + (f"{rule.after.words()} later" if isinstance(rule, EveryFew) else again[str(rule)]))
    return tuple(lines)


def _box(node: Node) -> Box:
    step = node.step
    kind = step.channel if isinstance(step, Send) else kind_of(step) or ""
    heading, text = _words(step)
    return Box(node.id, kind, heading, plain(text), plain(step.note) if step.note else None)


def _words(step: AnyStep) -> tuple[str, str]:
    """The heading and the text of a step's box."""
    match step:
        case Send(send=message):
            return ("Email" if step.channel == "email" else "SMS"), message.partition("/")[2]
        case Wait(wait=Duration() as duration):
            return "Wait", duration.words()
        case Wait(wait=until):
            return "Wait until", _day(until.until)  # type: ignore[union-attr]
        case WaitFor(wait_for=awaited):
            about = f" on {awaited.message}" if awaited.message else ""
            where = "".join(f" with {name} {value}" for name, value in awaited.where.items())
            return f"Wait up to {awaited.up_to.words()}", f"for {' or '.join(awaited.on)}{about}{where}"
        case Branch():
            return "Branch", f"{len(step.branch)} ways, the first that fits"
        case Score(score=points):
            return f"Score {points.points:+d}", points.because
        case SetFields(set=values):
            return "Set", ", ".join(
                f"{name} = {'nothing' if value is None else value}" for name, value in values.items()
            )
        case AddTag(tag=words):
            return "Tag", ", ".join(words)
        case RemoveTag(untag=words):
            return "Untag", ", ".join(words)
        case Task(task=task):
            return f"Task for {task.queue}", _VARIABLE.sub(lambda found: f"‹{found[1].replace('_', ' ')}›", task.title)
        case Finish(finish=outcome):
            return "End", outcome
        case _:  # pragma: no cover - the union is closed
            raise AssertionError(f"{step} has no drawing")


def _day(day: CustomerDate) -> str:
    at = f", {day.at:%H:%M}"
    if not day.offset.count:
        return day.field + at
    side = "before" if day.offset.count < 0 else "after"
    return f"{Duration(abs(day.offset.count), day.offset.unit).words()} {side} {day.field}{at}"
