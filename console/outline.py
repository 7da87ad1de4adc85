"""Drawings of a journey map in letters: a tree for terminals, Mermaid for documents."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from rich.tree import Tree

from console.chart import END, START, arms, chart_of
from journeys.places import Location
from journeys.program import Program
from journeys.steps.ways import AnyStep
from records.runs.moves import Traffic

TERMINAL = {
    "enter": "dim", "email": "blue", "sms": "cyan", "wait": "bright_black", "wait_for": "magenta", "branch": "yellow",
    "split": "yellow", "loop": "bright_magenta", "score": "green", "set": "cyan", "tag": "bright_magenta",
    "untag": "bright_magenta", "consent": "green", "task": "red", "webhook": "blue", "start": "cyan",
    "finish": "bold", "end": "bold",
}  # fmt: skip
SHAPES = {
    "enter": ("([", "])"), "end": ("([", "])"), "finish": ("([", "])"), "branch": ("{{", "}}"), "split": ("{{", "}}"),
    "wait": ("(", ")"), "wait_for": ("(", ")"), "start": ("[[", "]]"), "webhook": ("[/", "/]"),
}  # fmt: skip


def draw_text(program: Program, traffic: Traffic | None = None) -> Tree:
    """The map as a tree for terminals: the arms of a fork hang below it, and what follows them stands at its level."""
    chart = chart_of(program, traffic)
    boxes = {box.id: box for box in chart.boxes}
    ids = {node.location: node.id for node in program.nodes.values()}
    root = Tree(Text.assemble((chart.title, "bold"), f" ({program.journey.journey})"), guide_style="dim")

    def line(id_: str) -> Text:
        box = boxes[id_]
        named = [] if id_ in (START, END) else [("  " + id_, "dim")]
        counted = [("  " + box.counted, "bold")] if box.counted else []
        text = "" if "\n" in box.text else box.text
        return Text.assemble((box.heading, TERMINAL[box.kind]), " ", text, *named, *counted)

    def add(parent: Tree, steps: Sequence[AnyStep], at: Location) -> None:
        for index in range(len(steps)):
            place = (*at, index)
            branch = parent.add(line(ids[place]))
            for arm in arms(program.nodes[ids[place]]):
                add(branch.add(Text(arm.label, "italic")), arm.steps, arm.place)

    enter, ways = root.add(line(START)), boxes[START].text.split("\n")
    for way in ways if len(ways) > 1 else []:
        enter.add(Text(way))
    for fact in chart.facts:
        root.add(Text(fact, "dim"))
    add(root, program.journey.steps, ("steps",))
    if END in boxes:
        root.add(line(END))
    return root


def draw_mermaid(program: Program, traffic: Traffic | None = None) -> str:
    """The map as a Mermaid flowchart, for documents whose reader draws it, as GitHub does."""
    chart = chart_of(program, traffic)
    names = {box.id: f"s{number}" for number, box in enumerate(chart.boxes)}
    lines = ["flowchart TD"]
    for box in chart.boxes:
        before, after = SHAPES.get(box.kind, ("[", "]"))
        words = "<br>".join(_mermaid(words) for words in (box.text, box.counted) if words)
        lines.append(f'  {names[box.id]}{before}"<b>{_mermaid(box.heading)}</b><br>{words}"{after}')
    for link in chart.links:
        label = f'|"{_mermaid(link.label)}"|' if link.label else ""
        lines.append(f"  {names[link.source]} {'-.->' if link.back else '-->'}{label} {names[link.target]}")
    return "\n".join(lines) + "\n"


def _mermaid(text: str) -> str:
    """Text that Mermaid takes as text: what means something to it or to HTML becomes an entity."""
    taken = "".join(f"#{ord(character)};" if character in '"<>&#;`\\' else character for character in text)
    return taken.replace("\n", "<br>")
