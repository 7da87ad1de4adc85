"""Which fields of a customer a template names without saying what stands there when nothing is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jinja2 import TemplateError, nodes
from jinja2.meta import find_referenced_templates

from activities.messages.inspection import dotted
from activities.messages.sandbox import Sandbox

_DEFAULTS = ("default", "d")


def unguarded(sandbox: Sandbox, files: Iterable[str]) -> dict[str, str]:
    """The fields that these templates, and all that they build on, put into the message without a default, an `or` or
    an `if` that asks for them; each with the first place, `file:line`. What cannot be read names none."""
    found: dict[str, str] = {}
    left, seen = list(files), set[str]()
    while left:
        file = left.pop(0)
        if file in seen or sandbox.loader is None:
            continue
        seen.add(file)
        try:
            tree = sandbox.parse(sandbox.loader.get_source(sandbox, file)[0], file)
        except (TemplateError, UnicodeDecodeError):
            continue
        for name, line in _bare(tree, frozenset()):
            found.setdefault(name, f"{file}:{line}")
        left += [name for name in find_referenced_templates(tree) if name]
    return found


def unguarded_in(sandbox: Sandbox, text: str) -> set[str]:
    """The same for one line, such as a task's title."""
    try:
        return {name for name, _ in _bare(sandbox.parse(text), frozenset())}
    except TemplateError:
        return set()


def _bare(node: nodes.Node, asked: frozenset[str]) -> Iterator[tuple[str, int]]:
    """The fields named bare below a node, with their lines; `asked` are those that an `if` around it asks for."""
    match node:
        case nodes.If() | nodes.CondExpr():
            asked |= {name for name, _ in _fields(node.test)}
            children = [child for child in node.iter_child_nodes() if child is not node.test]
        case nodes.Filter() if node.name in _DEFAULTS:
            children = list(node.args)
        case nodes.Or() | nodes.And() | nodes.Not() | nodes.Compare() | nodes.Test() | nodes.Assign():
            return  # an alternative is given, or nothing of it is written
        case nodes.For():
            children = [*node.body, *node.else_]
        case nodes.Getattr() | nodes.Getitem() if field := _field(node):
            if field not in asked:
                yield field, node.lineno
            return
        case _:
            children = list(node.iter_child_nodes())
    for child in children:
        yield from _bare(child, asked)


def _fields(node: nodes.Node) -> Iterator[tuple[str, int]]:
    field = _field(node)
    if field:
        yield field, getattr(node, "lineno", 1)
        return
    for child in node.iter_child_nodes():
        yield from _fields(child)


def _field(node: nodes.Node) -> str | None:
    """`renewal_date` of `customer.renewal_date.year`."""
    name = dotted(node)
    if name is None or not name.startswith("customer."):
        return None
    return name.split(".")[1]
