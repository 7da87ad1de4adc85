"""Messages that a map asks about: whether they were sent before."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Literal

from journeys.conditions import Clicked, Happened, MessageName, Opened, PropertyTest, Touched
from journeys.parts import parts
from journeys.places import Location
from journeys.program import Node, Program, ways_on
from journeys.steps.sends import Send
from journeys.steps.ways import Loop, WaitFor

Remark = tuple[Literal["error", "warning"], Location, str]
_RECEIPTS = ("email.", "sms.")
"""The events that are about a message begin so; their property `message` names it."""


def message_remarks(program: Program, sent: Mapping[str, Collection[str]]) -> Iterator[Remark]:
    """Waits and conditions about messages that were not sent before; `sent` names the journeys that send each."""
    ever, always = _sent_before(program)
    for node in program.nodes.values():
        if isinstance(node.step, WaitFor):
            yield from _awaited(node, ever[node.id], always[node.id])
    journey = program.journey
    own = {send.send for _, send in program.sends()}
    again = own if journey.re_enter != "never" else set()
    elsewhere = {message for message, journeys in sent.items() if set(journeys) - {journey.journey}}
    for node in program.nodes.values():
        asked = {"branch": getattr(node.step, "branch", None), "loop": getattr(node.step, "loop", None)}
        if isinstance(node.step, WaitFor):
            asked = {"wait_for": node.step.wait_for}
        known = ever[node.id] | again | elsewhere
        for key, value in asked.items():
            for message, place in _asked(value, (*node.location, key)):
                if message not in known:
                    yield "warning", place, _unsent(message, message in own)
    for part in ("enter", "exit", "goal"):
        for message, place in _asked(getattr(journey, part), (part,)):
            if message not in own | elsewhere:
                yield "warning", place, _unsent(message, False)


def _unsent(message: MessageName, later: bool) -> str:
    return f"{message} is sent only later, and by no other journey" if later else f"no journey sends {message}"


def _awaited(node: Node, ever: set[str], always: set[str]) -> Iterator[Remark]:
    assert isinstance(node.step, WaitFor)
    several = node.step.wait_for.any is not None
    for number, option in enumerate(node.step.wait_for.options):
        place = (*node.location, "wait_for", *(("any", number) if several else ()), "message")
        if option.message is None or option.message in always:
            continue
        if option.message in ever:
            yield "warning", place, f"{option.message} was sent before only on some of the ways that lead here"
        else:
            yield "error", place, f"{option.message} is sent on no way that leads here: nothing can be waited for"


def _asked(value: object, at: Location) -> Iterator[tuple[str, Location]]:
    """The messages that conditions and tests of events ask about, but for the steps inside a step."""
    for part, place in parts(value, at):
        if "steps" in place[len(at) :] or "then" in place[len(at) :]:
            continue
        match part:
            case Opened(opened=message) | Clicked(clicked=message):
                yield message, place
            case Touched(touched=test):
                yield test.message, (*place, "touched", "message")
            case Happened(event=test) if test.name.startswith(_RECEIPTS):
                yield from _named(test.with_.get("message"), (*place, "event", "with", "message"))
            case _ if str(getattr(part, "on", "")).startswith(_RECEIPTS):
                tests = getattr(part, "with_", {})
                yield from _named(tests.get("message"), (*place, "with", "message"))


def _named(test: PropertyTest | None, at: Location) -> Iterator[tuple[str, Location]]:
    for value in (test.is_ or []) if test else []:
        if isinstance(value, str):
            yield value, at


def _sent_before(program: Program) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """For each step, what was sent on some way to it, and what on every way."""
    ever: dict[str, set[str]] = {name: set() for name in program.nodes}
    always: dict[str, set[str] | None] = dict.fromkeys(program.nodes)
    if program.first is None:
        return ever, {}
    always[program.first] = set()
    left = [program.first]
    while left:
        node = program.nodes[left.pop()]
        own = {node.step.send} if isinstance(node.step, Send) else set()
        some, every = ever[node.id] | own, (always[node.id] or set()) | own
        for target in _targets(node):
            known = always[target]
            common = every if known is None else known & every
            if common != known or not some <= ever[target]:
                ever[target] |= some
                always[target] = common
                left.append(target)
    return ever, {name: found or set() for name, found in always.items()}


def _targets(node: Node) -> set[str]:
    """Where a run may go from a step, back included."""
    back = node.arms if isinstance(node.step, Loop) else ()
    return {name for name in (*ways_on(node), *back) if name is not None}
