"""Ways that nobody can take: arms, ways in and out, waits and goals that nothing can meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from journeys.checks.logic import impossible
from journeys.checks.values import no_value
from journeys.conditions import Condition, FieldIs, FieldTest, PropertyTest, TiedTest
from journeys.definition import Entry
from journeys.places import Location
from journeys.program import Node, Program
from journeys.saying import say, say_test
from journeys.steps.ways import Branch, Loop, WaitFor

Said = tuple[Location, str]


def way_problems(program: Program) -> Iterator[Said]:
    """Arms that can never be taken, and conditions and tests that nobody and nothing meets."""
    journey = program.journey
    for number, way in enumerate(journey.enter):
        where = getattr(way, "where", None)
        if where is not None and impossible([where]):
            yield ("enter", number, "where"), _nobody(where)
        if isinstance(way, Entry):
            yield from _tests(way.with_, ("enter", number))
    for number, exit_ in enumerate(journey.exit):
        yield from _tests(exit_.with_, ("exit", number))
        yield from _ties(program, exit_.with_, ("exit", number))
    if journey.goal is not None:
        yield from _tests(journey.goal.with_, ("goal",))
        yield from _ties(program, journey.goal.with_, ("goal",))
    for node in program.nodes.values():
        match node.step:
            case Branch():
                yield from _arms(node.step, node.location)
            case Loop(loop=again) if again.when is not None and impossible([again.when]):
                yield (*node.location, "loop", "when"), _nobody(again.when)
            case WaitFor():
                several = node.step.wait_for.any is not None
                for number, option in enumerate(node.step.wait_for.options):
                    place = (*node.location, "wait_for", *(("any", number) if several else ()))
                    yield from _tests(option.with_, place)
                    yield from _ties(program, option.with_, place)


def way_remarks(program: Program) -> Iterator[Said]:
    """Events waited for whose option an earlier one takes away."""
    for node in program.nodes.values():
        if not isinstance(node.step, WaitFor) or node.step.wait_for.any is None:
            continue
        plain: set[str] = set()
        for number, option in enumerate(node.step.wait_for.any):
            if set(option.on) <= plain:
                place = (*node.location, "wait_for", "any", number, "on")
                yield place, f"never taken: an earlier option takes every {' and every '.join(option.on)}"
            if option.message is None and not option.with_:
                plain |= set(option.on)


def _nobody(condition: Condition) -> str:
    return f"nobody can meet this: {say(condition)}"


def _arms(step: Branch, at: Location) -> Iterator[Said]:
    before: list[tuple[int, Condition]] = []
    for number, arm in enumerate(step.branch):
        place = (*at, "branch", number, "otherwise" if arm.when is None else "when")
        own = [] if arm.when is None else [arm.when]
        if own and impossible(own):
            yield place, f"this arm can never be taken: {_nobody(own[0])}"
        elif own and (taker := next((one for one, earlier in before if impossible(own, [earlier])), None)) is not None:
            yield place, f"this arm can never be taken: arm {taker + 1} takes all whom it means"
        elif before and impossible(own, [earlier for _, earlier in before]):
            yield place, "this arm can never be taken: the arms before it take all whom it means"
        if arm.when is not None:
            before.append((number, arm.when))


def _tests(tests: Mapping[str, PropertyTest], at: Location) -> Iterator[Said]:
    for name, test in tests.items():
        if no_value([test]):
            yield (*at, "with", name), f"no value passes this: {name} {say_test(test)}"


def _ties(program: Program, tests: Mapping[str, TiedTest], at: Location) -> Iterator[Said]:
    """What asks for the same value as the event that brought the contact in, when none does. Another journey's
    `start:` hands its own event on, so that `enter: api` leaves it open."""
    if any(way == "api" or isinstance(way, Entry) for way in program.journey.enter):
        return
    for name, test in tests.items():
        if test.tie:
            yield (
                (*at, "with", name),
                f"nothing can meet this: no event with {test.same_as} brings contacts in",
            )


def surely_known(program: Program, node: Node, field: str) -> bool:
    """Whether the arms of branches in which a step stands let in only contacts of whom this field is known."""
    places = {one.location: one.step for one in program.nodes.values()}
    held: list[Condition] = [FieldIs(field=FieldTest(name=field, exists=False))]
    denied: list[Condition] = []
    for at, word in enumerate(node.location):
        branch = places.get(node.location[:at])
        if word != "branch" or not isinstance(branch, Branch):
            continue
        number = node.location[at + 1]
        assert isinstance(number, int)
        held += [arm.when for arm in branch.branch[number : number + 1] if arm.when is not None]
        denied += [arm.when for arm in branch.branch[:number] if arm.when is not None]
    return impossible(held, denied)
