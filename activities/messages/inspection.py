"""Reading templates without filling them in: which names they use, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, TemplateNotFound, TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables

from activities.messages.sandbox import Sandbox, nearest

EMAIL_FILES = ("subject.txt", "body.html", "body.txt")
_KNOWN = {"links": ("unsubscribe",), "workspace": ("name", "address", "url"), "journey": ("title",)}
_ROOTS = ("customer", "event", *_KNOWN)
_LINK = "https://unsubscribe.invalid/"


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """One thing to correct. `file` starts with the templates folder's name, `line` counts from 1."""

    file: str
    line: int
    text: str
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Use:
    """A name in a template: `customer.first_name` in `layouts/email.html`, line 12."""

    name: str
    file: str
    line: int


class Inspection:
    """Looks at files of one templates folder; `sandbox` is the environment that also renders them."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self._sandbox = sandbox
        self._folder = folder

    def variables(self, files: Iterable[str]) -> set[str]:
        """The dotted names used by these files and everything they build on."""
        found: list[Use] = []
        for file in files:
            self._read(file, found, set())
        return {use.name for use in found}

    def problems(
        self, files: Iterable[str], customer_names: Iterable[str], sample: Mapping[str, Any]
    ) -> list[TemplateProblem]:
        """What is wrong with these files of one message. `sample` is a context to try them with."""
        known = {**_KNOWN, "customer": tuple(customer_names)}
        found: dict[TemplateProblem, None] = {}
        for file in files:
            path = self._folder / file
            if not path.is_file():
                found[
                    self._problem(file, 1, "the file is missing", "Every mail has subject.txt, body.html, body.txt.")
                ] = None
                continue
            uses: list[Use] = []
            problems = self._read(file, uses, set())
            problems += [self._wrong(use, known) for use in uses if not _is_known(use.name, known)]
            problems = problems or list(self._of_content(file, path.read_text(encoding="utf-8"), sample))
            found.update(dict.fromkeys(problems))
        return list(found)

    def absent(self, kind: str, message: str, locale: str, messages: Iterable[str]) -> TemplateProblem:
        """The problem that a message is not there in the default locale."""
        near = nearest(f"{kind}/{message}", messages).removeprefix("; ")
        file = f"{kind}/{message}/{locale}" + ("" if kind == "email" else ".txt")
        return self._problem(file, 1, f"there is no {kind} {message!r} in {locale}", near or "Write it first.")

    def _read(self, file: str, uses: list[Use], seen: set[str]) -> list[TemplateProblem]:
        """Collect the names of a file and of what it extends, includes and imports; return what cannot be read."""
        seen.add(file)
        try:
            source = self._sandbox.loader.get_source(self._sandbox, file)[0] if self._sandbox.loader else ""
            tree = self._sandbox.parse(source, file)
            roots = find_undeclared_variables(tree) - set(_own_names(tree))
        except TemplateSyntaxError as error:
            return [self._problem(file, error.lineno, error.message or "cannot be read")]
        except UnicodeDecodeError:
            return [self._problem(file, 1, "the file is not UTF-8", "Save it with the encoding UTF-8.")]
        uses.extend(Use(name, file, line) for name, line in _names(tree, roots))
        problems = []
        for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
            target = getattr(node, "template", None)
            if not isinstance(target, nodes.Const) or not isinstance(target.value, str):
                problems.append(self._problem(file, node.lineno, "another template is named by something that varies"))
            elif target.value not in seen:
                try:
                    problems += self._read(target.value, uses, seen)
                except TemplateNotFound:
                    hint = nearest(target.value, self._sandbox.list_templates()).removeprefix("; ") or None
                    problems.append(self._problem(file, node.lineno, f"there is no {target.value!r}", hint))
        return problems

    def _of_content(self, file: str, source: str, sample: Mapping[str, Any]) -> Iterator[TemplateProblem]:
        """What shows only once the file is filled in."""
        if file.endswith("subject.txt") and "\n" in source.strip():
            line = source[: len(source) - len(source.lstrip())].count("\n") + 2
            yield self._problem(file, line, "the subject has more than one line")
            return
        context = {**sample, "links": {"unsubscribe": _LINK}, "event": ChainableUndefined()}
        try:
            text = self._sandbox.fill(self._sandbox.get_template(file), context)
        except Exception:  # noqa: BLE001 (a sample is no customer: what fails here may be right for a real one)
            return
        if not text.strip():
            yield self._problem(file, 1, "there is nothing in it")
        elif "body" in Path(file).name and _LINK not in text:
            hint = "Every mail needs {{ links.unsubscribe }}; a layout may hold it, outside of any condition."
            yield self._problem(file, 1, "the mail offers no way to unsubscribe", hint)

    def _wrong(self, use: Use, known: Mapping[str, tuple[str, ...]]) -> TemplateProblem:
        root, _, rest = use.name.partition(".")
        if root not in _ROOTS:
            hint = nearest(root, _ROOTS).removeprefix("; ") or f"Known are: {', '.join(_ROOTS)}."
            return self._problem(use.file, use.line, f"there is nothing called {root!r}", hint)
        word = rest.partition(".")[0]
        hint = nearest(word, known[root]).removeprefix("; ") or f"Known are: {', '.join(known[root])}."
        if root == "customer":
            hint += " Custom fields are declared in definitions/fields.yaml."
        return self._problem(use.file, use.line, f"{root} has no {word!r}", hint)

    def _problem(self, file: str, line: int, text: str, hint: str | None = None) -> TemplateProblem:
        return TemplateProblem(f"{self._folder.name}/{file}", line, text, hint)


def _is_known(name: str, known: Mapping[str, tuple[str, ...]]) -> bool:
    root, _, rest = name.partition(".")
    if root == "event":
        return True
    return root in known and (not rest or rest.partition(".")[0] in known[root])


def _own_names(tree: nodes.Template) -> Iterator[str]:
    """What the template makes or imports itself. Its blocks look these up in the context like names from outside."""
    for node in tree.find_all((nodes.Import, nodes.FromImport, nodes.Macro)):
        if isinstance(node, nodes.FromImport):
            yield from (name if isinstance(name, str) else name[1] for name in node.names)
        elif isinstance(node, nodes.Import):
            yield node.target
        elif isinstance(node, nodes.Macro):
            yield node.name
    for assigned in (node for node in tree.body if isinstance(node, nodes.Assign | nodes.AssignBlock)):
        yield from (name.name for name in assigned.target.find_all(nodes.Name))
        if isinstance(assigned.target, nodes.Name):
            yield assigned.target.name


def _names(node: nodes.Node, roots: set[str]) -> Iterator[tuple[str, int]]:
    name = dotted(node)
    if name is not None:
        if name.partition(".")[0] in roots:
            yield name, node.lineno
        return
    for child in node.iter_child_nodes():
        yield from _names(child, roots)


def dotted(node: nodes.Node) -> str | None:
    """`customer.first_name` and `customer["first_name"]` as one name; None for anything else."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        base, attribute = dotted(node.node), node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        base, attribute = dotted(node.node), str(node.arg.value)
    else:
        return None
    return f"{base}.{attribute}" if base else None
