"""Which step of one version is which of another.

A step whose id was written down is the one with that id. Derived ids change with what the step says, so the others are
found by their place among their neighbours; a step that is nowhere near is the same when it says something that no
other does. A wait says too little for that: it moves only together with a neighbour, because taking one wait for
another would lead people down a way that was never meant for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from journeys.describing import arms_in_words, describe_step
from journeys.places import Location
from journeys.program import Node, Program
from journeys.steps.waits import Wait
from journeys.steps.ways import AnyStep, Branch, arms_of, kind_of

Thing = TypeVar("Thing")
_CERTAIN, _SAME, _CHANGED = 1000.0, 10.0, 4.0


@dataclass
class Arm:
    """One way of a step: when it is taken, and its steps."""

    words: str
    items: list[Item]


@dataclass
class Item:
    """A step in its place: `number` counts the steps of the file from 1, `under` is the way that it stands on."""

    id: str
    number: int
    step: AnyStep
    words: str
    under: tuple[Item, Arm] | None
    arms: list[Arm] = field(default_factory=list)
    before: Item | None = None
    after: Item | None = None

    @property
    def given(self) -> bool:
        """Whether its id was written down."""
        return self.step.id is not None

    def below(self) -> Iterator[Item]:
        """All steps on its ways."""
        for arm in self.arms:
            for item in arm.items:
                yield item
                yield from item.below()


@dataclass
class Outline:
    """A map as nested lists of steps."""

    items: list[Item]
    by_id: dict[str, Item]

    @classmethod
    def of(cls, program: Program) -> Outline:
        places = {node.location: (number, node) for number, node in enumerate(program.nodes.values(), 1)}
        top = _items(program.journey.steps, ("steps",), None, places)
        found = {item.id: item for one in top for item in (one, *one.below())}
        return cls(top, dict(sorted(found.items(), key=lambda pair: pair[1].number)))


def _items(
    steps: list[AnyStep], at: Location, under: tuple[Item, Arm] | None, places: dict[Location, tuple[int, Node]]
) -> list[Item]:
    made: list[Item] = []
    for index, step in enumerate(steps):
        place = (*at, index)
        number, node = places[place]
        item = Item(node.id, number, step, describe_step(step), under, before=made[-1] if made else None)
        for words, (below, inner) in zip(arms_in_words(step), arms_of(step), strict=True):
            arm = Arm(words, [])
            arm.items = _items(inner, (*place, *below), (item, arm), places)
            item.arms.append(arm)
        if made:
            made[-1].after = item
        made.append(item)
    return made


@dataclass
class Matching:
    """The steps that two versions share, by the ids of the old one; `steady` ones also kept their place. `arms` has,
    for each shared step, its ways: old and new, or None where there is no such way."""

    old: Outline
    new: Outline
    pairs: dict[str, str] = field(default_factory=dict)
    steady: set[str] = field(default_factory=set)
    arms: dict[str, list[tuple[Arm | None, Arm | None]]] = field(default_factory=dict)

    @property
    def added(self) -> list[Item]:
        """The steps of the new version that the old one lacks."""
        known = set(self.pairs.values())
        return [item for item in self.new.by_id.values() if item.id not in known]

    @property
    def removed(self) -> list[Item]:
        """The steps of the old version that the new one lacks."""
        return [item for item in self.old.by_id.values() if item.id not in self.pairs]


def match(old: Program, new: Program) -> Matching:
    """Find the steps that two versions of a map share."""
    matching = Matching(Outline.of(old), Outline.of(new))
    _Matcher(matching).run()
    return matching


class _Matcher:
    def __init__(self, found: Matching) -> None:
        self.found = found
        self.taken: set[str] = set()
        old, new = found.old.by_id, found.new.by_id
        self.anchors = {name for name in old.keys() & new.keys() if _anchored(old[name], new[name])}

    def run(self) -> None:
        self.align(self.found.old.items, self.found.new.items)
        old, new = self.found.old.by_id, self.found.new.by_id
        for name in old:
            if name in self.anchors and name not in self.found.pairs:
                self.pair(old[name], new[name])
        while self.carried():
            pass

    def pair(self, one: Item, other: Item) -> None:
        self.found.pairs[one.id] = other.id
        self.taken.add(other.id)
        ways = _align(one.arms, other.arms, lambda a, b: _arm_score(a, b, isinstance(one.step, Branch)))
        self.found.arms[one.id] = ways
        for left, right in ways:
            if left is not None and right is not None:
                self.align(left.items, right.items)

    def align(self, old: list[Item], new: list[Item]) -> None:
        """Pair what two lists of steps share, in their order."""
        left = [item for item in old if item.id not in self.found.pairs]
        right = [item for item in new if item.id not in self.taken]
        for one, other in _align(left, right, self.score):
            if one is not None and other is not None:
                self.found.steady.add(one.id)
                self.pair(one, other)

    def score(self, one: Item, other: Item) -> float:
        if one.id in self.anchors or other.id in self.anchors:
            return _CERTAIN if one.id == other.id else 0
        if kind_of(one.step) != kind_of(other.step) or (one.given and other.given):
            return 0
        if one.words == other.words:
            return _SAME + (one.id == other.id) + (_alike([one], [other]) if one.arms else 0)
        return _CHANGED + (4 * _alike(list(one.below()), list(other.below())) if one.arms else 0)

    def carried(self) -> bool:
        """Pair steps that are found again elsewhere; whether there were any."""
        removed, added = self.found.removed, self.found.added
        said = Counter(item.words for item in removed)
        says = Counter(item.words for item in added)
        for one in removed:
            for other in added:
                alone = one.words == other.words and said[one.words] == says[one.words] == 1
                renamed = one.given and other.given
                if alone and not renamed and (not isinstance(one.step, Wait) or self.beside(one, other)):
                    self.pair(one, other)
                    return True
        return False

    def beside(self, one: Item, other: Item) -> bool:
        """Whether a neighbour went along."""
        return any(
            left is not None and right is not None and self.found.pairs.get(left.id) == right.id
            for left, right in ((one.before, other.before), (one.after, other.after))
        )


def _anchored(one: Item, other: Item) -> bool:
    if one.given and other.given:
        return True
    return (one.given or other.given) and kind_of(one.step) == kind_of(other.step)


def _arm_score(one: Arm, other: Arm, branch: bool) -> float:
    if one.words == other.words:
        return _SAME
    return 1 + 5 * _alike(one.items, other.items) if branch else 0


def _alike(one: Sequence[Item], other: Sequence[Item]) -> float:
    """How much two lists of steps say the same, from 0 to 1."""
    left, right = ({below.words for item in items for below in (item, *item.below())} for items in (one, other))
    return len(left & right) / len(left | right) if left | right else 0


def _align(
    old: Sequence[Thing], new: Sequence[Thing], score: Callable[[Thing, Thing], float]
) -> list[tuple[Thing | None, Thing | None]]:
    """The best pairing that keeps the order of both; what has no partner is paired with None. A pair that scores 0 is
    none."""
    scores = [[score(one, other) for other in new] for one in old]
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in reversed(range(len(old))):
        for j in reversed(range(len(new))):
            together = scores[i][j] + best[i + 1][j + 1] if scores[i][j] else 0
            best[i][j] = max(together, best[i + 1][j], best[i][j + 1])
    found: list[tuple[Thing | None, Thing | None]] = []
    i = j = 0
    while i < len(old) and j < len(new):
        if scores[i][j] and best[i][j] == scores[i][j] + best[i + 1][j + 1]:
            found.append((old[i], new[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            found.append((old[i], None))
            i += 1
        else:
            found.append((None, new[j]))
            j += 1
    return [*found, *((one, None) for one in old[i:]), *((None, other) for other in new[j:])]
