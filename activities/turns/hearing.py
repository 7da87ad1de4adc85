"""What has happened to the customer that concerns a run: exits, its goal, and what it waits for.

It is read from the records rather than from signals: an event that was stored a moment ago counts even if its signal
is still on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.turns.taken import Taken
from journeys.conditions import PropertyTest, TiedTest
from journeys.interpreter import Cursor, Rest
from journeys.steps.ways import Awaited, WaitFor
from journeys.timing import add
from records.runs import happenings
from records.runs.enrolments import Enrolment
from records.runs.happenings import Happening, Interest


async def hear(db: AsyncConnection, taken: Taken) -> list[Happening]:
    """The events that concern the run where it stands, earliest first."""
    enrolment, journey = taken.enrolment, taken.journey
    interests = [
        Interest("exit", way.event, enrolment.enrolled_at, tests=tests, outcome=way.outcome)
        for way in journey.exit
        if (tests := _untied(way.tests, taken)) is not None
    ]
    goal = journey.goal
    if goal is not None and not taken.goal and (tests := _untied(goal.with_, taken)) is not None:
        until = None if goal.within is None else add(enrolment.enrolled_at, goal.within, taken.person.zone)
        interests.append(Interest("goal", goal.on, enrolment.enrolled_at, until, tests))
    node = taken.program.nodes.get(taken.cursor.step or "")
    if node is not None and isinstance(node.step, WaitFor) and taken.instruction.act == "wait":
        interests += await _awaited(db, taken, node.step.wait_for, taken.cursor, limit(taken))
    found = await happenings.happened(db, enrolment.customer_id, _besides(enrolment, taken.cursor), interests)
    return _until_exit(found)


def _until_exit(happenings: list[Happening]) -> list[Happening]:
    """Without what came after the run had to end: events that arrive together, or in the wrong order, come to the same
    as they would have one by one."""
    last = next(((one.at, one.id) for one in happenings if one.interest.role == "exit"), None)
    return [one for one in happenings if last is None or (one.at, one.id) <= last]


async def already(db: AsyncConnection, taken: Taken, rest: Rest) -> Happening | None:
    """The event that a wait asks for, when it came before the wait began: since the message was sent, or while the
    run was busy delivering."""
    node = taken.program.nodes.get(rest.cursor.step or "")
    if rest.act != "wait" or node is None or not isinstance(node.step, WaitFor):
        return None
    interests = await _awaited(db, taken, node.step.wait_for, rest.cursor, rest.until)
    besides = _besides(taken.enrolment, rest.cursor)
    found = await happenings.happened(db, taken.enrolment.customer_id, besides, interests)
    return found[0] if found else None


def hearing(cursor: Cursor, event: Happening) -> Cursor:
    """The cursor once an event has ended its wait: that event ends no second one."""
    return replace(cursor, heard=(*cursor.heard, event.id))


def limit(taken: Taken) -> datetime | None:
    """Until when an awaited event counts, itself included: a pause does not make that later."""
    if "limit" in taken.notes:
        return datetime.fromisoformat(taken.notes["limit"])
    was = (taken.notes.get("paused") or {}).get("was")
    if was:
        return datetime.fromisoformat(was["until"]) if was["until"] else None
    return taken.instruction.until


async def _awaited(
    db: AsyncConnection, taken: Taken, awaited: Awaited, cursor: Cursor, until: datetime | None
) -> list[Interest]:
    interests = []
    for number, option in enumerate(awaited.options):
        since = cursor.awake or taken.enrolment.enrolled_at
        tests = _untied(option.with_, taken)
        if tests is None:
            continue
        if option.message:
            since = await happenings.sent_at(db, taken.enrolment.id, option.message) or since
            tests = {**tests, "message": PropertyTest.model_validate({"is": [option.message]})}
        interests += [Interest("wait", name, since, until, tests, option=number) for name in option.on]
    return interests


def _untied(tests: Mapping[str, TiedTest], taken: Taken) -> dict[str, PropertyTest] | None:
    """The tests with the values of the event that brought the contact in; None when it has no such value, so that
    nothing can meet them."""
    trigger: dict[str, Any] = taken.standing.trigger or {}
    found: dict[str, PropertyTest] = {}
    for name, test in tests.items():
        parts = test.model_dump(by_alias=True, exclude_unset=True, exclude={"same_as"})
        if test.tie:
            value = trigger.get(test.tie)
            if not isinstance(value, str | int | float):
                return None
            parts["is"] = [value]
        found[name] = PropertyTest.model_validate(parts)
    return found


def _besides(enrolment: Enrolment, cursor: Cursor) -> list[int]:
    """The events that no longer count: the one that brought the customer in, and those that ended a wait."""
    return [*cursor.heard, *([enrolment.event_id] if enrolment.event_id is not None else [])]
