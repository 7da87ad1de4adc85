"""Makes the pictures of the README from the real thing.

`python -m tools.pictures` draws `welcome.svg` from the map. `python -m tools.pictures RECORDING` also makes `demo.svg`
and `story.svg` from what a demo printed, recorded by `script -qec "waymark demo --once" RECORDING` in a terminal of 110
columns.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from console.drawing import draw_svg
from journeys.loading import load

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
CELL, LINE, LEFT, TOP = 8.43, 20, 22, 58
"""Pixels: the width of a terminal's cell, the height of its line, and the place of the first one."""
COLOURS = {
    1: "#f28b82", 2: "#7fd49b", 3: "#e5c07b", 4: "#7aa7ff", 5: "#c79bff", 6: "#5ccfe6", 7: "#d5dbe6", 8: "#7d889b",
    9: "#ff8fa3", 10: "#62d58a", 11: "#f5b44d", 12: "#7aa7ff", 13: "#c79bff", 14: "#5ccfe6",
}  # fmt: skip
_WIDE = "\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6"
_RUNS = re.compile(f"[{_WIDE}]+|[^{_WIDE}]+")
_STYLE = (
    "text{font:14px ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono','Noto Sans Mono CJK SC',monospace;"
    "fill:#d5dbe6;white-space:pre}.b{font-weight:700}.d{opacity:.62}.i{font-style:italic}"
    ".bar{font-family:system-ui,sans-serif;fill:#8b96a9;text-anchor:middle;font-size:13px}"
)


def drawing() -> str:
    """The picture of the welcome journey."""
    return draw_svg(load(ROOT / "definitions" / "journeys" / "welcome.yaml").program)


def terminal(title: str, lines: list[str], columns: int) -> str:
    """Lines with the colours of a terminal, as a picture of one. Every piece of text keeps to its cells."""
    wide, high = int(LEFT * 2 + columns * CELL), TOP + len(lines) * LINE + 4
    rows = [row for number, line in enumerate(lines) for row in _row(line, TOP + number * LINE)]
    lights = zip((22, 42, 62), ("#ff5f57", "#febc2e", "#28c840"), strict=True)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"',
        'role="img" aria-labelledby="name">',
        f'<title id="name">{escape(title)}</title>',
        f"<style>{_STYLE}</style>",
        f'<rect width="{wide}" height="{high}" rx="10" fill="#141b29"/>',
        f'<rect x=".5" y=".5" width="{wide - 1}" height="{high - 1}" rx="9.5" fill="none" stroke="#36425a"/>',
        *(f'<circle cx="{x}" cy="20" r="6" fill="{colour}"/>' for x, colour in lights),
        f'<text class="bar" x="{wide / 2}" y="25">{escape(title)}</text>',
        *rows,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _row(line: str, y: int) -> Iterator[str]:
    column = 0
    for segment in Text.from_ansi(line).render(Console()):
        for run in _RUNS.findall(segment.text.rstrip("\n")):
            words = run.strip(" ")
            if words:
                x = LEFT + (column + len(run) - len(run.lstrip(" "))) * CELL
                length = cell_len(words) * CELL
                look = _look(segment.style or Style())
                yield f'<text x="{x:.1f}" y="{y}" textLength="{length:.1f}"{look}>{escape(words)}</text>'
            column += cell_len(run)


def _look(style: Style) -> str:
    marks = [mark for mark, on in (("b", style.bold), ("d", style.dim), ("i", style.italic)) if on]
    colour = style.color
    shown = ""
    if colour is not None and not colour.is_default:
        shown = COLOURS.get(colour.number or 0) or colour.get_truecolor().hex
    return (f' class="{" ".join(marks)}"' if marks else "") + (f' style="fill:{shown}"' if shown else "")


def of_demo(recording: str) -> dict[str, str]:
    """The end of a recorded demo in two pictures: what came of it, and one contact's story."""
    end = recording.replace("\r", "").rindex("days later")
    begin = recording.replace("\r", "").rindex("\n", 0, end) + 1
    lines = recording.replace("\r", "")[begin:].split("\n")
    plain = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in lines]
    portrait = next(number for number, line in enumerate(plain) if line.startswith("╭"))
    last = next(number for number, line in enumerate(plain) if re.match(r"\d+ days in ", line))
    while not plain[last - 1].strip():
        last -= 1
    return {
        "demo.svg": terminal("make demo", lines[:portrait], 110),
        "story.svg": terminal("one contact", lines[portrait:last], 96),
    }


def main() -> None:
    """Write the pictures."""
    (PICTURES / "welcome.svg").write_text(drawing(), encoding="utf-8")
    for recording in sys.argv[1:]:
        for name, picture in of_demo(Path(recording).read_text(encoding="utf-8", errors="replace")).items():
            (PICTURES / name).write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
