"""What differs between two versions of a map, in words; and where its runs go from one to the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from journeys.describing import Facets, describe_header, facets_of
from journeys.errors import WaymarkError
from journeys.matching import Item, Matching, match
from journeys.nearest import unknown_word
from journeys.program import Program
from journeys.steps.sends import Delivered, Send
from journeys.steps.waits import Wait
from journeys.steps.ways import Branch, Finish, Split, WaitFor, kind_of

Fate = Literal["stays", "recomputed", "at_once"]
"""What a move comes to for those who stand at a step: they stay as they are (a wait until the same time, a message
until it may go); the wait is reckoned anew from when they came to where they stand; or the step is taken at once."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `step` is the step's id in the new version, `was` in the old one, `number` its place in the new
    file (in the old one when it was removed); all three are None for what holds at every step."""

    kind: Literal["header", "added", "removed", "changed", "moved"]
    words: str
    step: str | None = None
    was: str | None = None
    number: int | None = None

    def __str__(self) -> str:
        """The difference on one line, as in "step 3 (wait-2d): wait 2 days → 3 days"."""
        if self.number is None:
            return self.words
        return f"step {self.number} ({self.was or self.step}): {self.words}"


def compare(old: Program, new: Program) -> list[Change]:
    """The differences between two versions, in the order of the file; none when they mean the same."""
    found = match(old, new)
    changes = [
        *(Change("added", f"added: {one.words}, {_place(one)}", one.id, None, one.number) for one in found.added),
        *(Change("removed", f"removed: {one.words}", None, one.id, one.number) for one in found.removed),
    ]
    for name, other in found.pairs.items():
        one, now = found.old.by_id[name], found.new.by_id[other]
        if name not in found.steady:
            changes.append(Change("moved", f"was step {one.number}, now {_place(now)}", other, name, now.number))
        changes += [Change("changed", words, other, name, now.number) for words in _said(one, now, found)]
    order = ("removed", "added", "moved", "changed")
    changes.sort(key=lambda change: (change.number or 0, order.index(change.kind)))
    return [*(Change("header", words) for words in _header(old, new)), *changes]


def moved_to(old: Program, new: Program, step: str, mapping: Mapping[str, str]) -> str | None:
    """The step of the new version for a run that stands at `step` of the old one: as mapped, else the same step; None
    when the step is gone and nobody said where its runs go."""
    return mapping[step] if step in mapping else match(old, new).pairs.get(step)


def check_mapping(old: Program, new: Program, mapping: Mapping[str, str]) -> None:
    """Check that a mapping leads from steps of the old version to steps of the new one.

    Raises:
        WaymarkError: it does not, with the nearest name.
    """
    for step, target in mapping.items():
        for name, program, which in ((step, old, "old"), (target, new, "new")):
            if name not in program.nodes:
                raise WaymarkError(
                    f"--map {step}={target}: " + unknown_word(name, program.nodes, f"is no step of the {which} version")
                )


def fate(old: Program, new: Program, step: str, target: str) -> Fate:
    """What becomes of a run that stands at `step` of the old version and is moved to `target` of the new one."""
    before, after = old.nodes[step].step, new.nodes[target].step
    if isinstance(before, Delivered) and isinstance(after, Delivered):
        return "stays"
    if kind_of(before) == kind_of(after) and facets_of(before) == facets_of(after):
        return "stays"
    return "recomputed" if isinstance(after, Wait | WaitFor) else "at_once"


def messages_ahead(program: Program, step: str | None) -> set[str]:
    """The messages that a run may still be sent from a step on, that of the step itself included."""
    seen: set[str] = set()
    messages: set[str] = set()
    left = [step]
    while left:
        at = left.pop()
        if at is None or at in seen:
            continue
        seen.add(at)
        node = program.nodes[at]
        if isinstance(node.step, Send):
            messages.add(node.step.send)
        if not isinstance(node.step, Finish):
            left += node.arms if isinstance(node.step, WaitFor | Split) else (*node.arms, node.next)
    return messages


def _place(item: Item) -> str:
    if item.before is not None:
        return f"after {item.before.id}"
    return "at the start" if item.under is None else f"first in {item.under[0].id}, {item.under[1].words}"


def _said(one: Item, now: Item, found: Matching) -> list[str]:
    """What differs within one step; how its messages and conditions read comes before its name and its note."""
    said: list[str] = []
    if kind_of(one.step) != kind_of(now.step):
        said = [arrow(one.words, now.words)]
    else:
        said = compare_facets(facets_of(one.step), facets_of(now.step))
        if isinstance(one.step, Branch):
            said += _ways(one, found)
    if not said and one.id != now.id:
        said.append(f"is called {now.id} now")
    if one.step.note != now.step.note:
        said.append("its note is reworded")
    return said


def _ways(one: Item, found: Matching) -> list[str]:
    said = []
    for left, right in found.arms[one.id]:
        if right is None:
            said += [f"no longer: {left.words}"] if left is not None else []
        elif left is None:
            said.append(f"a new way: {right.words}")
        elif left.words != right.words:
            said.append(arrow(left.words, right.words))
    return said


def compare_facets(old: Facets, new: Facets) -> list[str]:
    """What differs between two things, part by part."""
    said = []
    for name in {**old, **new}:
        if name not in new:
            said.append(f"no longer {old[name]}")
        elif name not in old:
            said.append(f"now {new[name]}")
        elif old[name] != new[name]:
            said.append(arrow(old[name], new[name]))
    return said


def arrow(old: str, new: str) -> str:
    """From the old words to the new ones; those that both begin with are said once: "wait 2 days → 3 days"."""
    before, after = old.split(" "), new.split(" ")
    same = 0
    while same < min(len(before), len(after)) - 1 and before[same] == after[same]:
        same += 1
    return f"{old} → {' '.join(after[same:])}"


def _header(old: Program, new: Program) -> list[str]:
    before, after = describe_header(old.journey), describe_header(new.journey)
    said: list[str] = []
    for name in after:
        gone = [line for line in before[name] if line not in after[name]]
        come = [line for line in after[name] if line not in before[name]]
        if len(gone) == len(come) == 1:
            said.append(arrow(gone[0], come[0]))
            continue
        said += [f"no longer: {line}" for line in gone] + [f"now: {line}" for line in come]
    if old.journey.description != new.journey.description:
        said.append("the description is reworded")
    return said
