"""The tree of commands is whole, readable in a list, and costs a command only what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
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
SERVING = {"starlette", "uvicorn"}
READING_LISTS = {"email_validator", "rapidfuzz"}
RECORDS = {"sqlalchemy", "psycopg", "alembic"}


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
        ("tasks --help", TEMPORAL | SENDING | SERVING | READING_LISTS | RECORDS | {"pydantic_settings", "rich"}),
        ("customers show --help", TEMPORAL | SENDING | SERVING | READING_LISTS | {"alembic"}),
        ("tasks list --help", TEMPORAL | SENDING | SERVING | READING_LISTS | {"alembic"}),
        ("runs show --help", TEMPORAL | SENDING | SERVING | READING_LISTS | {"alembic"}),
        ("journeys list --help", TEMPORAL | SENDING | SERVING | READING_LISTS | {"alembic"}),
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


def test_a_shell_is_told_all_commands_with_their_lines() -> None:
    code = "from workers.command import command; command(prog_name='waymark')"
    shown = python(code, _WAYMARK_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="waymark customers ")
    group = command.commands["customers"]
    lines = {name: str(one.short_help).replace(":", r"\\:") for name, one in group.commands.items()}
    assert all(f'"{name}":"{line}"' in shown for name, line in lines.items())
