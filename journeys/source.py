"""A file that people write: YAML read with the place of every word, so that errors can point at it.

YAML 1.2 (so that `on:` and the country `NO` are words), one document, no anchors: these files are read aloud from top
to bottom, and one that refers to itself can be made to grow without limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar
from unicodedata import category

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.scanner import RoundTripScanner, ScannerError

from journeys.errors import WaymarkError
from journeys.places import Location, find
from journeys.wording import is_within, place_of, words_of

LARGEST = 256 * 1024
"""Bytes. These files are read by people; the shipped maps have 3 to 10 KB."""
DEEPEST = 60
TOO_DEEP = "steps are nested too deeply to follow"

ModelType = TypeVar("ModelType", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class InvalidFile(WaymarkError):
    """A file that cannot be used; `problems` says where and why."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(
            "\n".join(str(problem) for problem in problems),
            hint="correct the file; `waymark journeys validate` checks all of them",
        )
        self.problems = problems


@dataclass(frozen=True)
class Source:
    """A YAML file as data (`data`) and as text with places."""

    file: str
    text: str
    root: MappingNode
    data: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read a file.

        Raises:
            InvalidFile: it cannot be read, or is no mapping in YAML.
        """
        try:
            size = path.stat().st_size
            if size > LARGEST:
                raise InvalidFile(
                    [Problem(str(path), 1, 1, f"the file has {size:,} bytes; at most {LARGEST:,} are read")]
                )
            text = path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise InvalidFile([Problem(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from error
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise InvalidFile([Problem(str(path), line, 1, "is not UTF-8: save the file in UTF-8")]) from error
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, file: str = "<text>") -> Source:
        """Read text.

        Raises:
            InvalidFile: it is no mapping in YAML.
        """
        if len(text) > LARGEST:
            raise InvalidFile(
                [Problem(file, 1, 1, f"the text has {len(text):,} characters; at most {LARGEST:,} are read")]
            )
        root = _compose(text, file)
        problems: list[Problem] = []
        data = _construct(root, file, problems)
        if problems:
            raise InvalidFile(problems)
        return cls(file, text, root, data)

    def problem(self, location: Location, message: str, *, within: bool = False) -> Problem:
        """A problem at a place in the file: at the word there or, `within`, at what the word stands before."""
        found = find(self.root, location)
        mark = (found.value if within else found.at).start_mark
        return Problem(self.file, mark.line + 1, mark.column + 1, message)

    def to(self, model: type[ModelType]) -> ModelType:
        """The file as a model.

        Raises:
            InvalidFile: with every problem found, each at its place.
        """
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            problems = {
                self.problem(place_of(detail, model), words_of(detail, model), within=is_within(detail))
                for detail in error.errors()
            }
            raise InvalidFile(sorted(problems, key=lambda one: (one.line, one.column, one.message))) from error
        except RecursionError as error:
            raise InvalidFile([Problem(self.file, 1, 1, TOO_DEEP)]) from error


class _Scanner(RoundTripScanner):
    """Stops at a bracket too many, where the library's own takes seconds: it looks at all open ones at every word."""

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:  # noqa: N803 (the library's name)
        if len(self.flow_context) >= DEEPEST:
            raise ScannerError(None, None, TOO_DEEP, self.reader.get_mark())
        super().fetch_flow_collection_start(TokenClass, to_push)


def _compose(text: str, file: str) -> MappingNode:
    yaml = YAML(typ="rt", pure=True)
    yaml.Scanner = _Scanner
    try:
        roots = list(yaml.compose_all(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part) or "is not YAML"
        if "\\t" in what or (mark and "\t" in _line(text, mark.line)):
            what = "a tab: YAML indents with spaces only"
        if "anchor" in what or "alias" in what:
            what = "anchors and aliases (&name, *name) are not read: write the steps out"
        raise InvalidFile(
            [Problem(file, mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, what)]
        ) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise InvalidFile([Problem(file, 1, 1, f"is not YAML: {str(error).splitlines()[0]}")]) from error
    if len(roots) != 1 or not isinstance(roots[0], MappingNode):
        what = "is empty" if not roots else "holds several documents" if len(roots) > 1 else "is not a mapping"
        raise InvalidFile(
            [Problem(file, 1, 1, f"{what}: this file is one mapping, such as one that begins with journey: NAME")]
        )
    return roots[0]


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number] if number < len(lines) else ""


def _construct(node: Node, file: str, problems: list[Problem], depth: int = 0) -> Any:
    def wrong(at: Node, message: str) -> None:
        problems.append(Problem(file, at.start_mark.line + 1, at.start_mark.column + 1, message))

    if depth > DEEPEST:
        wrong(node, TOO_DEEP)
        return None
    if node.anchor:
        wrong(node, "anchors and aliases (&name, *name) are not read: write the steps out")
        return None
    if isinstance(node, SequenceNode):
        return [_construct(item, file, problems, depth + 1) for item in node.value]
    if isinstance(node, MappingNode):
        mapping: dict[str, Any] = {}
        for key, value in node.value:
            try:
                name = _text(key) if isinstance(key, ScalarNode) else None
            except ValueError as error:
                wrong(key, str(error))
                continue
            if not isinstance(name, str):
                wrong(key, "a key must be a word")
            elif name == "<<":
                wrong(key, "merge keys (<<) are not read: write the steps out")
            elif name in mapping:
                wrong(key, f"{name} stands twice in the same mapping")
            else:
                mapping[name] = _construct(value, file, problems, depth + 1)
        return mapping
    try:
        return _scalar(node)
    except ValueError as error:
        wrong(node, str(error))
        return None


def _scalar(node: Node) -> Any:
    text = _text(node)
    kind = str(node.tag).rsplit(":", 1)[-1]
    if kind == "null":
        return None
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{text} is neither true nor false")
        return text.lower() == "true"
    if kind in ("int", "float"):
        if len(text) > (18 if kind == "int" else 40):
            raise ValueError(f"{text[:20]}... is too long a number")
        return _number(text, kind)
    if kind == "timestamp":
        try:
            value = date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
        except ValueError as error:
            raise ValueError(f"{text} is not a date that exists") from error
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError(f"{text} has no time zone: write it with Z or an offset such as +02:00")
        return value
    if kind != "str":
        raise ValueError(f"the tag {node.tag} is not read here")
    return text


def _text(node: Node) -> str:
    text: str = node.value
    if isinstance(node, ScalarNode) and node.style == ">":
        text = text.replace("\a", "")  # ruamel's mark of where a folded line was broken
    if wrong := next((one for one in text if category(one) in ("Cc", "Cs") and one not in "\t\n"), None):
        raise ValueError(f"holds a character that nobody can read: U+{ord(wrong):04X}")
    return text


def _number(text: str, kind: str) -> int | float:
    digits = text.replace("_", "")
    try:
        number = float(digits) if kind == "float" else int(digits, 10 if digits.lstrip("+-").isdigit() else 0)
    except ValueError:
        raise ValueError(f"{text} is not a number that can be compared") from None
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number that can be compared")
    return number
