"""Commands that are known by name and a line of help, and imported when they are called.

A command that shows a customer needs neither Temporal nor templates, and the list of all commands needs nothing. So
each module of `workers.commands` says with `app` what it has, and the tree of commands in which module to look.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_from_info


class Later(TyperCommand):
    """A command of `workers.commands.<module>`, under the name that it has there.

    Lists and completions of a shell need its name and line only. Whoever calls it is given the real one.
    """

    def __init__(self, name: str, module: str, line: str) -> None:
        """`line` says in a few words what it is for."""
        super().__init__(name, short_help=line)
        self.module = module

    def load(self) -> Any:
        """The command itself."""
        app: typer.Typer = import_module(f"workers.commands.{self.module}").app
        (info,) = (one for one in app.registered_commands if one.name == self.name)
        return get_command_from_info(info, pretty_exceptions_short=True, rich_markup_mode=None)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """What the call is parsed into: by the command itself, which the context leads to from then on."""
        return self.load().make_context(*args, **kwargs)


def group(name: str, line: str, commands: Mapping[str, tuple[str, str]]) -> TyperGroup:
    """A group of commands, each with its module and its line."""
    return TyperGroup(
        name=name, help=line, commands={name: Later(name, *where) for name, where in commands.items()},
        no_args_is_help=True, rich_markup_mode=None,
    )  # fmt: skip
