"""The drawing of a journey map for people: an SVG document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from console.arrangement import BOX, Arranger, Label, Placed, Wire
from console.chart import END, START, Box, chart_of
from console.glyphs import GLYPHS, STYLE
from console.lettering import cut, width, wrap
from journeys.program import Program
from records.runs.moves import Traffic

MARGIN = 36.0
"""Pixels around the whole."""
LINE, LABEL_LINE = 16.0, 14.0
TEXT_LINES, ENTRY_LINES, LABEL_LINES, FACT_LINES = 3, 12, 3, 3
"""Most lines of a step's text, of the ways in, of a condition and of a fact; the whole of each is its tooltip."""
ENTRY = 340.0
"""The width of the first box when the ways in need more room."""
BEND = 9.0
PILLS = ("enter", "end", "finish")
_HEAD = (
    '<marker id="{0}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="{1}" markerHeight="{1}" orient="auto" '
    'markerUnits="userSpaceOnUse"><path class="{0}" d="M0.5 0.5 7.5 4 0.5 7.5z"/></marker>'
)
TIPS = f"<defs>{_HEAD.format('tip', 10)}{_HEAD.format('back-tip', 13)}</defs>"
"""The heads of arrows; a document that holds several drawings may share them."""


def draw_svg(program: Program, traffic: Traffic | None = None) -> str:
    """The map as an SVG document, for light and dark backgrounds, readable without our fonts or any script.

    With `traffic`, each box says how many contacts stand there and how many have gone through.
    """
    return _Drawing(program, traffic).document()


class _Drawing:
    def __init__(self, program: Program, traffic: Traffic | None) -> None:
        self.chart = chart_of(program, traffic)
        self.boxes = {box.id: box for box in self.chart.boxes}
        self.texts = {box.id: _lines(box) for box in self.chart.boxes}
        self.map = Arranger(program, self._size, _label_lines, LABEL_LINE).whole()
        self.width = max(self.map.right - self.map.left, 420) + 2 * MARGIN
        self.title = wrap(self.chart.title, 22, self.width - 2 * MARGIN, 2)
        self.facts = [(fact, wrap(fact, 12.5, self.width - 2 * MARGIN, FACT_LINES)) for fact in self.chart.facts]

    def document(self) -> str:
        head = MARGIN + 30 * len(self.title) + sum(18 * len(lines) + 4 for _, lines in self.facts) + 24
        height = head + self.map.height + MARGIN
        axis = MARGIN + (self.width - 2 * MARGIN - self.map.right + self.map.left) / 2 - self.map.left
        size = f'viewBox="0 0 {self.width:.0f} {height:.0f}" width="{self.width:.0f}" height="{height:.0f}"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="name">',
            f'<title id="name">{escape(self.chart.title)}</title>',
            f"<style>{STYLE}</style>",
            TIPS,
            '<rect class="paper" width="100%" height="100%" rx="12"/>',
            *self._head(),
            f'<g transform="translate({axis:g} {head:g})">',
            *map(_wire, self.map.wires),
            *map(_label, self.map.labels),
            *map(self._box, self.map.boxes),
            "</g>",
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _size(self, id_: str) -> tuple[float, float]:
        box = self.boxes.get(id_)
        if box is None:  # nothing leads to the end
            return BOX, 0
        return _width(box), 30 + LINE * len(self.texts[id_]) + (0 if id_ in (START, END) else 15)

    def _head(self) -> Iterator[str]:
        y = MARGIN + 10
        for line in self.title:
            yield f'<text class="title" x="{MARGIN:g}" y="{y:g}">{escape(line)}</text>'
            y += 30
        for fact, lines in self.facts:
            spans = "".join(
                f'<tspan x="{MARGIN:g}" y="{y - 4 + 18 * number:g}">{escape(line)}</tspan>'
                for number, line in enumerate(lines)
            )
            yield f'<text class="fact"><title>{escape(fact)}</title>{spans}</text>'
            y += 18 * len(lines) + 4

    def _box(self, placed: Placed) -> str:
        box, wide, height = self.boxes[placed.id], placed.width, placed.height
        pill = box.kind in PILLS
        inset = _inset(box)
        room = wide - inset - 38
        step = "" if box.id in (START, END) else box.id
        tooltip = "\n".join(line for line in (box.whole, box.note, step, box.counted) if line)
        parts = [_text("heading", inset + 24, 20, cut(box.heading, 11.5, room))]
        parts += [_text("text", inset + 24, 37 + LINE * number, line) for number, line in enumerate(self.texts[box.id])]
        if box.here:
            parts.append(_badge("here", f"{box.here:,} here", wide, -10))
        if box.passed is not None:
            through = f"{box.passed:,} through"
            parts.append(_badge("passed", through, wide, height - 10))
            room -= _badge_width(through) - 20
        parts += [_text("id", inset + 24, height - 9, cut(step, 10.5, room))] if step else []
        return (
            f'<g class="box {box.kind}" data-step="{escape(box.id)}" '
            f'transform="translate({placed.x - wide / 2:g} {placed.y:g})"><title>{escape(tooltip)}</title>'
            f'<rect class="body" width="{wide:g}" height="{height:g}" rx="{min(height / 2, 32) if pill else 9:g}"/>'
            f'<g class="glyph" transform="translate({inset:g} 9)">{GLYPHS[box.kind]}</g>{"".join(parts)}</g>'
        )


