"""The colours and the small signs of drawings."""

from __future__ import annotations

COLOURS = {
    "enter": ("#475569", "#94a3b8"),
    "email": ("#1d4ed8", "#7aa7ff"),
    "sms": ("#0e7490", "#5ccfe6"),
    "wait": ("#5f6773", "#a3acba"),
    "wait_for": ("#7c3aed", "#b79cff"),
    "branch": ("#a54c08", "#f5b44d"),
    "split": ("#a54c08", "#f5b44d"),
    "loop": ("#a21caf", "#f08cff"),
    "score": ("#137638", "#62d58a"),
    "set": ("#0f766e", "#56d3c2"),
    "tag": ("#9d4477", "#f09ac5"),
    "untag": ("#9d4477", "#f09ac5"),
    "consent": ("#137638", "#62d58a"),
    "task": ("#be123c", "#ff8fa3"),
    "webhook": ("#4338ca", "#a5a8ff"),
    "start": ("#0369a1", "#63c4ff"),
    "finish": ("#334155", "#cbd5e1"),
    "end": ("#334155", "#cbd5e1"),
}
"""The colour of each kind on a light and on a dark background, with a contrast to its box of 4.5 or more (WCAG 2.2)."""

GLYPHS = {
    "enter": '<path d="M2 8h10M8 4l4 4-4 4"/>',
    "email": '<rect x="1" y="3" width="14" height="10" rx="1.5"/><path d="M1.5 4 8 9l6.5-5"/>',
    "sms": '<path d="M2.5 2.5h11a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1H7l-3.5 3v-3h-1a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1z"/>',
    "wait": '<circle cx="8" cy="8" r="6.3"/><path d="M8 4.2V8l2.6 1.8"/>',
    "wait_for": '<path d="M4 1.5h8M4 14.5h8M5 1.5v3L8 8 5 11.5v3M11 1.5v3L8 8l3 3.5v3"/>',
    "branch": '<path d="M8 1.5v4M8 5.5 3 10.5v4M8 5.5l5 5v4"/>',
    "split": '<path d="M1.5 3.5h3l6 9h4M1.5 12.5h3l6-9h4M12.5 1.5l2 2-2 2M12.5 10.5l2 2-2 2"/>',
    "loop": '<path d="M3 9.5a5.2 5.2 0 1 0 1.3-5M4.5 1v3.7h3.7"/>',
    "score": '<path d="m8 1.5 2 4.2 4.5.6-3.3 3.2.8 4.5-4-2.2-4 2.2.8-4.5L1.5 6.3 6 5.7z"/>',
    "set": '<path d="m2 14 .8-3.2 8-8 2.4 2.4-8 8z"/>',
    "tag": '<path d="M1.5 8.2V2.5a1 1 0 0 1 1-1h5.7l6.3 6.3-6.2 6.7z"/><circle cx="5" cy="5" r="1"/>',
    "untag": '<path d="M1.5 8.2V2.5a1 1 0 0 1 1-1h5.7l6.3 6.3-6.2 6.7z"/><path d="m2 14 12-12"/>',
    "task": ('<rect x="2.5" y="2.5" width="11" height="12" rx="1.5"/><path d="M6 1.2h4v2.6H6zM5.3 9l2 2 3.5-3.8"/>'),
    "consent": '<circle cx="8" cy="8" r="6.3"/><path d="m5 8.2 2.2 2.2L11.2 6"/>',
    "webhook": '<path d="M1.5 8h4M10.5 8h4M5.5 4.5v7h2.5a3.5 3.5 0 0 0 0-7zM10.5 6.2v3.6"/>',
    "start": (
        '<rect x="1.5" y="1.5" width="7" height="6" rx="1.5"/>'
        '<path d="M8.5 4.5h2.5a1.5 1.5 0 0 1 1.5 1.5v6M10 10l2.5 2.5L15 10"/>'
    ),
    "finish": '<path d="M3.5 15V1.5M3.5 2.5h9l-2.5 3 2.5 3h-9"/>',
    "end": '<path d="M3.5 15V1.5M3.5 2.5h9l-2.5 3 2.5 3h-9"/>',
}
"""A sign for each kind, in lines on a field of 16 by 16."""

_FACES = (
    "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue','Liberation Sans',Arial,'Noto Sans CJK SC',sans-serif"
)


def _coloured(number: int, paper: str, text: str, soft: str, line: str, tint: float) -> str:
    """The rules of one scheme. Plain rules, without variables: other programs than browsers read them too."""
    kinds = "".join(
        f".{kind} .body{{fill:{ink};stroke:{ink}}}.{kind} .glyph{{stroke:{ink}}}.{kind} .heading{{fill:{ink}}}"
        f".{kind} .badge rect{{stroke:{ink}}}.{kind} .here rect,.{kind} .passed text{{fill:{ink}}}"
        for kind, ink in ((kind, both[number]) for kind, both in COLOURS.items())
    )
    back = COLOURS["loop"][number]
    return (
        f".paper,.label rect,.passed rect,.here text{{fill:{paper}}}.title,.text{{fill:{text}}}"
        f".fact,.id,.label text{{fill:{soft}}}.way,.label rect{{stroke:{line}}}.tip{{fill:{line}}}"
        f".back{{stroke:{back}}}.back-tip{{fill:{back}}}"
        f".body{{fill-opacity:{tint}}}{kinds}"
    )


STYLE = (
    f"svg{{font-family:{_FACES}}}.title{{font-size:22px;font-weight:650}}.fact,.text{{font-size:12.5px}}"
    ".way{fill:none;stroke-width:1.5}.back{stroke-width:2.2;stroke-dasharray:7 4}.label rect{stroke-width:.75}"
    ".label text{font-size:11px;text-anchor:middle}.body{stroke-width:1.4}"
    ".glyph{fill:none;stroke-width:1.5;stroke-linejoin:round;stroke-linecap:round}"
    ".heading{font-size:11.5px;font-weight:650}.id{font-size:10.5px}"
    ".badge text{font-size:11px;font-weight:650;text-anchor:middle}"
    + _coloured(0, "#ffffff", "#111827", "#5b6472", "#9aa3b2", 0.09)
    + "@media (prefers-color-scheme:dark){"
    + _coloured(1, "#0f1521", "#eef2f8", "#a8b2c3", "#5d6a80", 0.15)
    + "}"
)
"""The style sheet of a drawing."""
