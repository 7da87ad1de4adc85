"""Lines that go back up a drawing, around everything that stands there: the ways of loops.

They keep to lanes beside the boxes; the cheapest way through the lanes is taken (A*, Hart, Nilsson and Raphael 1968).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import cache
from heapq import heappop, heappush
from itertools import pairwise

Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""
State = tuple[int, int, bool]
"""A crossing of lanes by their numbers, and whether it was come to along a vertical one."""

LANES = (11.0, 19.0)
"""How far from a box its lanes are: two in each gap, the same seen from either side of it."""
CLEAR = 6.0
"""The least distance between a lane and a box."""
BEND, CROSSING, ALONG = 40.0, 120.0, 25.0
"""What a bend and the crossing of another line cost, in pixels of detour; and each pixel along another line."""

ARRIVALS = (0.0, 9.0, -9.0, 18.0, -18.0)
"""Where lines come to the side of a box, from its middle: each to a place of its own, as long as there are any."""


class Returning:
    """Finds ways back among `boxes` (nothing goes through them) and `wires` (that are better not crossed)."""

    def __init__(self, boxes: Sequence[Rectangle], wires: Iterable[Sequence[Point]]) -> None:
        self._boxes = boxes
        self._wires = list(wires)
        self._across = sorted({x for left, _, right, _ in boxes for lane in LANES for x in (left - lane, right + lane)})
        self._down = {y for _, top, _, bottom in boxes for lane in LANES for y in (top - lane, bottom + lane)}

    def way(self, source: Rectangle, target: Rectangle) -> tuple[Point, ...]:
        """A line from a side of one box to a side of another; the next line keeps away from it."""
        points = _Search(self._boxes, self._wires, self._across, self._down, source, target).points()
        self._wires.append(points)
        return points


class _Search:
    def __init__(
        self, boxes: Sequence[Rectangle], wires: Sequence[Sequence[Point]], across: list[float], down: set[float],
        source: Rectangle, target: Rectangle,
    ) -> None:  # fmt: skip
        pieces = [piece for wire in wires for piece in pairwise(wire)]
        self.source, self.target = source, target
        self.leaves = (source[1] + source[3]) / 2
        middle, taken = (target[1] + target[3]) / 2, {wire[-1] for wire in wires}
        free = [y for y in (middle + shift for shift in ARRIVALS) if not {(target[0], y), (target[2], y)} & taken]
        self.comes = free[0] if free else middle
        self.xs, self.ys = across, sorted(down | {self.leaves, self.comes})
        turned = [(top, left, bottom, right) for left, top, right, bottom in boxes]
        self.vertical = _Lanes(boxes, pieces)
        self.horizontal = _Lanes(turned, [((b, a), (d, c)) for (a, b), (c, d) in pieces])

    def points(self) -> tuple[Point, ...]:
        ends = {(self.xs.index(x), self.ys.index(self.comes)): side for x, side in _sides(self.target)}
        heap: list[tuple[float, float, State]] = []
        best: dict[State, tuple[float, State | None]] = {}
        for x, side in _sides(self.source):
            state = (self.xs.index(x), self.ys.index(self.leaves), False)
            best[state] = (abs(x - side), None)
            heappush(heap, (self._least(state), abs(x - side), state))
        while heap:
            _, cost, state = heappop(heap)
            if cost > best[state][0]:
                continue
            if state[:2] in ends and not state[2]:
                return self._line(state, best, ends[state[:2]])
            for after, price in self._steps(state):
                if after not in best or cost + price < best[after][0]:
                    best[after] = (cost + price, state)
                    heappush(heap, (cost + price + self._least(after), cost + price, after))
        raise AssertionError("the lanes around the boxes hang together")  # pragma: no cover

    def _least(self, state: State) -> float:
        """No way on from here is shorter."""
        x, y = self.xs[state[0]], self.ys[state[1]]
        return min(abs(x - side) for side in self.target[::2]) + abs(y - self.comes)

    def _steps(self, state: State) -> Iterable[tuple[State, float]]:
        i, j, upright = state
        x, y = self.xs[i], self.ys[j]
        for after in (i - 1, i + 1):
            if 0 <= after < len(self.xs) and (price := self.horizontal.price(y, x, self.xs[after])) is not None:
                yield (after, j, False), price + BEND * upright
        for after in (j - 1, j + 1):
            if 0 <= after < len(self.ys) and (price := self.vertical.price(x, y, self.ys[after])) is not None:
                yield (i, after, True), price + BEND * (not upright)

    def _line(self, last: State, best: dict[State, tuple[float, State | None]], side: float) -> tuple[Point, ...]:
        points: list[Point] = [(side, self.comes)]
        state: State | None = last
        while state is not None:
            points.append((self.xs[state[0]], self.ys[state[1]]))
            state = best[state][1]
        first = points[-1][0]
        points.append((min(self.source[::2], key=lambda edge: abs(edge - first)), self.leaves))
        return _corners(points[::-1])


class _Lanes:
    """What stands in the way of a line along a lane (an upright one; for level ones, everything is turned)."""

    def __init__(self, boxes: Sequence[Rectangle], pieces: Sequence[tuple[Point, Point]]) -> None:
        self._boxes = boxes
        self._level = [(y, min(x, to_x), max(x, to_x)) for (x, y), (to_x, to_y) in pieces if y == to_y and x != to_x]
        self._upright = sorted((x, min(y, to_y), max(y, to_y)) for (x, y), (to_x, to_y) in pieces if x == to_x)
        self._at = cache(self._survey)

    def price(self, lane: float, begin: float, end: float) -> float | None:
        """The cost of the piece of a lane between two places, None where a box stands."""
        low, high = (begin, end) if begin < end else (end, begin)
        blocked, along, crossed = self._at(lane)
        if blocked.covers(low, high):
            return None
        crossings = bisect_right(crossed, high) - bisect_left(crossed, low)
        return high - low + CROSSING * crossings + ALONG * along.covers(low, high)

    def _survey(self, lane: float) -> tuple[_Spans, _Spans, list[float]]:
        """The boxes and the lines along a lane, and where others cross it."""
        boxes = [
            (top - CLEAR, bottom + CLEAR)
            for left, top, right, bottom in self._boxes
            if left - CLEAR < lane < right + CLEAR
        ]
        first, last = (bisect_left(self._upright, (lane + side,)) for side in (-CLEAR, CLEAR))
        along = [(top, bottom) for _, top, bottom in self._upright[first:last]]
        return _Spans(boxes), _Spans(along), sorted(y for y, left, right in self._level if left < lane < right)


class _Spans:
    """Pieces of a line, those that touch joined."""

    def __init__(self, spans: Iterable[tuple[float, float]]) -> None:
        self._begins, self._ends = list[float](), list[float]()
        for begin, end in sorted(spans):
            if self._ends and begin <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._begins.append(begin)
                self._ends.append(end)

    def covers(self, low: float, high: float) -> float:
        """How much of the line between two places they cover."""
        covered = 0.0
        for at in range(bisect_right(self._ends, low), bisect_left(self._begins, high)):
            covered += min(high, self._ends[at]) - max(low, self._begins[at])
        return covered


def _sides(box: Rectangle) -> list[tuple[float, float]]:
    """The lanes beside a box, each with the side that it is next to."""
    left, _, right, _ = box
    return [(left - lane, left) for lane in LANES] + [(right + lane, right) for lane in LANES]


def _corners(points: Sequence[Point]) -> tuple[Point, ...]:
    """A line without the points at which it goes straight on."""
    kept = [points[0]]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        if here != kept[-1] and not (before[0] == here[0] == after[0] or before[1] == here[1] == after[1]):
            kept.append(here)
    return (*kept, points[-1])
