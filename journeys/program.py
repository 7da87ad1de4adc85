"""A map as the interpreter walks it: a flat graph of steps, each with its id and what follows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from journeys.definition import Journey
from journeys.nearest import unknown_word
from journeys.places import Location
from journeys.steps.effects import Score, SetConsent, Start, Task
from journeys.steps.sends import Send, Webhook
from journeys.steps.step import Step
from journeys.steps.waits import CustomerDate, Wait, WorkingDays
from journeys.steps.ways import AnyStep, Branch, Finish, Loop, Split, WaitFor, arms_of, kind_of
from journeys.timing import Duration

MOST_STEPS = 400
"""A map with more steps is nothing that anybody can follow; it also bounds what one turn may do."""


class ProgramError(ValueError):
    """A map whose steps do not fit together; `location` says where."""

    def __init__(self, message: str, location: Location) -> None:
        super().__init__(message)
        self.location = location


@dataclass(frozen=True, slots=True)
class Node:
    """One step in its place. `next` follows it; `arms` are the ways that branch off (None: past the end).

    A wait_for has one arm an event it waits for, and last the one for none of them; a split has them in the order of
    their names; a loop has one, the step it goes back to.
    """

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
            ProgramError: two steps bear the same id, a step can never be reached, a loop goes nowhere or never rests,
                a journey starts itself, or there are too many steps.
        """
        return _Flattening(journey).program()

    @property
    def always_awaited(self) -> tuple[str, ...]:
        """The events that concern a run wherever it stands: its exits and its goal."""
        goal = [self.journey.goal.on] if self.journey.goal else []
        return tuple(dict.fromkeys([*(way.event for way in self.journey.exit), *goal]))

    def sends(self) -> Iterator[tuple[Node, Send]]:
        """Every send step, in the order of the file."""
        for node in self.nodes.values():
            if isinstance(node.step, Send):
                yield node, node.step

    def between(self, first: str, last: str) -> list[str]:
        """The steps from one to another in the order of the file, both included."""
        ids = list(self.nodes)
        return ids[ids.index(first) : ids.index(last) + 1]


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
        self.loops(ordered)
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
            arms = tuple(self.link(inner, (*place, *below), follower) for below, inner in arms_of(step))
            if isinstance(step, WaitFor):
                *own, then, otherwise = arms
                ways = iter(own)
                arms = (
                    *(next(ways) if option.then is not None else then for option in step.wait_for.options),
                    otherwise,
                )
            elif isinstance(step, Loop):
                arms = (step.loop.to,)
            elif isinstance(step, Start) and step.start == self.journey.journey:
                raise ProgramError("a journey cannot start itself: to go round again write loop:", (*place, "start"))
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
            reached.update(ways_on(node))

    def loops(self, nodes: Mapping[str, Node]) -> None:
        """Check that every loop goes back to a step that leads to it, over something that takes time."""
        for node in nodes.values():
            if not isinstance(node.step, Loop):
                continue
            place, target = (*node.location, "loop", "to"), node.step.loop.to
            if target not in nodes:
                before = _before(nodes, node.id)
                raise ProgramError(unknown_word(target, before, "is no step before this loop"), place)
            if target not in _before(nodes, node.id) or not _leads(nodes, target, node.id, resting=True):
                raise ProgramError(f"{target!r} does not lead to this loop: it goes back to a step before it", place)
            if _leads(nodes, target, node.id, resting=False):
                raise ProgramError("nothing waits on one way through this loop: it would run in circles", place)


def ways_on(node: Node) -> tuple[str | None, ...]:
    """Where a run may go from a step, except back."""
    match node.step:
        case Finish():
            return ()
        case WaitFor() | Split():
            return node.arms
        case Branch(branch=arms):
            return node.arms if arms[-1].otherwise else (*node.arms, node.next)
        case _:
            return (node.next,)


def _before(nodes: Mapping[str, Node], last: str) -> list[str]:
    ids = list(nodes)
    return ids[: ids.index(last)]


def _leads(nodes: Mapping[str, Node], first: str, last: str, resting: bool) -> bool:
    """Whether a way leads from one step to another; with `resting` False, one on which nothing waits."""
    seen: set[str] = set()
    left: list[str | None] = [first]
    while left:
        at = left.pop()
        if at == last:
            return True
        if at is None or at in seen:
            continue
        seen.add(at)
        if resting or not isinstance(nodes[at].step, Wait | WaitFor):
            left += ways_on(nodes[at])
    return False


def _places(steps: list[AnyStep], at: Location) -> Iterator[tuple[Location, AnyStep]]:
    for index, step in enumerate(steps):
        place = (*at, index)
        yield place, step
        for below, inner in arms_of(step):
            yield from _places(inner, (*place, *below))


def derive_id(step: Step) -> str:
    """The id of a step that was given none: its kind and what it is about."""
    match step:
        case Send(send=message):
            about = message
        case Wait(wait=Duration() as duration):
            about = str(duration)
        case Wait(wait=WorkingDays(working_days=count)):
            about = f"{count} working days"
        case Wait(wait=until):
            moment = until.until  # type: ignore[union-attr]
            about = f"until {moment.field if isinstance(moment, CustomerDate) else f'{moment.time:%H:%M}'}"
        case WaitFor(wait_for=awaited):
            about = awaited.events[0]
        case Score(score=points):
            about = str(points.points).replace("-", "minus-")
        case Task(task=task):
            about = task.queue
        case SetConsent(consent=change):
            about = f"{change.channel} {'granted' if change.granted else 'withdrawn'}"
        case Webhook():
            about = step.message.removeprefix("webhook/")
        case Start(start=name) | Finish(finish=name):
            about = name
        case Loop(loop=again):
            about = again.to
        case _:
            about = ""
    return re.sub(r"[^a-z0-9]+", "-", f"{kind_of(step)} {about}".lower()).strip("-")[:70]
