"""Drawings of a journey map: as an SVG for people, as a tree for terminals, as Mermaid for documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from rich.text import Text
from rich.tree import Tree

from console.arrangement import BOX, Arranger, Label, Placed, Wire
from console.chart import END, START, Box, arms, chart_of
from console.glyphs import GLYPHS, STYLE
from console.lettering import cut, width, wrap
from journeys.program import Location, Program
from journeys.steps import AnyStep

MARGIN = 36.0
"""Pixels around the whole."""
LINE, LABEL_LINE = 16.0, 14.0
TEXT_LINES, ENTRY_LINES, LABEL_LINES = 2, 5, 3
"""Most lines of a step's text, of the ways in, and of a condition; the whole of each is its tooltip."""
BEND = 9.0
TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path class="tip" d="M0.5 0.5 7.5 4 0.5 7.5z"/></marker></defs>'
)
"""The arrow's head; a document that holds several drawings may share it."""
TERMINAL = {
    "enter": "dim", "email": "blue", "sms": "cyan", "wait": "bright_black", "wait_for": "magenta", "branch": "yellow",
    "score": "green", "set": "cyan", "tag": "bright_magenta", "untag": "bright_magenta", "task": "red",
    "split": "yellow", "loop": "yellow", "consent": "green", "webhook": "blue", "start": "green",
    "finish": "bold", "end": "bold",
}  # fmt: skip
SHAPES = {"enter": ("([", "])"), "end": ("([", "])"), "finish": ("([", "])"), "branch": ("{{", "}}"),
          "wait": ("(", ")"), "wait_for": ("(", ")")}  # fmt: skip


def draw_svg(program: Program, counts: Mapping[str, int] | None = None) -> str:
    """The map as an SVG document, for light and dark backgrounds, readable without our fonts or any script.

    `counts` says a number a step, such as how many contacts are there now; it stands at the corner of the box.
    """
    return _Drawing(program, counts or {}).document()


class _Drawing:
    def __init__(self, program: Program, counts: Mapping[str, int]) -> None:
        self.chart = chart_of(program)
        self.counts = counts
        self.boxes = {box.id: box for box in self.chart.boxes}
        self.texts = {box.id: _lines(box) for box in self.chart.boxes} | {END: ["completed"]}
        self.map = Arranger(program, self._height, _label_lines, LABEL_LINE).whole()
        self.width = max(self.map.right - self.map.left, 420) + 2 * MARGIN
        self.title = wrap(self.chart.title, 22, self.width - 2 * MARGIN, 2)

    def document(self) -> str:
        head = MARGIN + 30 * len(self.title) + 20 * len(self.chart.facts) + 24
        height = head + self.map.height + MARGIN
        axis = MARGIN + (self.width - 2 * MARGIN - self.map.right + self.map.left) / 2 - self.map.left
        size = f'viewBox="0 0 {self.width:.0f} {height:.0f}" width="{self.width:.0f}" height="{height:.0f}"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="name">',
            f'<title id="name">{escape(self.chart.title)}</title>',
            f"<style>{STYLE}</style>",
            TIP,
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

    def _height(self, box: str) -> float:
        return 30 + LINE * len(self.texts[box]) + (0 if box in (START, END) else 15)

    def _head(self) -> Iterator[str]:
        y = MARGIN + 10
        for line in self.title:
            yield f'<text class="title" x="{MARGIN:g}" y="{y:g}">{escape(line)}</text>'
            y += 30
        for fact in self.chart.facts:
            shown = cut(fact, 12.5, self.width - 2 * MARGIN)
            yield (
                f'<text class="fact" x="{MARGIN:g}" y="{y - 4:g}"><title>{escape(fact)}</title>{escape(shown)}</text>'
            )
            y += 20

    def _box(self, placed: Placed) -> str:
        box, height = self.boxes[placed.id], placed.height
        pill = box.kind in ("enter", "end", "finish")
        inset = 18 if pill else 12
        room = BOX - inset - 34
        step = "" if box.id in (START, END) else box.id
        tooltip = "\n".join(line for line in (f"{box.heading}: {box.text}", box.note, step) if line)
        parts = [_text("heading", inset + 24, 20, cut(box.heading, 11.5, room))]
        parts += [_text("text", inset + 24, 37 + LINE * number, line) for number, line in enumerate(self.texts[box.id])]
        parts += [_text("id", inset + 24, height - 9, cut(step, 10.5, room))] if step else []
        parts += [_count(self.counts[box.id])] if box.id in self.counts else []
        return (
            f'<g class="box {box.kind}" data-step="{escape(box.id)}" '
            f'transform="translate({placed.x - BOX / 2:g} {placed.y:g})"><title>{escape(tooltip)}</title>'
            f'<rect class="body" width="{BOX:g}" height="{height:g}" rx="{min(height / 2, 32) if pill else 9:g}"/>'
            f'<g class="glyph" transform="translate({inset:g} 9)">{GLYPHS[box.kind]}</g>{"".join(parts)}</g>'
        )