def _width(box: Box) -> float:
    return ENTRY if box.id == START and width(box.text, 12.5) > 2 * BOX else BOX


def _inset(box: Box) -> float:
    return 18 if box.kind in PILLS else 12


def _lines(box: Box) -> list[str]:
    most = ENTRY_LINES if box.id == START else TEXT_LINES
    room = _width(box) - _inset(box) - (50 if box.id == START else 38)
    return [line for part in box.text.split("\n") for line in wrap(part, 12.5, room, most)][:most]


def _label_lines(label: str) -> Sequence[str]:
    return wrap(label, 11, BOX - 20, LABEL_LINES)


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>'


def _wire(wire: Wire) -> str:
    """The line as a path with rounded corners."""
    points = [point for at, point in enumerate(wire.points) if at == 0 or point != wire.points[at - 1]]
    (x, y), *rest = points
    path = [f"M{x:g} {y:g}"]
    for at, (x, y) in enumerate(rest[:-1]):
        (before_x, before_y), (after_x, after_y) = points[at], rest[at + 1]
        bend = min(BEND, (abs(x - before_x) + abs(y - before_y)) / 2, (abs(after_x - x) + abs(after_y - y)) / 2)
        path.append(f"L{x - bend * _sign(x - before_x):g} {y - bend * _sign(y - before_y):g}")
        path.append(f"Q{x:g} {y:g} {x + bend * _sign(after_x - x):g} {y + bend * _sign(after_y - y):g}")
    (x, y), (before_x, before_y) = points[-1], points[-2]
    path.append(f"L{x - wire.tip * _sign(x - before_x):g} {y - wire.tip * _sign(y - before_y):g}")
    kind, head = ("way back", "back-tip") if wire.back else ("way", "tip")
    tip = f' marker-end="url(#{head})"' if wire.tip else ""
    return f'<path class="{kind}" d="{" ".join(path)}"{tip}/>'


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


def _label(label: Label) -> str:
    wide = max(width(line, 11) for line in label.lines) + 20
    spans = "".join(
        f'<tspan x="{label.x:g}" y="{label.y + 13 + number * LABEL_LINE:g}">{escape(line)}</tspan>'
        for number, line in enumerate(label.lines)
    )
    return (
        f'<g class="label"><title>{escape(label.whole)}</title><rect x="{label.x - wide / 2:g}" y="{label.y:g}" '
        f'width="{wide:g}" height="{len(label.lines) * LABEL_LINE + 6:g}" rx="7"/><text>{spans}</text></g>'
    )


def _badge_width(words: str) -> float:
    return 1.12 * width(words, 11) + 14  # the letters are bold


def _badge(kind: str, words: str, right: float, y: float) -> str:
    wide = _badge_width(words)
    return (
        f'<g class="badge {kind}" transform="translate({right - wide + 8:g} {y:g})">'
        f'<rect width="{wide:g}" height="19" rx="9.5"/><text x="{wide / 2:g}" y="13.5">{words}</text></g>'
    )
