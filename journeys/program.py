"""A map as the interpreter walks it: a flat graph of steps, each with its id and what follows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from journeys.definition import AnyStep, Branch, Finish, Journey, Score, Send, Step, Task, Wait, WaitFor, kind_of
from journeys.timing import Duration

Location = tuple[int | str, ...]
"""Where something stands in the file: keys and list positions from the top."""


MOST_STEPS = 400
"""A map with more steps is nothing that anybody can follow; it also bounds what one turn may do."""


class ProgramError(ValueError):
    """A map whose steps do not fit together; `location` says where."""

    def __init__(self, message: str, location: Location) -> None:
        super().__init__(message)
        self.location = location


@dataclass(frozen=True, slots=True)
class Node:
    """One step in its place. `next` follows it; `arms` are the ways that branch off (None: past the end)."""

    id: str
    step: AnyStep
    next: str | None
    arms: tuple[str | None, ...] = ()
    location: Location = ()


@dataclass(frozen=True)
class Program:
    """The steps of one published version by id; walking starts at `first`."""

    journey: Journey
    first: str | None
    nodes: Mapping[str, Node] = field(default_factory=dict)

    @classmethod
    def of(cls, journey: Journey) -> Program:
        """Flatten a map.

        Raises:
            ProgramError: two steps bear the same id, a step can never be reached, or there are too many.
        """
        return _Flattening(journey).program()

    @property
    def always_awaited(self) -> tuple[str, ...]:
        """The events that concern a run wherever it stands: its exits and its goal."""
        goal = [self.journey.goal.on] if self.journey.goal else []
        return tuple(dict.fromkeys([*(way.on for way in self.journey.exit), *goal]))

    def sends(self) -> Iterator[tuple[Node, Send]]:
        """Every send step, in the order of the file."""
        for node in self.nodes.values():
            if isinstance(node.step, Send):
                yield node, node.step


class _Flattening:
    def __init__(self, journey: Journey) -> None:
        self.journey = journey
        self.nodes: dict[str, Node] = {}
        self.ids: dict[Location, str] = {}

    def program(self) -> Program:
        self.name(self.journey.steps, ("steps",))
        first = self.link(self.journey.steps, ("steps",), None)
        ordered = {id_: self.nodes[id_] for id_ in self.ids.values()}
        self.reach(first, ordered)
        return Program(self.journey, first, MappingProxyType(ordered))

    def name(self, steps: list[AnyStep], at: Location) -> None:
        """Give every step its id, in the order of the file; given ids come before derived ones."""
        given: dict[str, Location] = {}
        places = list(_places(steps, at))
        if len(places) > MOST_STEPS:
            raise ProgramError(f"a map has at most {MOST_STEPS} steps: split it", places[MOST_STEPS][0])
        for place, step in places:
            if step.id is not None:
                if step.id in given:
                    raise ProgramError(f"the id {step.id!r} is taken by an earlier step", (*place, "id"))
                given[step.id] = place
        taken = set(given)
        for place, step in places:
            if step.id is not None:
                self.ids[place] = step.id
                continue
            stem = derive_id(step)
            number, name = 2, stem
            while name in taken:
                name, number = f"{stem}-{number}", number + 1
            taken.add(name)
            self.ids[place] = name

    def link(self, steps: list[AnyStep], at: Location, after: str | None) -> str | None:
        """Lay the steps of one list one behind the other; the id of the first, or `after` when there is none."""
        follower = after
        for index in reversed(range(len(steps))):
            step, place = steps[index], (*at, index)
            arms: tuple[str | None, ...] = ()
            if isinstance(step, WaitFor):
                arms = (
                    self.link(step.then, (*place, "then"), follower),
                    self.link(step.else_, (*place, "else"), follower),
                )
            elif isinstance(step, Branch):
                arms = tuple(
                    self.link(arm.steps, (*place, "branch", number, "steps"), follower)
                    for number, arm in enumerate(step.branch)
                )
            identifier = self.ids[place]
            self.nodes[identifier] = Node(identifier, step, follower, arms, place)
            follower = identifier
        return follower

    def reach(self, first: str | None, nodes: Mapping[str, Node]) -> None:
        """Find the first step that no way leads to."""
        reached: set[str | None] = {None, first}
        for node in nodes.values():  # in the order of the file, so every step comes after those that lead to it
            if node.id not in reached:
                raise ProgramError("this step can never be reached: every way before it finishes", node.location)
            reached.update(_ways(node))


def _ways(node: Node) -> tuple[str | None, ...]:
    """Where a run may go from a step."""
    match node.step:
        case Finish():
            return ()
        case WaitFor():
            return node.arms
        case Branch(branch=arms):
            return node.arms if arms[-1].otherwise else (*node.arms, node.next)
        case _:
            return (node.next,)


def _places(steps: list[AnyStep], at: Location) -> Iterator[tuple[Location, AnyStep]]:
    for index, step in enumerate(steps):
        place = (*at, index)
        yield place, step
        if isinstance(step, WaitFor):
            yield from _places(step.then, (*place, "then"))
            yield from _places(step.else_, (*place, "else"))
        elif isinstance(step, Branch):
            for number, arm in enumerate(step.branch):
                yield from _places(arm.steps, (*place, "branch", number, "steps"))


def derive_id(step: Step) -> str:
    """The id of a step that was given none: its kind and what it is about."""
    about = ""
    match step:
        case Send(send=message):
            about = message
        case Wait(wait=Duration() as duration):
            about = str(duration)
        case Wait(wait=until):
            about = f"until {until.until.field}"  # type: ignore[union-attr]
        case WaitFor(wait_for=awaited):
            about = awaited.on[0]
        case Score(score=points):
            about = str(points.points).replace("-", "minus-")
        case Task(task=task):
            about = task.queue
        case Finish(finish=outcome):
            about = outcome
        case _:
            about = ""
    return re.sub(r"[^a-z0-9]+", "-", f"{kind_of(step)} {about}".lower()).strip("-")[:70]
