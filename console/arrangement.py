"""Where the boxes of a map stand: one below the other, the arms of a fork side by side in the order of the file.

A map is nested, so that its drawing can follow the nesting: an arm keeps to a strip of its own, and neither boxes nor
lines can lie on each other. Libraries for layered graphs know nothing of the order of arms (decision 16). Only the ways
back of loops leave the nesting; `console.returning` finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from console.chart import END, START, arms
from console.returning import Point, Rectangle, Returning
from journeys.places import Location
from journeys.program import Program
from journeys.steps.ways import AnyStep, Finish, Loop

BOX = 216.0
"""The width of the box of a step; all measures are in pixels."""
APART = 30.0
"""Between a box and the next one below it."""
BESIDE = 30.0
"""Between two arms."""
PARTING = 15.0
"""From a fork down to where its arms part, and from there to their labels."""
MEETING = 18.0
"""From the longest arm down to where the arms meet, APART above the next box."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A box: the middle of its upper edge, and its size."""

    id: str
    x: float
    y: float
    width: float
    height: float

    @property
    def edges(self) -> Rectangle:
        return self.x - self.width / 2, self.y, self.x + self.width / 2, self.y + self.height


@dataclass(frozen=True, slots=True)
class Label:
    """The condition of an arm, in lines; `x` is its middle, `y` its upper edge."""

    lines: tuple[str, ...]
    whole: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Wire:
    """A line along horizontal and vertical pieces, with a tip at its end if it leads into a box; `back` if that
    stands further up."""

    points: tuple[Point, ...]
    tip: bool
    back: bool = False


@dataclass(slots=True)
class Block:
    """A piece of the drawing around an axis at x = 0, from y = 0 to `height`. From each of its `exits` the way goes
    on; below an exit there is nothing else of the block."""

    left: float = 0
    right: float = 0
    height: float = 0
    exits: list[Point] = field(default_factory=list)
    boxes: list[Placed] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)

    def take(self, other: Block, x: float, y: float) -> None:
        """Add everything of another block but its exits, moved."""
        self.left, self.right = min(self.left, x + other.left), max(self.right, x + other.right)
        self.height = max(self.height, y + other.height)
        self.boxes += [replace(box, x=box.x + x, y=box.y + y) for box in other.boxes]
        self.labels += [replace(label, x=label.x + x, y=label.y + y) for label in other.labels]
        self.wires += [replace(wire, points=tuple((px + x, py + y) for px, py in wire.points)) for wire in other.wires]


@dataclass(frozen=True, slots=True)
class Arranger:
    """Arranges a map. `size` says how wide and how high the box of a step is, `broken` how a label breaks into lines,
    each `line` high."""

    program: Program
    size: Callable[[str], tuple[float, float]]
    broken: Callable[[str], Sequence[str]]
    line: float

    def whole(self) -> Block:
        """The whole map, from where contacts enter to its end."""
        ids = {node.location: node.id for node in self.program.nodes.values()}
        steps = self._steps(self.program.journey.steps, ("steps",), ids)
        whole = _stacked([self._single(START), *steps], last=self._single(END, ends=True))
        self._return(whole)
        return whole

    def _return(self, whole: Block) -> None:
        """Add the ways back, the short ones first: they stay close."""
        boxes = {box.id: box.edges for box in whole.boxes}
        loops = [(node.id, node.arms[0] or END) for node in self.program.nodes.values() if isinstance(node.step, Loop)]
        labels = [
            (label.x - BOX / 2, label.y, label.x + BOX / 2, label.y + len(label.lines) * self.line + 6)
            for label in whole.labels
        ]
        ways = Returning([*boxes.values(), *labels], [wire.points for wire in whole.wires])
        for source, target in sorted(loops, key=lambda loop: boxes[loop[0]][1] - boxes[loop[1]][1]):
            points = ways.way(boxes[source], boxes[target])
            whole.wires.append(Wire(points, tip=True, back=True))
            whole.left = min(whole.left, *(x - 6 for x, _ in points))
            whole.right = max(whole.right, *(x + 6 for x, _ in points))

    def _steps(self, steps: Sequence[AnyStep], at: Location, ids: dict[Location, str]) -> list[Block]:
        return [self._step(step, (*at, index), ids) for index, step in enumerate(steps)]

    def _step(self, step: AnyStep, at: Location, ids: dict[Location, str]) -> Block:
        node = self.program.nodes[ids[at]]
        parts = [(arm.label, _stacked(self._steps(arm.steps, arm.place, ids))) for arm in arms(node)]
        return self._fork(node.id, parts) if parts else self._single(node.id, ends=isinstance(step, Finish))

    def _single(self, id_: str, *, ends: bool = False) -> Block:
        width, height = self.size(id_)
        exits = [] if ends else [(0.0, height)]
        return Block(-width / 2, width / 2, height, exits, [Placed(id_, 0, 0, width, height)])

    def _fork(self, id_: str, arms: Sequence[tuple[str, Block]]) -> Block:
        block = self._single(id_)
        [(_, foot)], block.exits = block.exits, []
        lines = [tuple(self.broken(label)) for label, _ in arms]
        begin = foot + 2 * PARTING + max(map(len, lines)) * self.line + 28
        for (label, arm), x, broken in zip(arms, _side_by_side([arm for _, arm in arms]), lines, strict=True):
            block.take(arm, x, begin)
            block.labels.append(Label(broken, label, x, foot + 2 * PARTING - 4))
            way = ((0.0, foot), (0.0, foot + PARTING), (x, foot + PARTING), (x, begin))
            block.wires.append(Wire(way, tip=bool(arm.boxes)))
            block.exits += [(x + along, begin + y) for along, y in (arm.exits if arm.boxes else [(0.0, 0.0)])]
        return block


def _stacked(blocks: Sequence[Block], last: Block | None = None) -> Block:
    """Blocks one below the other on one axis, joined by lines; `last` only if a way leads to it."""
    whole = Block(-BOX / 2, BOX / 2)  # an arm without steps has a label, and takes room too
    for block in [*blocks, *([last] if last and blocks[-1].exits else [])]:
        y = whole.height + (0 if whole.exits or not whole.boxes else APART)
        if whole.exits:
            straight = all(x == 0 for x, _ in whole.exits)
            meet = y + (0 if straight else MEETING)
            y = meet + APART
            whole.wires += [Wire((exit_, (exit_[0], meet), (0, meet), (0, y)), tip=True) for exit_ in whole.exits]
        whole.take(block, 0, y)
        whole.exits = [(x, y + below) for x, below in block.exits]
    return whole


def _side_by_side(arms: Sequence[Block]) -> list[float]:
    """The axes of arms that stand side by side, the middle between the first and the last at 0."""
    axes: list[float] = []
    edge = 0.0
    for arm in arms:
        axes.append(edge - arm.left)
        edge = axes[-1] + arm.right + BESIDE
    middle = (axes[0] + axes[-1]) / 2
    return [axis - middle for axis in axes]
