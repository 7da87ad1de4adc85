"""The tree of commands is whole, readable in a list, and costs a command only what it needs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

import workers.commands
from tests.patience import PATIENCE
from workers.command import command
from workers.commands.later import Later
from workers.commands.tree import COMMANDS

ROOT = Path(__file__).parents[2]
TEMPORAL = {"temporalio"}
SENDING = {"jinja2", "aiosmtplib", "httpx", "itsdangerous"}
WRITING = {"jinja2", "httpx"}
SERVING = {"starlette", "uvicorn"}
READING_LISTS = {"email_validator", "rapidfuzz"}
RECORDS = {"sqlalchemy", "psycopg", "alembic"}
ROOMS = ("journeys", "records", "activities", "console", "workers")


def leaves() -> Iterator[tuple[str, Later]]:
    for name, one in COMMANDS.items():
        if isinstance(one, TyperGroup):
            for inner, leaf in one.commands.items():
                assert isinstance(leaf, Later)
                yield f"{name} {inner}", leaf
        else:
            yield name, one


LEAVES = dict(leaves())


def python(code: str, **environment: str) -> str:
    """What a Python prints of which nothing was asked before."""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    return ran.stdout + ran.stderr


def test_every_command_of_every_module_stands_in_the_tree_once() -> None:
    apps = {
        path.stem: getattr(import_module(f"workers.commands.{path.stem}"), "app", None)
        for path in Path(workers.commands.__path__[0]).glob("*.py")
    }
    had = [
        (module, one.name)
        for module, app in apps.items()
        if isinstance(app, typer.Typer)
        for one in app.registered_commands
    ]
    assert sorted(had) == sorted((leaf.module, str(leaf.name)) for leaf in LEAVES.values())


@pytest.mark.parametrize("path", LEAVES)
def test_the_line_of_a_command_fits_the_list_and_its_help_says_more(path: str) -> None:
    line = LEAVES[path].short_help or ""
    assert line.endswith(".")
    assert len(line) <= 60
    assert LEAVES[path].load().help


@pytest.mark.parametrize(
    ("arguments", "does_without"),
    [
        ("--help", TEMPORAL | SENDING | SERVING | READING_LISTS | RECORDS | {"pydantic_settings", "rich"}),
        ("resume --help", TEMPORAL | SENDING | SERVING | READING_LISTS | {"alembic"}),
        ("up --help", TEMPORAL | SENDING | SERVING | READING_LISTS | {"alembic"}),
    ],
)
def test_a_command_imports_only_what_it_needs(arguments: str, does_without: set[str]) -> None:
    shown = python(f"""
import sys
from workers.command import command
try:
    command({arguments.split()}, prog_name="waymark")
finally:
    print("imported:", *(name for name in {sorted(does_without)} if name in sys.modules))
""")
    assert "Usage: waymark" in shown
    assert shown.splitlines()[-1] == "imported:"


@pytest.mark.parametrize("module", sorted({leaf.module for leaf in LEAVES.values()}))
def test_what_takes_long_to_import_is_imported_when_a_command_has_come_to_need_it(module: str) -> None:
    """Of what a module of commands imports, and all that this imports, at once: not within a function."""
    needed = {
        "duplicates": {"rapidfuzz"},
        "importing": READING_LISTS,
        "maps": WRITING,
        "drawing": WRITING,
        "broadcasts": WRITING | READING_LISTS,
    }
    heavy = TEMPORAL | SENDING | SERVING | READING_LISTS | {"alembic"}
    assert reached(f"workers.commands.{module}") & heavy <= needed.get(module, set())


def reached(module: str) -> set[str]:
    """The packages of others to which the imports of a module lead."""
    packages, seen, waiting = set[str](), {module}, [module]
    while waiting:
        for name in imported(waiting.pop()):
            if name.split(".")[0] not in ROOMS:
                packages.add(name.split(".")[0])
            elif name not in seen:
                seen.add(name)
                waiting.append(name)
    return packages


@cache
def imported(module: str) -> frozenset[str]:
    """What a module imports as soon as it is imported itself."""
    path = ROOT / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found = set[str]()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inner = ROOT / Path(*node.module.split("."))
            found |= {f"{node.module}.{one.name}" if is_module(inner / one.name) else node.module for one in node.names}
    return frozenset(found)


def is_module(path: Path) -> bool:
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_a_shell_is_told_all_commands_with_their_lines() -> None:
    code = "from workers.command import command; command(prog_name='waymark')"
    shown = python(code, _WAYMARK_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="waymark customers ")
    group = command.commands["customers"]
    lines = {name: str(one.short_help).replace(":", r"\\:") for name, one in group.commands.items()}
    assert all(f'"{name}":"{line}"' in shown for name, line in lines.items())
