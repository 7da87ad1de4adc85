"""A journey map as a tree in the terminal."""

from collections.abc import Sequence

from rich.markup import escape
from rich.tree import Tree

from journeys.definition import Branch, WaitFor, kind_of
from journeys.program import Program

STYLES = {
    "send": "blue", "wait": "yellow", "wait_for": "yellow", "branch": "cyan", "score": "green", "task": "bold red",
    "finish": "bold",
}  # fmt: skip


def tree(program: Program) -> Tree:
    """The map with its ways in and out, and below it the steps by what happens."""
    journey = program.journey
    ways = ", ".join("api" if way == "api" else f"on {way.on}" for way in journey.enter)
    root = Tree(f"[bold]{escape(journey.title)}[/] ({journey.journey})")
    root.add(f"[dim]enter[/] {escape(ways)}")
    for way in journey.exit:
        root.add(f"[dim]exit[/] on {way.on} as {way.outcome}")
    names = {id(node.step): node.id for node in program.nodes.values()}
    _add(root, journey.steps, names)
    return root


def _add(parent: Tree, steps: Sequence[object], names: dict[int, str]) -> None:
    for step in steps:
        kind = kind_of(step) or "step"
        name = names.get(id(step), "")
        place = parent.add(f"[{STYLES.get(kind, 'white')}]{kind}[/] {escape(_about(step))}  [dim]{escape(name)}[/]")
        if isinstance(step, WaitFor):
            _add(place.add("[green]then[/]"), list(step.then), names)
            _add(place.add("[red]else[/]"), list(step.else_), names)
        elif isinstance(step, Branch):
            for arm in step.branch:
                when = arm.when.model_dump(exclude_none=True, by_alias=True, mode="json") if arm.when else None
                title = f"when {_short(when)}" if when is not None else "otherwise"
                _add(place.add(f"[cyan]{escape(title)}[/]"), list(arm.steps), names)


def _about(step: object) -> str:
    kind = kind_of(step) or ""
    value = getattr(step, kind, None)
    match kind:
        case "wait_for" if isinstance(step, WaitFor):
            about = step.wait_for
            message = f" of {about.message}" if about.message else ""
            return f"{' or '.join(about.on)}{message}, up to {about.up_to}"
        case "branch":
            return ""
        case "score":
            return f"{value.points:+d} because {value.because}"  # type: ignore[union-attr]
        case "task":
            return f"{value.queue}: {value.title}"  # type: ignore[union-attr]
        case "wait" if hasattr(value, "until"):
            until = value.until  # type: ignore[union-attr]
            return f"until {until.field} {until.offset} at {until.at:%H:%M}"
        case "set":
            return ", ".join(f"{name} = {word}" for name, word in (value or {}).items())
        case "tag" | "untag":
            return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return str(value)


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(item)}" for name, item in value.items())
    if isinstance(value, list):
        return "[" + ", ".join(_short(item) for item in value) + "]"
    return str(value)