def _lines(box: Box) -> list[str]:
    most = ENTRY_LINES if box.id == START else TEXT_LINES
    return [line for part in box.text.split("\n") for line in wrap(part, 12.5, BOX - 56, most)][:most]


def _label_lines(label: str) -> Sequence[str]:
    return wrap(label, 11, BOX - 14, LABEL_LINES)


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
    path.append(f"L{points[-1][0]:g} {points[-1][1] - wire.tip:g}")
    tip = ' marker-end="url(#tip)"' if wire.tip else ""
    return f'<path class="way" d="{" ".join(path)}"{tip}/>'


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


def _label(label: Label) -> str:
    wide = max(width(line, 11) for line in label.lines) + 14
    spans = "".join(
        f'<tspan x="{label.x:g}" y="{label.y + 13 + number * LABEL_LINE:g}">{escape(line)}</tspan>'
        for number, line in enumerate(label.lines)
    )
    return (
        f'<g class="label"><title>{escape(label.whole)}</title><rect x="{label.x - wide / 2:g}" y="{label.y:g}" '
        f'width="{wide:g}" height="{len(label.lines) * LABEL_LINE + 6:g}" rx="7"/><text>{spans}</text></g>'
    )


def _count(number: int) -> str:
    shown = f"{number:,}"
    wide = width(shown, 11) + 14
    return (
        f'<g class="count" transform="translate({BOX - wide + 8:g} -9)"><rect width="{wide:g}" height="19" rx="9.5"/>'
        f'<text x="{wide / 2:g}" y="13.5">{shown}</text></g>'
    )


def draw_text(program: Program) -> Tree:
    """The map as a tree for terminals: the arms of a fork hang below it, and what follows them stands at its level."""
    chart = chart_of(program)
    boxes = {box.id: box for box in chart.boxes}
    ids = {node.location: node.id for node in program.nodes.values()}
    root = Tree(Text.assemble((chart.title, "bold"), f" ({program.journey.journey})"), guide_style="dim")

    def line(id_: str) -> Text:
        box = boxes[id_]
        named = [] if id_ in (START, END) else [("  " + id_, "dim")]
        return Text.assemble((box.heading, TERMINAL[box.kind]), " ", box.text.replace("\n", " · "), *named)

    def add(parent: Tree, steps: Sequence[AnyStep], at: Location) -> None:
        for index in range(len(steps)):
            place = (*at, index)
            branch = parent.add(line(ids[place]))
            for arm in arms(program.nodes[ids[place]]):
                add(branch.add(Text(arm.label, "italic")), arm.steps, arm.place)

    root.add(line(START))
    for fact in chart.facts:
        root.add(Text(fact, "dim"))
    add(root, program.journey.steps, ("steps",))
    if END in boxes:
        root.add(line(END))
    return root


def draw_mermaid(program: Program) -> str:
    """The map as a Mermaid flowchart, for documents whose reader draws it, as GitHub does."""
    chart = chart_of(program)
    names = {box.id: f"s{number}" for number, box in enumerate(chart.boxes)}
    lines = ["flowchart TD"]
    for box in chart.boxes:
        before, after = SHAPES.get(box.kind, ("[", "]"))
        lines.append(f'  {names[box.id]}{before}"<b>{_mermaid(box.heading)}</b><br>{_mermaid(box.text)}"{after}')
    for link in chart.links:
        label = f'|"{_mermaid(link.label)}"|' if link.label else ""
        lines.append(f"  {names[link.source]} -->{label} {names[link.target]}")
    return "\n".join(lines) + "\n"


def _mermaid(text: str) -> str:
    """Text that Mermaid takes as text: what means something to it or to HTML becomes an entity."""
    taken = "".join(f"#{ord(character)};" if character in '"<>&#;`\\' else character for character in text)
    return taken.replace("\n", "<br>")
