"""The Jinja2 environment of all templates: no way out of it, no endless loop in it, no silent blanks."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from string import Formatter
from typing import Any

from jinja2 import BaseLoader, StrictUndefined, Template, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

MAX_ITERATIONS = 100_000
MAX_OUTPUT = 2_000_000
_MAX_NUMBER = 10_000
_GUARD = "loop guard"
_PADDING = {"ljust", "rjust", "center", "zfill", "expandtabs"}
_iterations: ContextVar[int] = ContextVar("iterations", default=0)


class View:
    """What templates may read of a record: `fields` and nothing else, not even this class's own attributes."""

    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields


class Missing(StrictUndefined):
    """A name that is not there, worded for the person who wrote it into a template."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        name, owner = str(self._undefined_name), self._undefined_obj
        if owner is missing:
            return f"there is nothing called {name!r} here"
        if isinstance(owner, Mapping):
            return f'there is no {name!r} here this time; add | default("...") if it may be missing'
        if isinstance(owner, View):
            return f"a customer has no field {name!r}{nearest(name, owner.fields)}"
        return f"{type(owner).__name__} has no {name!r}"


class Sandbox(ImmutableSandboxedEnvironment):
    """Renders what colleagues write. Python's insides are out of reach, and so are unbounded loops and repetitions.

    A template that tries raises `jinja2.exceptions.SecurityError`. Only files ending in .html are escaped.
    """

    intercepted_binops = frozenset(["*", "**", "%"])

    def __init__(self, loader: BaseLoader | None = None) -> None:
        super().__init__(
            loader=loader,
            undefined=Missing,
            autoescape=lambda name: name is not None and name.endswith(".html"),
            auto_reload=True,
        )
        self._trees: dict[tuple[str | None, str], nodes.Template] = {}
        for name in ("lipsum", "cycler", "joiner"):
            del self.globals[name]
        del self.filters["center"]
        for name in ("indent", "batch", "slice", "truncate", "wordwrap"):
            self.filters[name] = _modest(self.filters[name])
        self.filters["format"] = _checked_format(self.filters["format"])
        self.filters[_GUARD] = _guarded

    def parse(self, source: str, name: str | None = None, filename: str | None = None) -> nodes.Template:
        """The tree of a template, to be read and not to be changed: layouts are read with each message anew."""
        known = self._trees.get((name, source))
        if known is None:
            known = self._trees[name, source] = super().parse(source, name, filename)
        return known

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _GUARD, [], [], None, None, lineno=loop.lineno)
        tree.set_environment(self)
        return tree

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, View):
            return self.getitem(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, View):
            return obj.fields[argument] if argument in obj.fields else self.undefined(obj=obj, name=str(argument))
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return super().is_safe_attribute(obj, attr, value) and not (isinstance(obj, str) and attr in _PADDING)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Jinja's own `str.format`, which would write a gigabyte when asked: widths are looked at first."""
        safe = super().wrap_str_format(value)
        if safe is not None:
            _check_fields(value.__self__)
        return safe

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            _check_format(left)
        elif operator == "**" and not (
            isinstance(right, int | float) and abs(right) <= 64 and abs(left) <= _MAX_NUMBER
        ):
            raise SecurityError("the power is too large")
        elif operator == "*" and _size(left) * _size(right) > MAX_OUTPUT:
            raise SecurityError("the repetition is too long")
        return super().call_binop(context, operator, left, right)

    def fill(self, template: Template, context: Mapping[str, Any]) -> str:
        """Render within the limits of one message: iterations of all loops together, and length."""
        token = _iterations.set(0)
        pieces, length = [], 0
        try:
            for piece in template.generate(dict(context)):
                length += len(piece)
                if length > MAX_OUTPUT:
                    raise SecurityError(f"the message is longer than {MAX_OUTPUT} characters")
                pieces.append(piece)
        finally:
            _iterations.reset(token)
        return "".join(pieces)


def nearest(word: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no allowed word is near."""
    near = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _guarded(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        count = _iterations.get() + 1
        if count > MAX_ITERATIONS:
            raise SecurityError(f"the loops of this template run more than {MAX_ITERATIONS} times")
        _iterations.set(count)
        yield item


def _size(value: Any) -> int:
    if isinstance(value, str | bytes | list | tuple):
        return len(value)
    return min(abs(value), MAX_OUTPUT + 1) if isinstance(value, int) and value.bit_length() > 1 else 1


def _modest(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        numbers = [value for value in (*args[1:], *kwargs.values()) if isinstance(value, int)]
        if any(number > _MAX_NUMBER for number in numbers):
            raise SecurityError(f"a number above {_MAX_NUMBER} is too large for a filter")
        return function(*args, **kwargs)

    return checked


def _checked_format(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def checked(value: Any, *args: Any, **kwargs: Any) -> Any:
        _check_format(str(value))
        return function(value, *args, **kwargs)

    return checked


def _check_format(pattern: str) -> None:
    if re.search(r"%[^a-zA-Z%]*(\d{4}|\*)", pattern):
        raise SecurityError("the width in a format is too large")


def _check_fields(pattern: str) -> None:
    if any(re.search(r"\d{4}|\{", spec or "") for _, _, spec, _ in Formatter().parse(pattern)):
        raise SecurityError("the width in a format is too large")
