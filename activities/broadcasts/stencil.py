"""A template with holes: rendered once, filled in for each of many people, with the same outcome as rendering anew.

A message is rendered with a stand-in for everything personal. A stand-in can be shown, and asked whether there is
anything (`customer.first_name or "there"`): the answer makes the stencil one for people of whom the same is true. It
can be nothing else: whatever computes with it, compares or cuts it raises `Personal`, and so does every construction
in which what is shown might be looked at again (filters over what a macro returns, blocks that are assigned). Then
there is no stencil, and each message is rendered by itself. So a stencil is exact, or it is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes

from activities.messages.sandbox import _GUARD as LOOP_GUARD
from activities.messages.sandbox import Sandbox, View

_HOLE = re.compile("\ue000([0-9]+)([er])\ue001")
UNSUBSCRIBE = "links.unsubscribe"


class Personal(Exception):
    """The template does more with what is personal than to show it."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Where something personal is shown: its name, and whether it is escaped for HTML there."""

    name: str
    escaped: bool


Piece = str | Hole


@dataclass
class Assumed:
    """What the people of one stencil have in common: whether there is anything under each name that was asked."""

    values: Mapping[str, Any]
    asked: dict[str, bool] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def number(self, name: str) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)


class Standin:
    """In place of one value. Everything but being shown and being asked for its truth raises `Personal`."""

    __slots__ = ("_assumed", "_name")

    def __init__(self, name: str, assumed: Assumed) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_assumed", assumed)

    def __bool__(self) -> bool:
        assumed: Assumed = object.__getattribute__(self, "_assumed")
        name: str = object.__getattribute__(self, "_name")
        return assumed.asked.setdefault(name, bool(assumed.values[name]))

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise Personal

    __str__ = __repr__ = __format__ = __bytes__ = __hash__ = __len__ = __iter__ = __contains__ = _refuse
    __getitem__ = __getattr__ = __call__ = __int__ = __float__ = __index__ = __complex__ = __round__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __pow__ = __rpow__ = __neg__ = __pos__ = _refuse


class _Shown(str):
    """A stand-in that was shown: escaping it says so."""

    __slots__ = ()

    def __html__(self) -> str:
        return self.replace("r\ue001", "e\ue001")


def show(value: Any) -> Any:
    """What Jinja calls on everything that is put out (`finalize`)."""
    if not isinstance(value, Standin):
        return value
    assumed: Assumed = object.__getattribute__(value, "_assumed")
    return _Shown(f"\ue000{assumed.number(object.__getattribute__(value, '_name'))}r\ue001")


class _Fields(Mapping[str, Any]):
    """The fields of the customer, each a stand-in."""

    def __init__(self, names: Iterable[str], assumed: Assumed) -> None:
        self._fields = {name: Standin(f"customer.{name}", assumed) for name in names}

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class Cutter:
    """Makes stencils of the files of one folder of templates."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = Sandbox(sandbox.loader)
        self._sandbox.finalize = show
        self._plain: dict[str, bool] = {}

    def cut(self, file: str, context: Mapping[str, Any], assumed: Assumed) -> str:
        """The file filled in with stand-ins; `pieces` reads it.

        Raises:
            Personal: it cannot be filled in that way.
        """
        if not self._plain_enough(file, set()):
            raise Personal
        return self._filled(lambda: self._sandbox.fill(self._sandbox.get_template(file), _with(context, assumed)))

    def cut_line(self, template: str, context: Mapping[str, Any], assumed: Assumed) -> str:
        """The same for one line that stands in no file."""
        if not _plain(self._sandbox.parse(template)):
            raise Personal
        return self._filled(lambda: self._sandbox.fill(self._sandbox.from_string(template), _with(context, assumed)))

    def _filled(self, fill: Callable[[], str]) -> str:
        try:
            text = fill()
        except Exception as error:
            # An error that a template makes is for the slow way to tell, which knows whose message it was.
            raise Personal from error
        if text.count("\ue000") != len(_HOLE.findall(text)):
            raise Personal
        return text

    def _plain_enough(self, file: str, seen: set[str]) -> bool:
        """Whether this file, and all that it builds on, only shows what is personal."""
        if file in seen:
            return True
        seen.add(file)
        loader = self._sandbox.loader
        try:
            source = loader.get_source(self._sandbox, file)[0] if loader is not None else ""
            tree = self._sandbox.parse(source, file)
        except (TemplateError, UnicodeDecodeError):
            return False
        if "\ue000" in source or not _plain(tree):
            return False
        for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
            target = getattr(node, "template", None)
            if not isinstance(target, nodes.Const) or not self._plain_enough(str(target.value), seen):
                return False
        return True


def pieces(text: str, assumed: Assumed) -> list[Piece]:
    """A text of a `Cutter` as what stands in it and the holes between."""
    found: list[Piece] = []
    parts = _HOLE.split(text)
    for at in range(0, len(parts), 3):
        if parts[at]:
            found.append(parts[at])
        if at + 2 < len(parts):
            found.append(Hole(assumed.names[int(parts[at + 1])], parts[at + 2] == "e"))
    return found


def _with(context: Mapping[str, Any], assumed: Assumed) -> dict[str, Any]:
    names = [name.removeprefix("customer.") for name in assumed.values if name.startswith("customer.")]
    return {
        **context,
        "customer": View(_Fields(names, assumed)),
        "links": {"unsubscribe": Standin(UNSUBSCRIBE, assumed)},
    }


def _plain(tree: nodes.Template) -> bool:
    """Whether nothing in a template looks again at what was shown, or asks a stand-in for its kind."""
    if tree.find(nodes.FilterBlock) or tree.find(nodes.AssignBlock) or tree.find(nodes.ScopedEvalContextModifier):
        return False
    if any(test.name not in ("defined", "undefined") for test in tree.find_all(nodes.Test)):
        return False
    if not all(map(_harmless, tree.find_all(nodes.Filter))):
        return False
    put_out = {id(child) for output in tree.find_all(nodes.Output) for child in output.nodes}
    put_out |= {id(block.call) for block in tree.find_all(nodes.CallBlock)}
    return all(id(call) in put_out for call in tree.find_all(nodes.Call))


def _harmless(node: nodes.Filter) -> bool:
    """A filter that hands on what it gets, or that works on what is the same for everybody."""
    if node.name in ("default", "d", LOOP_GUARD):
        return True
    names = [name.name for name in node.find_all(nodes.Name)]
    return all(name == "workspace" for name in names)
