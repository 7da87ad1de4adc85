"""Which room may import from which, checked over the whole import graph."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("journeys", "activities", "records", "console", "workers")
ALLOWED = {
    "journeys": {"journeys"},
    "records": {"records", "journeys"},
    "activities": {"activities", "records", "journeys"},
    "console": {"console", "activities", "records", "journeys"},
    "workers": set(ROOMS),
}
IMPURE = {"sqlalchemy", "psycopg", "httpx", "aiosmtplib", "starlette", "typer", "rich", "socket", "random"}
"""What `journeys` must not touch: it is replayed, and must come to the same every time."""


def modules(room: str) -> Iterator[Path]:
    yield from sorted((ROOT / room).rglob("*.py"))


def imported(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: import by the full name"
            yield node.module or ""


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_the_rooms_below_it(room: str) -> None:
    wrong = [
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules(room)
        for name in imported(module)
        if name.split(".")[0] in ROOMS and name.split(".")[0] not in ALLOWED[room]
    ]
    assert wrong == []


def test_the_journeys_room_is_pure() -> None:
    wrong = [
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules("journeys")
        for name in imported(module)
        if name.split(".")[0] in IMPURE
    ]
    assert wrong == []


def test_sql_is_written_in_the_records_only() -> None:
    builders = {"select", "insert", "update", "delete", "text"}
    wrong = [
        f"{module.relative_to(ROOT)} builds SQL with {name.name}"
        for room in ("activities", "console", "workers")
        for module in modules(room)
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy"
        for name in node.names
        if name.name in builders
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ["journeys"])
def test_the_packages_that_workflows_import_hold_a_docstring_and_nothing_else(package: str) -> None:
    body = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8")).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)
